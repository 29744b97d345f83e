"""Publications that follow each other while the API is asked without a pause."""

import http.client
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.settings import Settings, load_settings
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes
from tests.support.awaiting import awaited
from tests.support.postgres_gold import publish_hours
from tests.support.served_gold import served

_SPAN = "start=2026-11-18T00:00:00Z&end=2026-11-18T10:00:00Z"
# each of another table: the column, and how much more than the publication its value is (the greatest of an hour)
_QUESTIONS = {
    "/v1/latest": ("value_last", 0),
    f"/v1/series?device_id=d1&metric_name=temperature&{_SPAN}": ("value", 0),
    f"/v1/series?device_id=d3&metric_name=temperature&{_SPAN}&aggregate=max": ("value", 1),
    "/v1/site-days?start=2026-11-18&end=2026-11-19": ("value_mean", 0),
}
_LAST = 4


@pytest.fixture
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, str, str]]:
    """A home with a first publication, the address of its API and a key."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path_factory.mktemp("followed"))})
    publish_hours(settings, 1, 10)
    scopes = parse_scopes(["read"])
    _, key = ApiKeys(settings).create("load", scopes, datetime.now(UTC), requests_a_second=100_000)
    with served(settings.home) as address:
        yield settings, address.removeprefix("http://"), key


def test_no_answer_mixes_two_publications(asked: tuple[Settings, str, str]) -> None:
    """Whatever is asked at whatever moment, all of an answer is of the publication that it names; and none is of an
    earlier one than the answer before it."""
    settings, address, key = asked
    stop, lock = threading.Event(), threading.Lock()
    seen: set[int] = set()
    wrong: list[Any] = []

    def ask() -> None:
        connection = http.client.HTTPConnection(address, timeout=120)
        newest = 0
        while not stop.is_set():
            for path, (name, more) in _QUESTIONS.items():
                connection.request("GET", path, headers={"X-Api-Key": key})
                answer = connection.getresponse()
                body = json.loads(answer.read())
                number = int(answer.headers["Lakehouse-Publication"])
                values = {row[name] for row in body["data"]}
                with lock:
                    if values != {number + more} or number < newest or body["publication"] != number:
                        wrong.append((path, newest, number, values))
                    seen.add(number)
                newest = number
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, _LAST + 1):
            awaited(lambda number=number: wrong or number in seen, "that the publication is answered")
            if number < _LAST:
                publish_hours(settings, number + 1, 10)
    finally:
        stop.set()
        for thread in threads:
            thread.join(120)
    assert wrong == []
    assert seen == set(range(1, _LAST + 1))
