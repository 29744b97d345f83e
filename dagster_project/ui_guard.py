"""The guard before Dagster's UI: who may ask it anything.

Belongs here: a wrapper for the webserver's own application that lets requests pass or answers them itself. Starting the
webserver with it is in `runs.webserver`.

The UI starts runs and deletes what it shows, asks nobody who he is, and takes mutations by GET, with any Host. So any
page in a browser of this machine, and any user of it, could. Here a request needs the home's key, in a cookie that is
set when the address that `lakehouse up` prints is opened, or as a bearer token, and
- a Host that names this machine's loopback: a name that an attacker points there is another site's to the browser;
- where a browser says so, an Origin and a page of the same site: a cookie goes to every port of a host;
- a POST, or a websocket, for questions to GraphQL.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = "ui"
"""The name of the home's key to the UI."""
PARAMETER = "token"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_REFUSED = 403
_UNKNOWN = 401
_HOW = "Open the address that `lakehouse up` printed, or that `lakehouse status --json` lists under addresses."


class Guard:
    """An ASGI application that stands before another one."""

    def __init__(self, app: Application, key: str) -> None:
        self._app, self._key = app, key
        # cookies go by host, whatever the port: each lakehouse of this machine has one of its own
        self._cookie = f"lakehouse-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do so."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = _refusal(scope)
        if refusal is not None:
            await _answer(scope, send, _REFUSED, refusal)
        elif self._is_first_visit(scope):
            await _answer(scope, send, 303, "", self._headers_of_first_visit(scope))
        elif self._is_known(scope):
            await self._app(scope, receive, _unframed(send))
        else:
            await _answer(scope, send, _UNKNOWN, f"This page needs the key of its lakehouse. {_HOW}")

    def _is_first_visit(self, scope: Scope) -> bool:
        given = dict(_query(scope)).get(PARAMETER)
        return scope["type"] == "http" and scope["method"] == "GET" and given is not None and self._is_key(given)

    def _headers_of_first_visit(self, scope: Scope) -> list[tuple[str, str]]:
        """To the same page, with a cookie and without the key in its address."""
        rest = urlencode([(name, value) for name, value in _query(scope) if name != PARAMETER])
        # two slashes at the beginning would be another host
        path = "/" + str(scope["path"]).lstrip("/\\")
        cookie = f"{self._cookie}={self._key}; Path=/; HttpOnly; SameSite=Strict"
        return [("location", f"{path}?{rest}" if rest else path), ("set-cookie", cookie)]

    def _is_known(self, scope: Scope) -> bool:
        scheme, _, given = _header(scope, "authorization").partition(" ")
        if scheme.lower() == "bearer" and self._is_key(given.strip()):
            return True
        # one by one, since what another program's cookie holds may not be a cookie's
        pairs = (each.strip().partition("=") for each in _header(scope, "cookie").split(";"))
        return any(name == self._cookie and self._is_key(value) for name, _, value in pairs)

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._key.encode())


def _refusal(scope: Scope) -> str | None:
    """Why nobody may ask this, with whatever key; None when one may."""
    host = _header(scope, "host")
    if _host_name(host) not in _LOOPBACK:
        return f"The Host {host[:100]!r} does not name this machine's loopback."
    origin = _header(scope, "origin")
    if origin and origin.partition("://")[2].lower() != host.lower():
        return f"A page of {origin[:100]} may not ask here."
    if _header(scope, "sec-fetch-site") not in ("", "none", "same-origin") and not _is_navigation(scope):
        return "A page of another site may not ask here."
    is_by_get = scope["type"] == "http" and scope["method"] != "POST" and "graphql" in scope["path"]
    if is_by_get and any(name != PARAMETER for name, _ in _query(scope)):
        return "GraphQL is asked by POST here."
    return None


def _is_navigation(scope: Scope) -> bool:
    """A link that a person follows: the browser leaves the other page, and sends it no answer."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and _header(scope, "sec-fetch-mode") == "navigate"
        and _header(scope, "sec-fetch-dest") == "document"
    )


def _header(scope: Scope, name: str) -> str:
    """A header's value; empty when it is not there, and when it is there twice."""
    values = [value for key, value in scope["headers"] if key.lower() == name.encode()]
    return values[0].decode("latin-1") if len(values) == 1 else ""


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _query(scope: Scope) -> Iterator[tuple[str, str]]:
    yield from parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _unframed(send: Send) -> Send:
    """No other page may show this one in a frame."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"x-frame-options", b"DENY")]
        await send(message)

    return sent


async def _answer(
    scope: Scope, send: Send, status: int, text: str, headers: list[tuple[str, str]] | None = None
) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    lines = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store"), *(headers or [])]
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in lines]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
