"""Scopes: what a key may do, and for which sites.

Belongs here: their spelling and what they let through. A scope is `verb`, `verb:site=NAME` or
`verb:tenant=NAME`, more of them add up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runtime.errors import UsageError

VERBS = ("read", "share", "release", "mail")
"""`read`: the API and the dashboard; `share`: the sharing server; `release`: publish a held slice; `mail`: send one."""


@dataclass(frozen=True)
class Grant:
    """A verb, for one site, for the sites of a tenant, or (both None) for every site."""

    verb: str
    site_id: str | None = None
    tenant: str | None = None

    def __str__(self) -> str:
        if self.tenant is not None:
            return f"{self.verb}:tenant={self.tenant}"
        return self.verb if self.site_id is None else f"{self.verb}:site={self.site_id}"

    def sites(self, tenants: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
        """The sites that it is for, None for all; a tenant that there is not has none."""
        if self.tenant is not None:
            return tenants.get(self.tenant, ())
        return None if self.site_id is None else (self.site_id,)


@dataclass(frozen=True)
class Scopes:
    """All that a key may do."""

    grants: tuple[Grant, ...]

    def allows(self, verb: str) -> bool:
        """True when the verb is allowed for any site."""
        return any(grant.verb == verb for grant in self.grants)

    def sites(self, verb: str, tenants: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
        """The sites for which the verb is allowed, None for all of them; `tenants` has the sites of each."""
        ours = [grant.sites(tenants) for grant in self.grants if grant.verb == verb]
        if None in ours:
            return None
        return tuple(sorted({site for sites in ours for site in sites or ()}))


def parse_scopes(texts: Iterable[str]) -> Scopes:
    """`["read:site=north", "share"]` as scopes. Raises UsageError."""
    return Scopes(tuple(_grant(text.strip()) for text in texts))


def _grant(text: str) -> Grant:
    verb, _, rest = text.partition(":")
    if verb not in VERBS:
        raise UsageError(f"The scope {text!r} begins with no verb: there are {', '.join(VERBS)}.")
    if not rest:
        if text.endswith(":"):
            raise UsageError(
                f"The scope {text!r} ends with a colon: write {verb}, {verb}:site=NAME or {verb}:tenant=NAME."
            )
        return Grant(verb)
    name, _, value = rest.partition("=")
    if name not in ("site", "tenant") or not value:
        raise UsageError(f"The scope {text!r} is not {verb}:site=NAME or {verb}:tenant=NAME.")
    return Grant(verb, value) if name == "site" else Grant(verb, tenant=value)
