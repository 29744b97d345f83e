"""Provisioning by the device SDK: a device that knows an id scope gets an identity, and connects by it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import X509
from azure.iot.device.aio import IoTHubDeviceClient, ProvisioningDeviceClient
from azure.iot.device.exceptions import ClientError, CredentialError

from hub.registry.enrolments import GROUP, INDIVIDUAL, put_enrolment
from hub.registry.identities import new_key
from hub.registry.tenants import id_scope
from tests.conftest import empty_topics
from tests.support.firmware_repository import FirmwareRepository, by_key, shown
from tests.support.hub_server import TestHub, records, running_hub, self_signed
from wire.certificates import Authority
from wire.sas import derive_key


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[TestHub]:
    """A hub that the tests of this file share."""
    empty_topics(broker)
    with running_hub(tmp_path_factory.mktemp("hub"), broker) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(running.root))
        yield running


def _enrol(hub: TestHub, kind: str, name: str, if_match: str | None = None, **body: Any) -> None:
    hub.registry.write(lambda tx: put_enrolment(tx, "default", kind, name, body, if_match)).result(120)


def _keys(primary: str) -> dict[str, Any]:
    return {"type": "symmetricKey", "symmetricKey": {"primaryKey": primary, "secondaryKey": new_key()}}


def _scope(hub: TestHub) -> str:
    return hub.registry.read(lambda tx: id_scope(tx, "default"))


def _by_key(hub: TestHub, registration_id: str, key: str, payload: Any = None) -> Any:
    async def register() -> Any:
        client = ProvisioningDeviceClient.create_from_symmetric_key(hub.address, registration_id, _scope(hub), key)
        client.provisioning_payload = payload
        return await client.register()

    return asyncio.run(register())


def test_a_device_of_a_group_registers_connects_and_sends(hub: TestHub, broker: str) -> None:
    """By the key that is derived from the group's; the twin is the enrolment's; its messages are in Kafka."""
    group = new_key()
    twin = {"tags": {"site": "s1"}, "properties": {"desired": {"interval": 9}}}
    _enrol(hub, GROUP, "g1", attestation=_keys(group), initialTwin=twin)
    key = derive_key(group, "dps-1")
    result = _by_key(hub, "dps-1", key)
    assert result.status == "assigned"
    state = result.registration_state
    assert (state.device_id, state.assigned_hub) == ("dps-1", hub.address)

    async def send() -> dict[str, Any]:
        client = IoTHubDeviceClient.create_from_symmetric_key(key, state.assigned_hub, state.device_id)
        await client.connect()
        await client.send_message("provisioned")
        twin: dict[str, Any] = await client.get_twin()
        await client.shutdown()
        return twin

    assert asyncio.run(send())["desired"]["interval"] == 9
    assert [record.value for record in records(broker, "dps-1")] == [b"provisioned"]
    assert _by_key(hub, "dps-1", key).status == "assigned"


def test_a_hundred_devices_of_a_group_register_and_one_is_revoked(hub: TestHub) -> None:
    """Each by its own key of the group's; one that is revoked is refused from then on, and the others go on."""
    group, scope = new_key(), _scope(hub)
    _enrol(hub, GROUP, "g-100", attestation=_keys(group))
    names = [f"dps-of-100-{number}" for number in range(100)]

    async def register(name: str) -> str:
        client = ProvisioningDeviceClient.create_from_symmetric_key(hub.address, name, scope, derive_key(group, name))
        state = (await client.register()).registration_state
        assert state is not None
        return str(state.device_id)

    async def registered(some: list[str]) -> list[str]:
        at_once = [some[first : first + 20] for first in range(0, len(some), 20)]
        return [each for part in at_once for each in await asyncio.gather(*map(register, part))]

    assert asyncio.run(registered(names)) == names
    assert all(hub.registry.device(name) for name in names)
    revoked = names.pop(50)
    _enrol(hub, INDIVIDUAL, revoked, attestation=_keys(new_key()), provisioningStatus="disabled")
    with pytest.raises(CredentialError):
        asyncio.run(register(revoked))
    assert asyncio.run(registered(names[45:55])) == names[45:55]


def test_an_individual_enrolment_goes_before_a_group(hub: TestHub) -> None:
    """Its own keys let it in under the id that it names; disabled, it keeps one device of a group out."""
    group = new_key()
    own = new_key()
    _enrol(hub, GROUP, "g2", attestation=_keys(group))
    _enrol(hub, INDIVIDUAL, "dps-own", attestation=_keys(own), deviceId="renamed")
    assert _by_key(hub, "dps-own", own).registration_state.device_id == "renamed"
    with pytest.raises(CredentialError):
        _by_key(hub, "dps-own", derive_key(group, "dps-own"))
    _enrol(hub, INDIVIDUAL, "dps-out", attestation=_keys(new_key()), provisioningStatus="disabled")
    with pytest.raises(CredentialError):
        _by_key(hub, "dps-out", derive_key(group, "dps-out"))
    with pytest.raises(CredentialError):
        _by_key(hub, "dps-nobody", new_key())


def test_a_device_shows_what_it_runs(hub: TestHub, caplog: pytest.LogCaptureFixture) -> None:
    """It registers by what its enrolment's signed manifest names; not by other firmware, nothing, or a replay."""
    group, now = new_key(), datetime.now(UTC)
    repository = FirmwareRepository(now)
    _enrol(hub, GROUP, "g-fw", attestation={**_keys(group), "manifest": repository.manifest()})
    key, metadata = derive_key(group, "dps-fw"), repository.metadata()

    def told(firmware: bytes | None = None) -> Any:
        others = {} if firmware is None else {"firmware": firmware}
        return shown(metadata, f"{_scope(hub)}/registrations/dps-fw", by_key(key), datetime.now(UTC), **others)

    for refused in (None, told(b"other firmware")):
        with pytest.raises(ClientError):
            _by_key(hub, "dps-fw", key, refused)
    assert hub.registry.device("dps-fw") is None
    true = told()
    assert _by_key(hub, "dps-fw", key, true).status == "assigned"
    with pytest.raises(ClientError):
        _by_key(hub, "dps-fw", key, true)
    reasons = [record.getMessage() for record in caplog.records if "of 'dps-fw' was refused" in record.getMessage()]
    assert ["payload" in reasons[0], "hash" in reasons[1], "used before" in reasons[2]] == [True] * 3


@pytest.mark.parametrize("kind", [INDIVIDUAL, GROUP])
def test_a_certificate_lets_a_device_register(hub: TestHub, broker: str, tmp_path: Path, kind: str) -> None:
    """The very certificate of an individual enrolment, or one that the group's authority issued."""
    name, now = f"dps-x509-{kind}", datetime.now(UTC)
    if kind == INDIVIDUAL:
        issued = self_signed(name, now)
        section = {"clientCertificates": {"primary": {"certificate": issued.chain.decode()}}}
    else:
        root = Authority.root("Factory", now)
        issued = root.intermediate("Line", now).issue_device(name, now)
        section = {"signingCertificates": {"primary": {"certificate": root.pem.decode()}}}
    enrolment_id = name if kind == INDIVIDUAL else "g-x509"
    _enrol(hub, kind, enrolment_id, attestation={"type": "x509", "x509": section})
    (tmp_path / "chain.pem").write_bytes(issued.chain)
    (tmp_path / "key.pem").write_bytes(issued.key)
    certificate = X509(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem"))

    async def register() -> None:
        client = ProvisioningDeviceClient.create_from_x509_certificate(hub.address, name, _scope(hub), certificate)
        state = (await client.register()).registration_state
        assert state is not None
        device = IoTHubDeviceClient.create_from_x509_certificate(certificate, state.assigned_hub, state.device_id)
        await device.connect()
        await device.send_message("by certificate")
        await device.shutdown()

    asyncio.run(register())
    assert [record.value for record in records(broker, name)] == [b"by certificate"]


def test_a_handler_chooses_the_twin(hub: TestHub) -> None:
    """Custom allocation: the operator's handler is asked, and its twin and payload go to the device."""
    with _handler() as (address, asked):
        key = new_key()
        _enrol(
            hub, INDIVIDUAL, "dps-custom", attestation=_keys(key), allocationPolicy="custom",
            customAllocationDefinition={"webhookUrl": address, "apiVersion": "2019-03-31"},
        )  # fmt: skip
        result = _by_key(hub, "dps-custom", key, {"line": 7})
    assert json.loads(result.registration_state.response_payload) == {"for": "dps-custom"}
    assert asked[0]["deviceRuntimeContext"] == {"registrationId": "dps-custom", "payload": {"line": 7}}
    assert "attestation" not in asked[0]["individualEnrollment"]
    assert hub.registry.twin("dps-custom").desired == {"line": 7}
    _enrol(
        hub, INDIVIDUAL, "dps-ssrf", attestation=_keys(key), allocationPolicy="custom",
        customAllocationDefinition={"webhookUrl": "http://192.0.2.1/x"},
    )  # fmt: skip
    with pytest.raises(ClientError):
        _by_key(hub, "dps-ssrf", key)


@contextmanager
def _handler() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(request)
            context = request["deviceRuntimeContext"]
            twin = {"properties": {"desired": context["payload"]}}
            body = json.dumps({"initialTwin": twin, "payload": {"for": context["registrationId"]}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/allocate", asked
    finally:
        server.shutdown()
        server.server_close()


def test_a_revoked_device_is_out_and_the_others_stay(hub: TestHub) -> None:
    """The group is disabled: its device is cut off within a second."""
    group = new_key()
    _enrol(hub, GROUP, "g3", attestation=_keys(group))
    key = derive_key(group, "dps-revoked")
    _by_key(hub, "dps-revoked", key)

    async def lost() -> None:
        client = IoTHubDeviceClient.create_from_symmetric_key(key, hub.address, "dps-revoked", auto_connect=False)
        await client.connect()
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        client.on_connection_state_change = lambda: loop.call_soon_threadsafe(ended.set)  # type: ignore[assignment]
        _enrol(hub, GROUP, "g3", "*", attestation=_keys(group), provisioningStatus="disabled")
        await asyncio.wait_for(ended.wait(), 60.0)
        await client.shutdown()

    asyncio.run(lost())
    device = hub.registry.device("dps-revoked")
    assert device is not None
    assert not device.is_enabled
    with pytest.raises(CredentialError):
        _by_key(hub, "dps-revoked", key)
