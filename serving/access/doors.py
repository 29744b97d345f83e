"""Doors: who is asking, and whether he may.

Belongs here: finding the key in a request, and refusing. Each face says which verb a route needs.
"""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import HTTPConnection

from runtime.errors import UsageError
from runtime.settings import Settings
from serving.access.api_keys import PREFIX, ApiKey, ApiKeys
from serving.access.oidc_tokens import OIDC_PREFIX, OidcTokens
from serving.access.provider_keys import ProviderKeys
from serving.access.tenant_sites import TenantSites, load_tenants
from serving.access.token_buckets import TokenBuckets
from serving.problems import Problem

_KEPT_S = 1.0


@dataclass(frozen=True)
class Caller:
    """Who asks: his key, and the sites that he may see (None for all)."""

    key: ApiKey
    sites: tuple[str, ...] | None


class Doors:
    """Recognises keys, and tokens of the identity provider where there is one.

    What it found of one holds for a second, so a revoked key is refused within that.
    """

    def __init__(self, settings: Settings, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._keys, self._clock_s = settings, ApiKeys(settings), clock_s
        self._tokens = OidcTokens(settings, ProviderKeys(settings)) if settings.oidc_issuer else None
        self._tenants: tuple[float, TenantSites] = (float("-inf"), {})
        self._buckets = TokenBuckets()
        # by their hashes: what strangers send may be long, and of keys no more is kept than has to be
        self._known: dict[bytes, tuple[float, ApiKey | None]] = {}
        self._counting = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._users: dict[str, str] = {}

    def admit(self, request: HTTPConnection, verb: str) -> Caller:
        """The caller, when his key holds, may do `verb`, and does not ask too often. Raises Problem."""
        text = key_of(request)
        if text is None:
            raise Problem(401, "No key", "Send your key as `Authorization: Bearer lh_…` or `X-Api-Key: lh_…`.")
        return self._admitted(self.recognised(text), verb)

    def admit_known(self, request: HTTPConnection, verb: str) -> Caller | None:
        """As `admit` where no file is looked at and nobody is asked for it, since what it needs was found within the
        last second; else None."""
        text, now_s = key_of(request), self._clock_s()
        kept = None if text is None else self._known.get(_name_of(text))
        if kept is None or now_s - kept[0] > _KEPT_S or now_s - self._tenants[0] > _KEPT_S:
            return None
        return self._admitted(kept[1], verb)

    def _admitted(self, key: ApiKey | None, verb: str) -> Caller:
        if key is None:
            raise Problem(401, "Unknown key", "This key is not known, was revoked or has expired.")
        try:
            caller = self._let_in(key, verb)
        except Problem:
            self._count(key, is_refused=True)
            raise
        self._count(key, is_refused=False)
        return caller

    def admit_still(self, text: str, verb: str) -> Caller | None:
        """The same caller later in a connection that lasts; None when his key, or his token, does not hold any more."""
        key = self.recognised(text)
        if key is None or not key.scopes.allows(verb):
            return None
        return Caller(key, key.scopes.sites(verb, self._tenant_sites()))

    def note_usage(self, now: datetime) -> None:
        """Store how often each key, and each user of the identity provider, asked since the last time."""
        with self._counting:
            counts = {key_id: (number, self._refused[key_id]) for key_id, number in self._asked.items()}
            users = dict(self._users)
            self._asked.clear()
            self._refused.clear()
            self._users.clear()
        if counts:
            self._keys.count_requests(now.date(), counts, users)

    def _count(self, key: ApiKey, *, is_refused: bool) -> None:
        with self._counting:
            self._asked[key.key_id] += 1
            self._refused[key.key_id] += is_refused
            if key.key_id.startswith(OIDC_PREFIX):
                self._users[key.key_id] = key.name

    def _let_in(self, key: ApiKey, verb: str) -> Caller:
        wait_s = self._buckets.take(key.key_id, key.requests_a_second, self._clock_s())
        if wait_s > 0:
            raise Problem(429, "Too many requests", f"This key may ask {key.requests_a_second:g} times a second.",
                          {"Retry-After": str(max(1, round(wait_s + 0.5)))})  # fmt: skip
        if not key.scopes.allows(verb):
            raise Problem(403, "Not allowed", f"This key has no scope for {verb}.")
        return Caller(key, key.scopes.sites(verb, self._tenant_sites()))

    def recognised(self, text: str) -> ApiKey | None:
        """Whose key, or token, it is; None when it does not hold."""
        now_s, name = self._clock_s(), _name_of(text)
        kept = self._known.get(name)
        if kept is None or now_s - kept[0] > _KEPT_S:
            if len(self._known) > 10_000:
                self._known.clear()
            kept = self._known[name] = (now_s, self._found(text, datetime.now(UTC)))
        return kept[1]

    def _found(self, text: str, now: datetime) -> ApiKey | None:
        if self._tokens is not None and not text.startswith(f"{PREFIX}_"):
            return self._tokens.recognised(text, now)
        return self._keys.recognised(text, now)

    def _tenant_sites(self) -> TenantSites:
        now_s = self._clock_s()
        if now_s - self._tenants[0] > _KEPT_S:
            try:
                self._tenants = (now_s, load_tenants(self._settings))
            except UsageError:
                self._tenants = (now_s, {})  # a file that cannot be read lets nobody through
        return self._tenants[1]


def _name_of(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


COOKIE = "lh_key"
"""Where a browser that signed in keeps its key."""


def key_of(request: HTTPConnection) -> str | None:
    """The key that a request carries. A browser's websockets and event sources can send it only in the address.

    A cookie comes with what another site has the browser send too, so it counts in requests of our own pages only.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    given = request.headers.get("x-api-key") or request.query_params.get("access_token")
    return given or (request.cookies.get(COOKIE) if is_of_our_pages(request) else None)


def is_of_our_pages(request: HTTPConnection) -> bool:
    """False when the browser says that the page of another site, or of another port, asks."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        return False
    return request.headers.get("sec-fetch-site", "none") in ("same-origin", "none")
