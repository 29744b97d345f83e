"""Provider keys: the public keys by which an identity provider's tokens are checked, by address.

Belongs here: fetching and keeping them. What they are used for is in `oidc_tokens`.
"""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from runtime.deadlines import cut_after
from runtime.settings import Settings
from runtime.variables import secure_address
from serving.problems import Problem

_KEPT_S = 600.0
_USED_AT_MOST_S = 24 * 3600.0
_BETWEEN_S = 10.0
_LARGEST_BYTES = 1 << 20
_TIMEOUT_S = 5.0
_WHOLE_S = 10.0


def fetched(address: str, whole_s: float = _WHOLE_S) -> Any:
    """The JSON at an address; a connection is cut after `whole_s`. Raises OSError, HTTPException or ValueError."""
    request = Request(address, headers={"Accept": "application/json", "User-Agent": "lakehouse"})
    with ExitStack() as ends:
        late: list[threading.Event] = []

        def connected(*place: Any) -> socket.socket:
            plain = socket.create_connection(*place)
            late.append(ends.enter_context(cut_after(plain, whole_s)))
            return plain

        opener = build_opener(_SecureRedirects, _Http(connected), _Https(connected))
        # a connection that is cut ends, or is reset, as the bytes are under way
        with _told_as_late(address, whole_s, late), opener.open(request, timeout=_TIMEOUT_S) as answer:
            text = answer.read(_LARGEST_BYTES)
        return json.loads(text)


@contextmanager
def _told_as_late(address: str, whole_s: float, late: Sequence[threading.Event]) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not any(each.is_set() for each in late):
            raise
    if any(each.is_set() for each in late):
        raise TimeoutError(f"{address} had not answered after {whole_s:g} s")


def _made_by(
    kind: type[http.client.HTTPConnection], connected: Callable[..., socket.socket]
) -> Callable[..., http.client.HTTPConnection]:
    def made(host: str, **how: Any) -> http.client.HTTPConnection:
        connection = kind(host, **how)
        connection._create_connection = connected  # type: ignore[attr-defined]
        return connection

    return made


class _Http(HTTPHandler):
    def __init__(self, connected: Callable[..., socket.socket]) -> None:
        super().__init__()
        self._connected = connected

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_made_by(http.client.HTTPConnection, self._connected), req)


class _Https(HTTPSHandler):
    def __init__(self, connected: Callable[..., socket.socket]) -> None:
        super().__init__()
        self._connected = connected

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_made_by(http.client.HTTPSConnection, self._connected), req)


class _SecureRedirects(HTTPRedirectHandler):
    """On to an address only that nobody on the way can answer for, as the settings' own are."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        return super().redirect_request(req, fp, code, msg, headers, secure_address(newurl))


class ProviderKeys:
    """The keys, fetched when they are first needed, every ten minutes, and for a key that is not known.

    While the provider does not answer those that are known are used on, a day at most. It is asked every ten seconds at
    most, whatever tokens come, by one caller at a time: others wait for that answer only where they cannot do without.
    """

    def __init__(
        self, settings: Settings, fetch: Callable[[str], Any] = fetched, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._fetch, self._clock_s = settings, fetch, clock_s
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._got_s = self._asked_s = float("-inf")

    def known(self) -> KeySet:
        """The keys. Raises Problem when they cannot be had."""
        if self._clock_s() - self._got_s > _KEPT_S and self._lock.acquire(blocking=not self._are_usable()):
            try:
                self._ask()
            finally:
                self._lock.release()
        return self._usable()

    def renewed(self) -> KeySet:
        """The keys, asked for anew unless that was done a moment ago. Raises Problem."""
        with self._lock:
            self._ask()
        return self._usable()

    def _ask(self) -> None:
        now_s = self._clock_s()
        if now_s - self._asked_s < _BETWEEN_S:
            return
        self._asked_s = now_s
        try:
            address = self._settings.oidc_keys or self._fetch(_about(self._settings.oidc_issuer or ""))["jwks_uri"]
            keys = [key for key in self._fetch(secure_address(str(address)))["keys"] if key.get("kty") != "oct"]
            self._keys, self._got_s = KeySet.import_key_set({"keys": keys}), now_s
        except (OSError, ValueError, KeyError, TypeError, AttributeError, JoseError, http.client.HTTPException):
            return

    def _are_usable(self) -> bool:
        return self._keys is not None and self._clock_s() - self._got_s <= _USED_AT_MOST_S

    def _usable(self) -> KeySet:
        if self._keys is None or not self._are_usable():
            raise Problem(503, "No identity provider", "The identity provider's keys cannot be had now: try again.",
                          {"Retry-After": "10"})  # fmt: skip
        return self._keys


def _about(issuer: str) -> str:
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"
