"""The dashboard for users of an identity provider: they sign in with a token, and see and do what its scopes say."""

import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from lake.records.verdicts import verdicts_at
from runtime.settings import Settings, load_settings
from tests.support.identity_provider import providing, token_of
from tests.support.served_gold import HELD, publish, rows_of, served

Ask = Callable[..., tuple[int, http.client.HTTPMessage, str]]
Dashboard = tuple[Settings, str, Ask]


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Its home, its provider, and asking it as a browser does."""
    home: Path = tmp_path_factory.mktemp("tokens")
    settings = load_settings({"LAKEHOUSE_HOME": str(home)})
    publish(settings, 1, rows_of(2, 1.0))
    with providing() as issuer:
        more = {"LAKEHOUSE_OIDC_ISSUER": issuer, "LAKEHOUSE_OIDC_AUDIENCE": "lakehouse"}
        with served(home, more) as address:
            host = address.removeprefix("http://")

            def ask(path: str, token: str = "", fields: dict[str, str] | None = None) -> Any:
                connection = http.client.HTTPConnection(host, timeout=60)
                headers = {"Cookie": f"lh_key={token}"} if token else {}
                if fields is not None:
                    headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": address}
                body = None if fields is None else urlencode(fields)
                connection.request("GET" if fields is None else "POST", path, body, headers)
                answer = connection.getresponse()
                page = answer.read().decode()
                connection.close()
                return answer.status, answer.headers, page

            yield settings, issuer, ask


def test_a_token_signs_in(dashboard: Dashboard) -> None:
    """One that holds opens the pages by a cookie that scripts cannot read; one of another issuer, or too long for a
    cookie, opens nothing."""
    _, issuer, ask = dashboard
    assert "token of your identity provider" in ask("/sign-in")[2]
    token = token_of(issuer, {"scope": "read"})
    status, headers, _ = ask("/sign-in", fields={"key": token, "next": "/"})
    assert status == 303
    assert f"lh_key={token}" in headers["Set-Cookie"]
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "/devices/d3" in ask("/", token)[2]
    for wrong in (
        token_of("http://evil.example", {"scope": "read"}),
        token_of(issuer, {"scope": "read", "x": "x" * 4000}),
    ):
        assert ask("/sign-in", fields={"key": wrong})[0] == 401


def test_one_that_expires_signs_out(dashboard: Dashboard) -> None:
    """Its page leads to signing in again."""
    _, issuer, ask = dashboard
    token = token_of(issuer, {"scope": "read", "exp": int(time.time()) - 60})
    status, headers, _ = ask("/held", token)
    assert (status, headers["Location"]) == (303, "/sign-in?next=%2Fheld")


def test_its_scopes_say_what_it_may(dashboard: Dashboard) -> None:
    """A user of one site sees that alone; one without the scope releases nothing; a release bears the user's name."""
    settings, issuer, ask = dashboard
    north = ask("/", token_of(issuer, {"scope": "read:site=north"}))[2]
    assert "/devices/d1" in north
    assert "/devices/d3" not in north
    for scope, expected in (("read", 403), ("read release", 303)):
        token = token_of(issuer, {"scope": scope})
        form = ask("/", token)[2].split('name="token" value="')[1].split('"')[0]
        fields = {"slice": HELD, "why": "looked at", "token": form}
        assert ask("/held/release", token, fields)[0] == expected
    assert {verdict.released_by for verdict in verdicts_at(settings, "{}").values()} == {"ada"}
