"""What the dashboard's pages are made of: figures as text, addresses, and what the browser has to load."""

import gzip
import re
from pathlib import Path

import pytest
from starlette.requests import Request

import serving.dashboard
from serving.access.doors import key_of
from serving.dashboard.page_text import device_path, figure, level, moment, percent
from serving.dashboard.sessions import local_path

DASHBOARD = Path(serving.dashboard.__file__).parent
TEMPLATES = sorted((DASHBOARD / "templates").glob("*.html"))
SCRIPTS = sorted((DASHBOARD / "static").glob("*.js"))
OURS = [path for path in SCRIPTS if ".min." not in path.name]


def asked(**headers: str) -> Request:
    """A request of a browser that has signed in."""
    given = {"host": "127.0.0.1:8080", "cookie": "lh_key=lh_1_2"} | {n.replace("_", "-"): v for n, v in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": raw})


def test_a_share_is_100_only_when_all_came() -> None:
    """A share is rounded down, and its class says the same."""
    assert [percent(each) for each in (1.0, 0.9999, 0.5, 0.0, None)] == ["100", "99.9", "50", "0", "\N{EN DASH}"]
    assert [level(each) for each in (1.0, 0.9999, 0.95, 0.8, 0.5, 0.1, 0.0, None)] == [
        "c5", "c4", "c3", "c2", "c1", "c0", "c0", "none"
    ]  # fmt: skip


def test_figures_have_the_digits_that_a_person_reads() -> None:
    """Small figures keep two digits, large ones none; what is no number is shown as it is."""
    assert [figure(each) for each in (1.234, 123.456, 12345.6, 1e-5, 7, True, "on", None)] == [
        "1.23", "123.5", "12,346", "1e-05", "7", "True", "on", "\N{EN DASH}"
    ]  # fmt: skip
    assert moment("2026-11-20T05:03:00Z") == "2026-11-20 05:03"


def test_any_device_has_an_address() -> None:
    """A device's name may hold what an address may not."""
    assert device_path("a/b?c#d e%") == "/devices/a%2Fb%3Fc%23d%20e%25"


@pytest.mark.parametrize(
    "text", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "/a\nb", ""]
)
def test_signing_in_leads_nowhere_else(text: str) -> None:
    """Only a path of this server is gone on to."""
    assert local_path(text) == "/"
    assert local_path("/devices/d1?unit=degc") == "/devices/d1?unit=degc"


def test_a_cookie_counts_on_our_own_pages_only() -> None:
    """What the page of another site, or of another port, has the browser send has no key."""
    assert key_of(asked()) == "lh_1_2"
    assert key_of(asked(origin="http://127.0.0.1:8080", sec_fetch_site="same-origin")) == "lh_1_2"
    assert key_of(asked(origin="http://127.0.0.1:3000")) is None
    assert key_of(asked(origin="null")) is None
    assert key_of(asked(origin="http://[")) is None
    assert key_of(asked(sec_fetch_site="cross-site")) is None
    assert key_of(asked(sec_fetch_site="cross-site", x_api_key="lh_3_4")) == "lh_3_4"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_pages_have_no_script_or_style_of_their_own(path: Path) -> None:
    """The policy forbids them: no inline script, handler or style, nothing from elsewhere, nothing unescaped."""
    text = path.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\s(on[a-z]+|style)\s*=", text)
    assert not re.search(r"https?://|\|\s*safe", text)


def test_scripts_are_small_and_load_nothing_from_elsewhere() -> None:
    """All scripts together are at most 60 kB as they are sent; ours name no other host and write no markup."""
    assert len(OURS) == 2
    assert sum(len(gzip.compress(path.read_bytes())) for path in SCRIPTS) <= 60_000
    for path in OURS:
        assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|\beval\b", path.read_text())
