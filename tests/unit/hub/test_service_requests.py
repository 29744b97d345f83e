"""What the service side's HTTP takes: a token for where it was made for, and JSON that everybody can read."""

import asyncio
import json
import time
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp

from hub.access.quotas import PROFILES, Quotas
from hub.api.calls import _body, service_tenant, whole_number
from hub.api.service_app import build_app
from hub.hub_errors import HubCode, HubError
from hub.methods import MethodCall, MethodResult
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.registry.tenants import DEFAULT_TENANT, REGISTRY_WRITE, add_tenant, policies_of
from wire import sas

GRAPH_QUERY = b"api-version=2023-10-31"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    yield made
    made.close()


def request(path: str, token: str = "", body: bytes = b"") -> Request:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"host", b"localhost:8443"), (b"authorization", token.encode())]
    scope = {"type": "http", "method": "PUT", "path": path, "query_string": b"", "headers": headers, "scheme": "https"}
    return Request(scope, receive)


class Nobody:
    """No device is there."""

    async def invoke(self, call: MethodCall) -> MethodResult:
        """Never called here."""
        raise HubError(HubCode.DeviceNotOnline, call.device_id)


def token_of(registry: Registry, tenant: str = DEFAULT_TENANT) -> str:
    policy = next(each for each in registry.policy_keys("iothubowner") if each.tenant == tenant)
    return sas.sign(policy.primary_key, "localhost", int(time.time()) + 600, policy.name)


async def answer(
    app: ASGIApp, method: str, path: str, token: str, query: bytes = b"", given: bytes = b""
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body."""
    asked, sent = request(path, token, given), []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app({**asked.scope, "method": method, "query_string": query}, asked.receive, send)
    body = b"".join(each.get("body", b"") for each in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


@pytest.mark.parametrize(
    ("resource", "path", "is_let_in"),
    [
        ("", "/devices/dev1", True), ("/", "/jobs/v2", True), ("/devices", "/devices/dev1", True),
        ("/Devices/Dev1", "/devices/dev1", True), ("/devices/dev1", "/devices/dev1/modules/m", True),
        ("/devices/dev1/", "/devices/dev1", True),
        ("/devices/dev", "/devices/dev1", False), ("/devices/dev2", "/devices/dev1", False),
        ("/twins", "/devices/dev1", False), ("/devices/dev1/modules", "/devices/dev1", False),
        ("/devices/dev1", "/devices/other", False), ("/devices/dev1", "/devices/dev10", False),
        ("/devices/dev1", "/devices", False), ("/devices/dev1", "/devices/dev1?x", False),
        ("/devices", "/twins/dev1", False),
    ],
)  # fmt: skip
def test_a_token_is_good_for_what_it_was_made_for(
    registry: Registry, resource: str, path: str, is_let_in: bool
) -> None:
    """Its resource is the beginning of the path, by whole segments and in any case; the host's own opens everything."""
    policies = registry.read(lambda tx: policies_of(tx, DEFAULT_TENANT))
    policy = next(each for each in policies if REGISTRY_WRITE in each.rights)
    token = sas.sign(policy.primary_key, f"localhost{resource}", int(time.time()) + 600, policy.name)
    asked = request(path, token)
    if is_let_in:
        assert service_tenant(registry, asked, REGISTRY_WRITE) == DEFAULT_TENANT
        return
    with pytest.raises(HubError) as raised:
        service_tenant(registry, asked, REGISTRY_WRITE)
    assert raised.value.code is HubCode.IotHubUnauthorized


def test_calls_beyond_the_profile_are_429(registry: Registry, tmp_path: Path) -> None:
    """In profile s1 three calls of the registry pass at once, the fourth is told when to come again; each kind has its
    own number, and another tenant its own calls. What is told in the hub's status as throttled counts it."""
    quotas = Quotas("s1", lambda: 0.0)
    app = build_app(registry, Nobody(), tmp_path / "files", quotas)
    answers = [asyncio.run(answer(app, "GET", "/devices", token_of(registry))) for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 429]
    _, headers, body = answers[-1]
    assert headers[b"iothub-errorcode"] == b"ThrottlingException"
    assert headers[b"retry-after"] == b"1"
    assert b"Too many registry" in body
    assert quotas.throttled_count == 1
    assert asyncio.run(answer(app, "GET", "/twins/d", token_of(registry)))[0] == 404
    assert asyncio.run(answer(app, "GET", "/configurations", token_of(registry)))[0] == 200
    registry.write(lambda tx: add_tenant(tx, "acme")).result()
    assert asyncio.run(answer(app, "GET", "/devices", token_of(registry, "acme")))[0] == 200


def test_devices_in_bulk_count_one_by_one(registry: Registry, tmp_path: Path) -> None:
    """The anchor's own example: of calls that make 50 devices each, profile s1 lets two pass in a minute."""
    now = [0.0]
    app = build_app(registry, Nobody(), tmp_path / "files", Quotas("s1", lambda: now[0]))
    token, passed = token_of(registry), []
    for now[0] in range(0, 60, 5):
        wanted = json.dumps([{"id": f"b-{now[0]}-{n}", "importMode": "create"} for n in range(50)]).encode()
        if asyncio.run(answer(app, "POST", "/devices", token, given=wanted))[0] == 200:
            passed.append(now[0])
    assert passed == [0, 30]


def test_a_methods_payload_counts_by_4_kb(registry: Registry, tmp_path: Path) -> None:
    """In profile s1 80 calls of a byte pass at once, and 40 of more than 4 KB."""
    registry.write(lambda tx: create(tx, Identity("d", DEFAULT_TENANT))).result()
    token, passed = token_of(registry), []
    for payload in ("", "x" * 4094, "x" * 4095):
        app = build_app(registry, Nobody(), tmp_path / "files", Quotas("s1", lambda: 0.0))
        wanted = json.dumps({"methodName": "m", "payload": payload}).encode()
        calls = [asyncio.run(answer(app, "POST", "/twins/d/methods", token, given=wanted))[0] for _ in range(81)]
        passed.append(calls.count(404))
        assert set(calls) == {404, 429}
    assert passed == [80, 80, 40]


def test_uploads_beyond_the_profile_are_429(registry: Registry, tmp_path: Path) -> None:
    """In profile s1 a tenant's devices begin three at once, whichever they are; the fourth is told to come again."""
    devices = [
        registry.write(lambda tx, name=name: create(tx, Identity(name, DEFAULT_TENANT))).result()
        for name in ("u-1", "u-2")
    ]
    app, found = build_app(registry, Nobody(), tmp_path / "files", Quotas("s1", lambda: 0.0)), []
    for device in devices * 2:
        path = f"/devices/{device.device_id}"
        token = sas.sign(device.primary_key or "", f"localhost{path}", int(time.time()) + 600)
        found.append(asyncio.run(answer(app, "POST", f"{path}/files", token)))
    # nothing is said of which file it is to be
    assert [status for status, _, _ in found] == [400, 400, 400, 429]
    assert found[-1][1][b"retry-after"] == b"1"


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/digitaltwins/t", "graph_reads"), ("GET", "/digitaltwins/t/relationships", "graph_reads"),
        ("GET", "/digitaltwins/t/components/c", "graph_reads"), ("PATCH", "/digitaltwins/t", "graph_updates"),
        ("PATCH", "/digitaltwins/t/components/c", "graph_updates"), ("PUT", "/digitaltwins/t", "graph_writes"),
        ("DELETE", "/digitaltwins/t/relationships/r", "graph_writes"), ("POST", "/query", "graph_queries"),
        ("GET", "/models", "models"), ("DELETE", "/eventroutes/r", "event_routes"),
    ],
)  # fmt: skip
def test_calls_of_the_graph_beyond_the_profile_are_429(
    registry: Registry, tmp_path: Path, method: str, path: str, kind: str
) -> None:
    """The last that passes is answered; the next is told when to come again, in Digital Twins' form."""
    quotas = Quotas("s1", lambda: 0.0)
    app, token = build_app(registry, Nobody(), tmp_path / "files", quotas), token_of(registry)
    for _ in range(int(PROFILES["s1"][kind] * 2) - 1):
        assert quotas.take(kind, DEFAULT_TENANT)
    assert asyncio.run(answer(app, method, path, token, GRAPH_QUERY))[0] in (200, 204, 400, 404)
    status, headers, body = asyncio.run(answer(app, method, path, token, GRAPH_QUERY))
    assert (status, headers[b"retry-after"]) == (429, b"1")
    assert b'{"error":{"code":"ThrottlingException"' in body


def test_a_hub_whose_clock_is_wrong_refuses_tokens_until_it_is_right(tmp_path: Path) -> None:
    """What is in force is judged by the hub's own clock alone, each time anew: nothing of the error stays."""
    clock = [datetime.now(UTC)]
    registry = Registry(f"sqlite:///{tmp_path / 'clocked.db'}", lambda: clock[0])
    app, token = build_app(registry, Nobody(), tmp_path / "files"), token_of(registry)
    statuses = []
    for ahead in (timedelta(), timedelta(days=1), timedelta()):
        clock[0] += ahead if ahead else datetime.now(UTC) - clock[0]
        statuses.append(asyncio.run(answer(app, "GET", "/devices", token))[0])
    registry.close()
    assert statuses == [200, 401, 200]


@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": "\\ud800"}', b'{"a": "\xff"}', b"{"])
def test_json_that_not_everybody_can_read_is_refused(body: bytes) -> None:
    """Nothing of it is stored, where devices, queries and the lake would meet it."""
    with pytest.raises(HubError) as raised:
        asyncio.run(_body(request("/twins/d", body=body)))
    assert raised.value.code is HubCode.IotHubFormatError


def test_json_is_taken_as_it_is() -> None:
    """Texts, numbers and nothing at all."""
    assert asyncio.run(_body(request("/", body=b'{"a": ["\xc3\xbc", 1, 0.5, null]}'))) == {"a": ["ü", 1, 0.5, None]}
    assert asyncio.run(_body(request("/"))) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1" * 5000, None), ("1 ", None), ("0", 0), ("1000", 1000), ("", None), ("-1", None), ("\u00b2", None),
        ("\u0663", None),
    ],
)  # fmt: skip
def test_a_number_is_one_that_python_reads(text: str, number: int | None) -> None:
    """What only looks like one is no number, and no error of the hub's."""
    assert whole_number(text) == number


@pytest.mark.parametrize("payload", [b"fine, thanks", b"\xff", b'{"a": NaN}', b'"\\ud800"'])
def test_a_devices_answer_that_is_no_json_is_told_as_that(payload: bytes) -> None:
    """With what it said, and by a code after which no client calls the method again by itself."""
    with pytest.raises(HubError, match="answer is no JSON") as raised:
        MethodResult(200, payload).value()
    assert raised.value.code is HubCode.GenericBadRequest
    assert MethodResult(200, b' {"a": 1}').value() == {"a": 1}
    assert MethodResult(200, b" ").value() is None
