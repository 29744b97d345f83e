"""The dashboard over a real server: who sees what, and what a page is protected by."""

import http.client
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from hub.administration import create_device, opened_registry
from lake.records.verdicts import latest_failures
from lake.storage.lease import writer_lease
from lake.tables.gold import DEVICE_LATEST, DEVICES
from runtime.settings import Settings, load_settings
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes
from serving.dashboard.hub_twins import HubTwins
from tests.support.served_gold import DEVICE_SITES, HELD, START, publish, row, rows_of, served

MARKUP = "<img src=x onerror=alert(1)>"
_SCOPES = {"all": ["read"], "north": ["read:site=north"], "operator": ["read", "release"], "share": ["share"]}


class Browser:
    """What a browser does, without its pages' scripts."""

    def __init__(self, settings: Settings, address: str) -> None:
        self.settings, self.host = settings, address.removeprefix("http://")
        self.keys = {
            name: ApiKeys(settings).create(name, parse_scopes(scopes), datetime.now(UTC), requests_a_second=1000)[1]
            for name, scopes in _SCOPES.items()
        }

    def get(self, path: str, key: str | None = "all", **headers: str) -> tuple[int, http.client.HTTPMessage, str]:
        """Status, headers and page."""
        return self._ask("GET", path, key, None, headers)

    def post(
        self, path: str, key: str | None, fields: dict[str, str], origin: str = "ours"
    ) -> tuple[int, http.client.HTTPMessage, str]:
        """The same of a form that is sent."""
        given = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", path, key, urlencode(fields),
                         given | {"Origin": f"http://{self.host}" if origin == "ours" else origin})  # fmt: skip

    def token(self, key: str) -> str:
        """What the forms of a session carry."""
        page = self.get("/", key)[2]
        return page.split('name="token" value="')[1].split('"')[0]

    def _ask(
        self, method: str, path: str, key: str | None, body: str | None, headers: dict[str, str]
    ) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        cookie = {} if key is None else {"Cookie": f"lh_key={self.keys[key]}"}
        connection.request(method, path, body, cookie | headers)
        answer = connection.getresponse()
        page = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A server over gold of two sites, one device of which has markup for a name; d1 is registered in a hub."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path_factory.mktemp("dashboard"))})
    rows = rows_of(10, 1.0)
    for table in (DEVICES, DEVICE_LATEST):
        rows[table] = [*rows[table], row(table, "d3", START, 5.0) | {"device_id": MARKUP}]
    publish(settings, 1, rows)
    with opened_registry(settings) as registry:
        create_device(registry, "default", "d1")
    with served(settings.home) as address:
        yield Browser(settings, address)


PAGES = ("/", "/devices/d1", "/completeness", "/completeness?day=2026-11-18", "/held", "/alerts", "/trace")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_says_its_publication_and_is_shut_in(browser: Browser, path: str) -> None:
    """A page has the publication's number, and headers that let it load and be framed by nothing else."""
    status, headers, page = browser.get(path)
    assert status == 200
    assert 'id="publication" data-number="1"' in page
    assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert (headers["X-Frame-Options"], headers["Cache-Control"]) == ("DENY", "no-store")


def test_who_has_not_signed_in_is_asked_to(browser: Browser) -> None:
    """Without a key a page leads to signing in and back; a wrong key leads nowhere; scripts cannot read a right one."""
    status, headers, _ = browser.get("/devices/d1?unit=degc", None)
    assert (status, headers["Location"]) == (303, "/sign-in?next=%2Fdevices%2Fd1%3Funit%3Ddegc")
    assert browser.get("/sign-in", None)[0] == 200
    assert browser.post("/sign-in", None, {"key": "lh_0_x", "next": "/"})[0] == 401
    status, headers, _ = browser.post("/sign-in", None, {"key": browser.keys["all"], "next": "//evil.example"})
    assert (status, headers["Location"]) == (303, "/")
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_markup_in_a_name_is_text(browser: Browser) -> None:
    """A device whose name is markup is shown as that name, in pages and addresses."""
    for path in ("/", "/devices/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"):
        status, _, page = browser.get(path)
        assert status == 200
        assert MARKUP not in page
        assert MARKUP in unescape(page)
    page = browser.get("/?begins=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")[2]
    assert "<script>alert" not in page


def test_a_key_of_a_site_sees_that_site(browser: Browser) -> None:
    """Devices elsewhere are neither listed nor opened, held slices are refused, and a key without read sees nothing."""
    page = browser.get("/", "north")[2]
    # as links, since a form's token may have any two characters in it
    assert [f"/devices/{name}" in page for name in DEVICE_SITES] == [True, True, False]
    assert [f"/devices/{name}" in browser.get("/completeness", "north")[2] for name in DEVICE_SITES] == [
        True, True, False,
    ]  # fmt: skip
    assert browser.get("/devices/d3", "north")[0] == 404
    assert browser.get("/held", "north")[0] == 403
    assert browser.get("/", "share")[0] == 403
    assert browser.get("/completeness?day=soon")[0] == 400


def test_completeness_begins_with_the_first_day_on_which_something_was_due(browser: Browser) -> None:
    """Of the days shown those before there was any count are left out, so that a phone begins with figures."""
    assert re.findall(r'title="Hours of ([0-9-]+)"', browser.get("/completeness")[2]) == ["2026-11-18"]


def test_a_devices_twin_is_shown_where_a_hub_has_it(browser: Browser) -> None:
    """What the registry knows of a device stands on its page, and nothing on one that it does not know."""
    assert "not connected" in browser.get("/devices/d1")[2]
    assert 'id="twin"' not in browser.get("/devices/d2")[2]


def test_a_form_counts_from_our_own_page_only(browser: Browser) -> None:
    """Without the session's token, or from another site, nothing is released and nobody signed in or out."""
    token = browser.token("operator")
    fields = {"slice": HELD, "why": "looked at", "token": token}
    assert browser.post("/held/release", "operator", fields | {"token": ""})[0] == 403
    assert browser.post("/held/release", "operator", fields | {"token": browser.token("all")})[0] == 403
    assert browser.post("/held/release", "operator", fields, "http://evil.example")[0] == 403
    assert browser.post("/sign-in", None, {"key": browser.keys["all"]}, "null")[0] == 403
    assert browser.post("/sign-out", "operator", {"token": "x"})[0] == 403
    assert browser.get("/v1/devices", "all", Origin="http://127.0.0.1:1")[0] == 401
    assert [verdict.slice for verdict in latest_failures(browser.settings)] == [HELD]


def test_a_release_waits_for_who_writes(browser: Browser) -> None:
    """While a run holds the lake's lease the page says who does, and nothing is released: the run may be judging the
    slice anew."""
    fields = {"slice": HELD, "why": "looked at", "token": browser.token("operator")}
    with writer_lease(browser.settings, "tick"):
        status, headers, page = browser.post("/held/release", "operator", fields)
    assert (status, headers["Retry-After"]) == (503, "30")
    assert "tick" in page
    assert [verdict.slice for verdict in latest_failures(browser.settings)] == [HELD]


def test_who_may_releases_a_held_slice(browser: Browser) -> None:
    """A key with the scope gets the form, gives a reason, and the page says that it is released; others get neither."""
    assert "<textarea" not in browser.get("/held", "all")[2]
    assert browser.post("/held/release", "all", {"slice": HELD, "why": "x", "token": browser.token("all")})[0] == 403
    fields = {"slice": HELD, "token": browser.token("operator")}
    assert "<textarea" in browser.get("/held", "operator")[2]
    assert browser.post("/held/release", "operator", fields | {"why": " "})[0] == 400
    assert browser.post("/held/release", "operator", fields | {"why": "looked at"})[0] == 303
    assert "The next refresh publishes it" in browser.get("/held", "operator")[2]
    assert latest_failures(browser.settings) == []


def test_files_are_kept_and_packed(browser: Browser) -> None:
    """A script is sent packed and kept for ever at an address that follows from what it holds."""
    page = browser.get("/")[2]
    address = page.split('src="')[1].split('"')[0]
    status, headers, _ = browser.get(address, None)
    assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert "immutable" in headers["Cache-Control"]
    assert browser.get("/static/nothing.js", None)[0] == 404
    assert browser.get("/static/..%2Fpages.py", None)[0] == 404


def test_a_look_makes_no_hub(tmp_path: Path) -> None:
    """A home without a hub has no twins, and looking for one writes nothing."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    assert HubTwins(settings).of("d1") is None
    assert list(tmp_path.iterdir()) == []
