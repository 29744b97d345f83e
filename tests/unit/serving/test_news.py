"""News outlive what one look, record or unused connection does to them, and say what of them is gone."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import pytest
from starlette.requests import Request

from runtime.settings import load_settings
from serving.access.api_keys import ApiKey, ApiKeys
from serving.access.doors import Caller, Doors
from serving.access.scopes import parse_scopes
from serving.api.hot_routes import hot_latest, hot_minutes
from serving.hot.hot_values import HotValues
from serving.problems import Problem
from serving.push import news_sources, push_app
from serving.push.news import Item, News
from serving.push.news_sources import HotNews, watch_publications
from serving.push.push_app import PushServer
from serving.snapshots import Snapshots

KEY = ApiKey("k", "app", parse_scopes(["read"]), 50.0, datetime(2026, 11, 20, tzinfo=UTC), None, None)
PUBLICATION = SimpleNamespace(publication_id=7, published_at=datetime(2026, 11, 20, tzinfo=UTC), slices=(), held=())


class FakeTime:
    """A clock that is set by hand."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def serving(tmp_path: Path) -> tuple[PushServer, News, FakeTime, Request]:
    """A server, its news and clock, and a request with a key that holds."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    _, key = ApiKeys(settings).create("app", parse_scopes(["read"]), datetime.now(UTC), requests_a_second=1e6)
    clock, news = FakeTime(), News()
    headers = [(b"x-api-key", key.encode()), (b"accept", b"text/event-stream")]
    asked = Request({"type": "http", "method": "POST", "path": "/push", "query_string": b"", "headers": headers})
    return PushServer(Doors(settings), news, clock), news, clock, asked


def test_connections_that_nobody_uses_are_let_go_and_live_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute only the one that an event source reads is left, though something waits for it."""
    monkeypatch.setattr(push_app, "_LOOK_S", 0.0)
    server, news, clock, asked = serving(tmp_path)

    async def run() -> None:
        unused, live = [await server._opened(asked) for _ in range(2)]
        events = cast(AsyncGenerator[str, None], server._events(live))
        await anext(events)
        live.outgoing.put_nowait("waits")
        clock.now_s += 61
        keeping = asyncio.create_task(server.keep_time())
        while not unused.is_closed:
            await unused.outgoing.get()
        keeping.cancel()
        assert (unused.is_closed, live.is_closed) == (True, False)
        assert list(server._connections.values()) == [live]
        assert news._listeners == {live._on_item}
        await events.aclose()
        assert server._connections == {}

    asyncio.run(run())


def test_a_key_has_so_many_connections_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who negotiates without end is told to wait, and after a minute is let in again."""
    monkeypatch.setattr(push_app, "_MOST_A_KEY", 3)
    server, _, clock, asked = serving(tmp_path)

    async def run() -> None:
        for _ in range(3):
            await server._opened(asked)
        with pytest.raises(Problem, match="429"):
            await server._opened(asked)
        clock.now_s += 61
        await server._opened(asked)

    asyncio.run(run())


@pytest.mark.parametrize(("begins", "told", "since", "missed"), [
    (5000, range(5000, 5003), 100, True), (5000, range(5000, 5003), 4999, False), (5000, (), 4999, False),
    (5000, (), 100, True), (0, (3, 5), 3, False), (0, (5,), -1, False), (0, range(2001), 0, False),
    (0, range(2002), 0, True),
])  # fmt: skip
def test_what_is_missed_is_what_was_told_and_is_not_kept(
    begins: int, told: Sequence[int], since: int, missed: bool
) -> None:
    """After a restart too, where fewer are kept than ever could be; numbers that no news has are not missed."""
    news = News()
    news.begins("alerts", begins)
    for sequence in told:
        news.add(Item("alerts", sequence, {}))
    assert news.since("alerts", since)[1] is missed


def test_news_go_on_after_a_look_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer once ends no news of publications, and those before the first look are missed."""
    monkeypatch.setattr(news_sources, "_AFTER_FAILURE_S", 0.0)
    looks = iter([duckdb.IOException("no answer")])

    def newest() -> Any:
        for error in looks:
            raise error
        return SimpleNamespace(publication=PUBLICATION)

    async def run() -> tuple[list[int], bool]:
        news, came = News(), asyncio.Event()
        news.listen(lambda _: came.set())
        watching = asyncio.create_task(watch_publications(cast(Snapshots, SimpleNamespace(newest=newest)), news))
        await asyncio.wait_for(came.wait(), 30)
        watching.cancel()
        items, is_missing = news.since("publications", 4)
        return [item.sequence for item in items], is_missing

    assert asyncio.run(run()) == ([7], True)


class Record:
    """A record of a topic."""

    def __init__(self, topic: str, offset: int, value: bytes) -> None:
        self._said = topic, offset, value

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return self._said[0]

    def offset(self) -> int:
        return self._said[1]

    def value(self) -> bytes:
        return self._said[2]


def test_a_record_that_is_none_of_ours_hides_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After texts that are no JSON, a window without a revision, and what has other types than ours, the newest value
    and the minute are known and answered."""
    series = {"device_id": "d1", "metric_name": "t", "unit": "degc", "site_id": "n"}
    minute = {**series, "window": "device_minutes", "window_start": "2026-11-26T05:03:00Z"}
    records = [
        Record("latest", 0, b"\xff{"), Record("windows", 0, json.dumps(minute).encode()),
        Record("windows", 1, json.dumps(minute | {"revision": 2, "is_final": True}).encode()),
        Record("latest", 1, json.dumps(series | {"device_id": "d0", "site_id": 7}).encode()),
        Record("alerts", 1, b'{"rule": "r", "change": "fired", "seen": "x"}'), Record("alerts", 2, b'{"rule": "r"}'),
        Record("windows", 2, json.dumps(minute | {"revision": 3, "value_mean": "x"}).encode()),
        Record("latest", 1, json.dumps(series | {"value": 1}).encode()),
    ]  # fmt: skip
    came, followed = threading.Event(), []

    class FakeConsumer:
        def __init__(self, _: object) -> None: ...

        def list_topics(self, timeout: float) -> Any:
            return SimpleNamespace(topics={"latest": None})

        def get_watermark_offsets(self, place: object, timeout: float) -> tuple[int, int]:
            return 0, 2

        def assign(self, _: object) -> None: ...

        def consume(self, most: int, wait_s: float) -> list[Record]:
            if not records:
                came.wait(wait_s)
                followed.append(hot.is_followed)
                came.set()
            found, records[:] = records[:], []
            return found

        def close(self) -> None: ...

    monkeypatch.setattr(news_sources, "Consumer", FakeConsumer)
    hot, loop = HotValues(), asyncio.new_event_loop()
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path), "LAKEHOUSE_KAFKA_BOOTSTRAP": "127.0.0.1:9"})
    following = HotNews(settings, News(), hot, loop)
    try:
        assert came.wait(30)
    finally:
        following.close()
        loop.close()
    everything = {"cursor": None, "limit": 10, "device_id": None, "site_id": None, "metric_name": None, "unit": None}
    answer = hot_latest(hot, Caller(KEY, None), everything)
    assert [(row["device_id"], row["value"]) for row in answer.rows.to_pylist()] == [("d1", 1)]
    answer = hot_minutes(hot, Caller(KEY, None), {"device_id": "d1", "metric_name": "t", "unit": None})
    assert [row["value_mean"] for row in answer.rows.to_pylist()] == [None]
    assert [(each.revision, each.is_final) for each in hot.minutes(("d1", "t", "degc"))] == [(2, True)]
    assert (followed[0], hot.is_followed) == (True, False)


def test_a_stream_that_breaks_is_followed_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An error that nobody foresaw ends neither the thread nor what it says: hot values are not followed until then."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path), "LAKEHOUSE_KAFKA_BOOTSTRAP": "127.0.0.1:9"})
    again, tries, hot = threading.Event(), [], HotValues()

    def follow(self: HotNews, _: str) -> None:
        tries.append(hot.is_followed)
        hot.is_followed = True
        if len(tries) == 2:
            again.set()
            return
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(HotNews, "_follow", follow)
    loop = asyncio.new_event_loop()
    following = HotNews(settings, News(), hot, loop)
    try:
        assert again.wait(30)
    finally:
        following.close()
        loop.close()
    assert (tries, hot.is_followed) == ([False, False], False)
