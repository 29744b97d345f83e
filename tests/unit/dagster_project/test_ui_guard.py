"""The guard before Dagster's UI: which requests reach it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from dagster_project.ui_guard import Guard

KEY = "k" * 43
HOST = "127.0.0.1:3000"
BEARER = {"authorization": f"Bearer {KEY}"}


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the UI"})


def asked(
    path: str = "/", method: str = "GET", kind: str = "http", host: str = HOST, key: str = KEY,
    **headers: str,
) -> tuple[int, Mapping[str, str], bytes]:  # fmt: skip
    """Status, headers and body of the answer; a websocket that is closed at once counts as 403."""
    path, _, query = path.partition("?")
    lines = [(b"host", host.encode()), *((n.replace("_", "-").encode(), v.encode()) for n, v in headers.items())]
    scope = {"type": kind, "method": method, "path": path, "query_string": query.encode(), "headers": lines}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(Guard(_application, key)(scope, receive, send))
    if sent[0]["type"] == "websocket.close":
        return 403, {}, b""
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, sent[1]["body"]


def cookie_of(key: str = KEY) -> str:
    return asked(f"/?token={key}", key=key)[1]["set-cookie"].split(";")[0]


def test_the_printed_address_lets_a_browser_in_for_good() -> None:
    """It sets a cookie that no script and no other site gets, and goes to the same page without the key."""
    status, headers, _ = asked(f"/runs?token={KEY}&view=all")
    assert (status, headers["location"]) == (303, "/runs?view=all")
    assert headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict")
    status, headers, body = asked("/runs", cookie=f'theirs={{"a": [}}; {cookie_of()}; b=c')
    assert (status, body, headers["x-frame-options"]) == (200, b"the UI", "DENY")


def test_our_own_programs_give_the_key_with_each_request() -> None:
    """As a bearer token, with no cookie."""
    assert asked("/graphql", "POST", **BEARER)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"cookie": "lakehouse-0=x"}, {"authorization": "Bearer x"}, {"authorization": f"Basic {KEY}"},
     {"authorization": f"Bearer {KEY}x"}, {"authorization": "Bearer "}],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_without_the_key_nothing_is_reached(kind: str, headers: dict[str, str]) -> None:
    """Another user of the machine has no key; the answer says where it is."""
    status, _, body = asked(kind=kind, **headers)
    assert status == (401 if kind == "http" else 403)
    assert b"the UI" not in body


def test_another_lakehouses_cookie_opens_nothing_and_is_not_overwritten() -> None:
    """A browser sends a host's cookies to every port of it."""
    theirs, ours = cookie_of("t" * 43), cookie_of()
    assert theirs.split("=")[0] != ours.split("=")[0]
    assert asked(cookie=theirs)[0] == 401
    assert asked(cookie=f"{theirs}; {ours}")[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example:3000", "evil.example", "127.0.0.1.evil.example:3000", "", "0.0.0.0:3000", "localhost@evil.example",
     "[::2]:3000", "169.254.169.254"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_host_that_is_not_loopback_is_refused_with_any_key(kind: str, host: str) -> None:
    """A name of an attacker's that leads here would make this his page's own site."""
    assert asked(kind=kind, host=host, **BEARER)[0] == 403
    assert asked(f"/?token={KEY}", host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1:8888", "[::1]:3000", "LOCALHOST", "127.0.0.1"])
def test_every_name_of_loopback_is_taken(host: str) -> None:
    """Also another port, which a tunnel (`ssh -L`) may have."""
    assert asked(host=host, **BEARER)[0] == 200
    assert asked(host=host, origin=f"http://{host}", **BEARER)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:8888"},
     {"origin": "http://["}, {"origin": "http://evil@127.0.0.1:3000"},
     {"origin": "http://localhost:3000"}, {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
     {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"},
     {"sec_fetch_site": "same-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}],
)  # fmt: skip
@pytest.mark.parametrize(("kind", "method"), [("http", "GET"), ("http", "POST"), ("websocket", "GET")])
def test_pages_of_others_are_refused_with_the_cookie(kind: str, method: str, headers: dict[str, str]) -> None:
    """Another port of the same host is another page, and its requests carry the cookie."""
    assert asked("/graphql", method, kind, cookie=cookie_of(), **headers)[0] == 403


def test_a_link_from_elsewhere_may_be_followed() -> None:
    """The browser leaves the other page; GraphQL stays closed to it, and a form cannot be sent so."""
    following = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert asked("/runs", cookie=cookie_of(), **following)[0] == 200
    assert asked("/runs", "POST", cookie=cookie_of(), **following)[0] == 403
    assert asked("/graphql?query=mutation{x}", cookie=cookie_of(), **following)[0] == 403


@pytest.mark.parametrize("path", ["/graphql?query=mutation{x}", "/graphql?variables={}&query=x", "/graphql/?query=x"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_graphql_is_asked_by_post_alone(method: str, path: str) -> None:
    """A picture's address must not be able to start a run."""
    assert asked(path, method, **BEARER)[0] == 403
    assert asked("/graphql", "GET", **BEARER)[0] == 200  # the page for people who ask


def test_the_first_visit_leads_to_no_other_host() -> None:
    """An address that begins with two slashes would."""
    assert asked(f"//evil.example/?token={KEY}")[1]["location"] == "/evil.example/"
    assert asked(f"/\\evil.example/?token={KEY}")[1]["location"] == "/evil.example/"
