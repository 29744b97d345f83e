"""A route on its way out says so in every answer, by the standards' headers; the others say nothing of it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette

from runtime.settings import load_settings
from serving.access.api_keys import ApiKeys
from serving.access.doors import Doors
from serving.access.scopes import parse_scopes
from serving.api.api_app import api_routes
from serving.api.declared import Retirement
from serving.api.gold_routes import ROUTES
from serving.hot.hot_values import HotValues
from serving.problems import Problem, on_problem
from serving.snapshots import Snapshots
from tests.support.served_gold import publish, rows_of

GONE = Retirement(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 5, 1, 12, tzinfo=UTC), "/v1/devices")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[tuple[HTTPConnection, dict[str, str]]]:
    """To an API that has an older name of /v1/devices, and a key."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    publish(settings, 1, rows_of(2, 1.0))
    devices = next(route for route in ROUTES if route.path == "/v1/devices")
    older = replace(devices, path="/v0/devices", name="old_devices", retirement=GONE)
    routes = api_routes(settings, Doors(settings), Snapshots(settings), HotValues(), [older])
    app = Starlette(routes=routes, exception_handlers={Problem: on_problem})
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        _, key = ApiKeys(settings).create("k", parse_scopes(["read"]), datetime.now(UTC))
        asking = HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=120)
        yield asking, {"X-Api-Key": key}
        asking.close()
        server.should_exit = True
        thread.join(120)


def test_each_answer_says_it(connection: tuple[HTTPConnection, dict[str, str]]) -> None:
    """Rows, what is unchanged, and problems; beside a link to the next page; the page of the API has it as well."""
    asking, key = connection

    def ask(path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        asking.request("GET", path, headers={**headers})
        answer = asking.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    first = ask("/v0/devices?limit=1", **key)
    etag = first[1]["etag"]
    answers = [
        first, ask("/v0/devices?limit=1", **key, **{"If-None-Match": etag}), ask("/v0/devices?x=1", **key),
        ask("/v0/devices"),
    ]  # fmt: skip
    assert [status for status, _, _ in answers] == [200, 304, 400, 401]
    for _, headers, _ in answers:
        assert headers["deprecation"] == "@1793491200"
        assert headers["sunset"] == "Sat, 01 May 2027 12:00:00 GMT"
        assert headers["link"].endswith('</v1/devices>; rel="successor-version"')
    assert not {"deprecation", "sunset"} & set(ask("/v1/devices", **key)[1])
    page = ask("/openapi.json")[2]
    assert page.count(b'"deprecated":true') == 1
