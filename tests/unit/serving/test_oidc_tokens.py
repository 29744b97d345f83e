"""Tokens of an identity provider: which hold, what they let through, and how its keys are kept."""

import base64
import hmac
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from runtime.errors import UsageError
from runtime.settings import Settings, load_settings
from serving.access.listening import listening
from serving.access.oidc_tokens import OidcTokens, scopes_of
from serving.access.provider_keys import ProviderKeys, fetched
from serving.access.scopes import parse_scopes
from serving.access.tenant_sites import load_tenants
from serving.problems import Problem

ISSUER, AUDIENCE = "https://login.example/lake", "api://lakehouse"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"})
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Provider:
    """A provider whose answers can be changed, and that counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: list[Any] = [RSA, EC]
        self.asked: list[str] = []
        self.is_there = True
        self.now_s = 0.0

    def fetch(self, address: str) -> Any:
        """What it answers at an address."""
        self.asked.append(address)
        if not self.is_there:
            raise OSError("away")
        if address == f"{ISSUER}/.well-known/openid-configuration":
            return {"jwks_uri": "https://login.example/keys"}
        assert address == "https://login.example/keys"
        return {"keys": [*(key.as_dict(private=False) for key in self.keys), {"kty": "new kind", "kid": "x"}]}

    def tokens(self) -> OidcTokens:
        """Tokens that are checked by it."""
        return OidcTokens(settings(), ProviderKeys(settings(), self.fetch, lambda: self.now_s))


def settings(**more: str) -> Settings:
    """Settings with the provider."""
    said = {"LAKEHOUSE_OIDC_ISSUER": ISSUER, "LAKEHOUSE_OIDC_AUDIENCE": AUDIENCE} | more
    return load_settings(said)


def token(key: Any = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token that holds for an hour, with changes; None leaves a claim out."""
    now_s = int(NOW.timestamp())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now_s, "exp": now_s + 3600,
              "scope": "openid read:site=north read:tenant=acme release:all"} | changes  # fmt: skip
    said = {"alg": alg, "kid": key.kid} | (header or {})
    return jwt.encode(said, {n: v for n, v in claims.items() if v is not None}, key, algorithms=[alg])


@pytest.mark.parametrize(
    "text",
    [token(), token(EC, "ES256"), token(alg="PS256"), token(aud=["other", AUDIENCE]), token(header={"typ": "at+jwt"})],
)
def test_a_token_that_holds_is_its_user(text: str) -> None:
    """Signed by the provider, for us and in time: the user, with the scopes of ours that the token has."""
    user = Provider().tokens().recognised(text, NOW)
    assert user is not None
    assert user.name == "ada"
    assert [str(grant) for grant in user.scopes.grants] == ["read:site=north", "read:tenant=acme"]
    assert user.scopes.sites("read", {"acme": ("south",)}) == ("north", "south")
    assert not user.scopes.allows("release")


def _by_hand(header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token that the library does not make."""
    said = base64.urlsafe_b64encode(json.dumps({"kid": "rsa"} | header).encode()).rstrip(b"=").decode()
    signed = f"{said}.{token().split('.')[1]}"
    return f"{signed}.{base64.urlsafe_b64encode(sign(signed.encode())).rstrip(b'=').decode()}"


def _by_public_key() -> str:
    """For a checker that takes HS256: the secret is the public key, which everybody has."""
    return _by_hand({"alg": "HS256"}, lambda text: hmac.digest(RSA.as_pem(private=False), text, "sha256"))


def _with_unknown_demands() -> str:
    """Signed by the provider, and with a header that must be understood and is not."""
    key = RSA.private_key
    assert key is not None
    return _by_hand(
        {"alg": "RS256", "crit": ["x"], "x": 1}, lambda text: key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: token(OTHER), lambda: token(iss="https://login.example/other"), lambda: token(aud="other"),
        lambda: token(aud=None), lambda: token(iss=None), lambda: token(exp=None), lambda: token(sub=None),
        lambda: token(exp=int(NOW.timestamp()) - 31), lambda: token(nbf=int(NOW.timestamp()) + 60),
        lambda: token(exp="never"), _with_unknown_demands, _by_public_key,
        lambda: _by_hand({"alg": "none"}, lambda text: b""),
        lambda: token()[:-4] + "AAAA", lambda: "a.b.c", lambda: "", lambda: "é", lambda: token(more="x" * 20_000),
    ],
)  # fmt: skip
def test_a_token_that_does_not_hold_is_nobody(make: Callable[[], str]) -> None:
    """Another's key, issuer or audience, out of time, without a claim, unsigned, by a public key, or no token."""
    assert Provider().tokens().recognised(make(), NOW) is None


def test_new_keys_are_fetched_and_strangers_cause_no_rush() -> None:
    """A key that is not known is looked up once in ten seconds; while the provider is away the known ones serve."""
    provider = Provider()
    tokens = provider.tokens()
    assert tokens.recognised(token(), NOW) is not None
    new = RSAKey.generate_key(2048, {"kid": "new"})
    provider.keys = [new]
    for _ in range(100):
        assert tokens.recognised(token(new), NOW) is None
    assert len(provider.asked) == 2
    provider.now_s = 11
    assert tokens.recognised(token(new), NOW) is not None
    assert tokens.recognised(token(), NOW) is None
    provider.is_there = False
    provider.now_s = 3600
    assert tokens.recognised(token(new), NOW) is not None
    provider.now_s = 25 * 3600
    with pytest.raises(Problem, match="503"):
        tokens.recognised(token(new), NOW)


def test_a_shared_secret_among_its_keys_counts_for_nothing() -> None:
    """A secret that a provider published by mistake signs no token."""
    provider, secret = Provider(), OctKey.generate_key(256, {"kid": "oct"})
    real = provider.fetch
    tokens = OidcTokens(settings(), ProviderKeys(settings(LAKEHOUSE_OIDC_KEYS="https://login.example/keys"),
                        lambda address: {"keys": [*real(address)["keys"], secret.as_dict(private=True)]}))  # fmt: skip
    assert tokens.recognised(token(), NOW) is not None
    assert tokens.recognised(token(secret, "HS256"), NOW) is None
    assert KeySet([secret])


@pytest.mark.parametrize("address", ["http://login.example/keys", "file:///etc/hosts", "ftp://login.example/keys"])
def test_keys_come_by_a_way_that_nobody_can_answer_for(address: str) -> None:
    """Whatever the provider's own page says: an address without TLS, or a file of ours, is not asked."""
    asked: list[str] = []

    def fetch(where: str) -> Any:
        asked.append(where)
        return {"jwks_uri": address, "keys": [RSA.as_dict(private=False)]}

    with pytest.raises(Problem, match="503"):
        OidcTokens(settings(), ProviderKeys(settings(), fetch)).recognised(token(), NOW)
    assert asked == [f"{ISSUER}/.well-known/openid-configuration"]


def test_a_redirect_leads_to_no_other_way() -> None:
    """The provider's server may send on to another address by TLS alone."""

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's own name
            self.send_response(302)
            self.send_header("Location", "http://login.example/keys")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(ValueError, match="give https"):
            fetched(f"http://127.0.0.1:{server.server_port}/keys")
        thread.join(60)


@pytest.mark.parametrize("claim", [None, 7, {"read": True}, "READ", "read:", "read:site=", ["read:x=1", 3, None]])
def test_a_claim_that_is_none_of_ours_lets_nothing_through(claim: object) -> None:
    """Whatever a claim has, only what is spelt as a scope counts."""
    assert scopes_of(claim).grants == ()


def test_tenants_are_names_for_sites(tmp_path: Path) -> None:
    """A tenant's sites are those of the file, none when it is not there; a file that is wrong is said."""
    home = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    assert load_tenants(home) == {}
    (tmp_path / "tenants.yml").write_text("acme: [north, south]\nnone: []\n")
    scopes = parse_scopes(["read:tenant=acme", "read:site=west", "share:tenant=none", "release"])
    assert scopes.sites("read", load_tenants(home)) == ("north", "south", "west")
    assert scopes.sites("share", load_tenants(home)) == ()
    assert scopes.sites("release", {}) is None
    assert str(scopes.grants[0]) == "read:tenant=acme"
    for text in ("- a", "acme: north", "acme: [1]", "acme: ['']", "{"):
        (tmp_path / "tenants.yml").write_text(text)
        with pytest.raises(UsageError, match=r"tenants\.yml"):
            load_tenants(home)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"LAKEHOUSE_API_HOST": "0.0.0.0"}, "set LAKEHOUSE_TLS_CERTIFICATE"),
        ({"LAKEHOUSE_API_HOST": "::"}, "set LAKEHOUSE_TLS_CERTIFICATE"),
        ({"LAKEHOUSE_API_HOST": "lake.example", "LAKEHOUSE_TLS_CERTIFICATE": "a", "LAKEHOUSE_TLS_KEY": "b"},
         "nobody may ask"),
        ({"LAKEHOUSE_TLS_KEY": "b"}, "takes both files"),
        ({"LAKEHOUSE_OIDC_ISSUER": ISSUER}, "LAKEHOUSE_OIDC_AUDIENCE"),
        ({"LAKEHOUSE_OIDC_ISSUER": "http://login.example"}, "give https://host/path"),
    ],
)  # fmt: skip
def test_what_others_reach_is_guarded(tmp_path: Path, said: dict[str, str], wanted: str) -> None:
    """Off this machine there is TLS and somebody who may ask, or one sentence and nothing is started."""
    with pytest.raises(UsageError, match=wanted):
        listening(load_settings({"LAKEHOUSE_HOME": str(tmp_path)} | said), NOW)


def test_on_this_machine_nothing_is_needed(tmp_path: Path) -> None:
    """Loopback is listened at as it is."""
    assert listening(load_settings({"LAKEHOUSE_HOME": str(tmp_path)}), NOW) == {"host": "127.0.0.1"}
