"""Lists of the sharing server by pages, and one version of a table, as PROTOCOL.md of delta-sharing has them."""

import json
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from runtime.settings import Settings
from serving.access.doors import Caller, Doors
from serving.problems import Problem
from serving.sharing.sharing_app import SharingServer
from serving.snapshots import Snapshots

NAMES = ["device_days", "device_hours", "devices", "site_days", "sites"]
CALLER = cast(Caller, SimpleNamespace(sites=None))


def server() -> SharingServer:
    """A server of a publication with five tables."""
    tables = {f"gold.{name}": 1 for name in NAMES}
    newest = SimpleNamespace(publication=SimpleNamespace(tables=tables, publication_id=1))
    snapshots = cast(Snapshots, SimpleNamespace(newest=lambda: newest, of=lambda _: newest))
    return SharingServer(cast(Settings, None), cast(Doors, None), snapshots)


def asked(**query: Any) -> Request:
    """A request for something of the share."""
    path = {"share": "lakehouse", "schema": "gold", "table": "devices"}
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": urlencode(query).encode(),
                    "headers": [], "path_params": path})  # fmt: skip


@pytest.mark.parametrize("most", [1, 2, 5, 9, None])
def test_a_list_comes_in_pages_of_what_was_asked_for(most: int | None) -> None:
    """Each has as many as asked for at most, and a token until all have come; each item comes once."""
    found: list[str] = []
    query: dict[str, Any] = {} if most is None else {"maxResults": most}
    while True:
        page = json.loads(bytes(server()._tables(asked(**query), CALLER, {}).body))
        found += [item["name"] for item in page["items"]]
        assert len(page["items"]) <= (most or 5)
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    assert found == NAMES


def test_a_page_of_nothing_leaves_all_for_the_next() -> None:
    """No results may be asked for; the token then begins where that page did."""
    page = json.loads(bytes(server()._tables(asked(maxResults=0), CALLER, {}).body))
    assert page["items"] == []
    rest = json.loads(bytes(server()._tables(asked(pageToken=page["nextPageToken"]), CALLER, {}).body))
    assert [item["name"] for item in rest["items"]] == NAMES


@pytest.mark.parametrize("query", [{"maxResults": "-1"}, {"maxResults": "x"}, {"pageToken": "x"}])
def test_what_is_no_page_is_refused(query: dict[str, str]) -> None:
    """By every list."""
    for handler in (server()._tables, server()._schemas, server()._shares):
        with pytest.raises(Problem, match="400 Bad"):
            handler(asked(**query), CALLER, {})


def test_a_version_and_a_timestamp_are_not_both_asked_for() -> None:
    """Neither of files nor of metadata."""
    both = {"version": 1, "timestamp": "2026-11-20T05:00:00Z"}
    with pytest.raises(Problem, match="not both"):
        server()._query(asked(), CALLER, both)
    with pytest.raises(Problem, match="not both"):
        server()._metadata(asked(**both), CALLER, {})
