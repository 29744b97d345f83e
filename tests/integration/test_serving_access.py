"""The API behind TLS, for users of an identity provider: real servers of both, a real client."""

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.ports import free_port
from runtime.programs import addresses
from runtime.settings import load_settings
from runtime.supervisor import start_all, stop_all
from serving.access.api_keys import ApiKeys
from serving.programs import PROGRAMS
from tests.support.certificates import make_certificate
from tests.support.identity_provider import providing, token_of
from tests.support.served_gold import publish, rows_of


@pytest.fixture
def provider() -> Iterator[str]:
    """The issuer's address."""
    with providing() as issuer:
        yield issuer


def test_a_user_of_the_provider_reads_by_tls(tmp_path: Path, provider: str) -> None:
    """`up --serve` listens everywhere with a certificate; a token opens the API for the sites of its tenant only."""
    certificate, key = make_certificate(tmp_path)
    home, port = tmp_path / "home", free_port()
    settings = load_settings({
        "LAKEHOUSE_HOME": str(home), "LAKEHOUSE_API_PORT": str(port), "LAKEHOUSE_API_HOST": "0.0.0.0",
        "LAKEHOUSE_TLS_CERTIFICATE": str(certificate), "LAKEHOUSE_TLS_KEY": str(key),
        "LAKEHOUSE_OIDC_ISSUER": provider, "LAKEHOUSE_OIDC_AUDIENCE": "lakehouse",
    })  # fmt: skip
    publish(settings, 1, rows_of(2, 1.0))
    (home / "tenants.yml").write_text("acme: [north]\n")
    ours = [program for program in PROGRAMS if program.name == "serving"]

    def ask(claims: dict[str, Any]) -> tuple[int, Any]:
        token = token_of(provider, claims)
        trusted = ssl.create_default_context(cafile=str(certificate))
        connection = http.client.HTTPSConnection("localhost", port, timeout=120, context=trusted)
        connection.request("GET", "/v1/devices", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        return answer.status, body

    try:
        start_all(settings, ours, {"serve": True}, lambda _: None)
        assert addresses(settings, ours)["api"] == f"https://127.0.0.1:{port}"
        status, body = ask({"scope": "openid read:tenant=acme"})
        assert (status, [row["device_id"] for row in body["data"]]) == (200, ["d1", "d2"])
        assert [row["device_id"] for row in ask({"scope": "read"})[1]["data"]] == ["d1", "d2", "d3"]
        assert ask({"scope": "openid"})[0] == 403
        assert ask({"scope": "read", "aud": "another"})[0] == 401
        assert ask({"scope": "read", "exp": int(time.time()) - 60})[0] == 401
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        plain.request("GET", "/healthz")
        with pytest.raises((http.client.HTTPException, OSError)):
            plain.getresponse()
    finally:
        stop_all(settings, ours)
    # who has no key here is counted by the name that his token has; what does not hold is nobody's
    (used,) = ApiKeys(settings).usage_since(datetime.now(UTC).date() - timedelta(days=1))
    assert (used["name"], used["request_count"], used["refused_count"]) == ("ada", 3, 1)
    assert used["key_id"].startswith("oidc-")
