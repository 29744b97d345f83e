"""OIDC tokens: bearer tokens of an identity provider, as keys of its users.

Belongs here: whether a token holds (signature, issuer, audience, times) and which scopes it carries. Its keys are
fetched by `provider_keys`; what scopes let through is in `scopes`.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError

from runtime.errors import UsageError
from runtime.settings import Settings
from serving.access.api_keys import ApiKey
from serving.access.provider_keys import ProviderKeys
from serving.access.scopes import Grant, Scopes, parse_scopes

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures by a private key alone: who can check a token cannot make one."""
OIDC_PREFIX = "oidc-"
"""What the id of a user begins with, where a key has one of its own."""
_LEEWAY_S = 30
_LONGEST = 16_384
_REQUESTS_A_SECOND = 50.0


class OidcTokens:
    """The tokens of the provider that the settings name."""

    def __init__(self, settings: Settings, keys: ProviderKeys) -> None:
        self._settings, self._keys = settings, keys

    def recognised(self, text: str, now: datetime) -> ApiKey | None:
        """The user of a token, as if he had a key; None for a token that does not hold.

        Raises Problem when the provider's keys cannot be had.
        """
        claims = self._claims(text, now) if len(text) <= _LONGEST else None
        if claims is None:
            return None
        said = f"{claims['iss']}\n{claims['sub']}"
        return ApiKey(
            key_id=f"{OIDC_PREFIX}{hashlib.sha256(said.encode()).hexdigest()[:12]}",
            name=str(claims["sub"]),
            scopes=scopes_of(claims.get(self._settings.oidc_claim)),
            requests_a_second=_REQUESTS_A_SECOND,
            created_at=now,
            expires_at=datetime.fromtimestamp(float(claims["exp"]), UTC),
            revoked_at=None,
        )

    def _claims(self, text: str, now: datetime) -> Mapping[str, Any] | None:
        required = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._settings.oidc_issuer or ""},
            aud={"essential": True, "value": self._settings.oidc_audience or ""},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            token = self._decoded(text)
            required.validate(token.claims)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            # whatever is wrong with it, its sender is told no more than that it does not hold
            return None
        return token.claims

    def _decoded(self, text: str) -> jwt.Token:
        try:
            return jwt.decode(text, self._keys.known(), algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            # the provider may have new keys
            return jwt.decode(text, self._keys.renewed(), algorithms=ALGORITHMS)


def scopes_of(claim: object) -> Scopes:
    """The scopes in a claim, a text with spaces between them or a list; what is none of ours lets nothing through."""
    texts = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    grants: list[Grant] = []
    for text in texts:
        try:
            grants += parse_scopes([text]).grants if isinstance(text, str) else ()
        except UsageError:
            continue
    return Scopes(tuple(grants))
