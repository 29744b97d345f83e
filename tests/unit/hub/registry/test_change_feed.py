"""The change feed: what every process has seen goes, whatever the wall clock says; who was away for long knows it."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from hub.registry import change_feed
from hub.registry.change_feed import MISSED, Change, ChangeFeed, record_change
from hub.registry.database import Tx
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.registry.registry_tables import CHANGES

WITHIN_S = 30.0


class Clocks:
    """The machine's clock, and the time that really went."""

    def __init__(self) -> None:
        self.wall, self.passed_s = datetime.now(UTC), 0.0


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def registry(tmp_path: Path, clocks: Clocks) -> Iterator[Registry]:
    made = Registry(f"sqlite:///{tmp_path / 'registry.db'}", lambda: clocks.wall)
    yield made
    made.close()


def change(registry: Registry, device_id: str) -> None:
    registry.write(lambda tx: record_change(tx, "identity", device_id)).result(WITHIN_S)


def kept(registry: Registry) -> list[str]:
    rows = registry.read(lambda tx: tx.connection.execute(select(CHANGES).order_by(CHANGES.c.n)).all())
    return [row.device_id for row in rows]


def looks(feed: ChangeFeed, registry: Registry, name: str) -> None:
    """Something new comes, and the feed has told of it and done all else that it does in a turn."""
    heard, turned = threading.Event(), threading.Event()
    for each in (heard, turned):
        feed._subscribers[:] = [lambda told, each=each: each.set() if told.device_id == name else None]
        change(registry, name)
        feed.wake()
        assert each.wait(WITHIN_S)


def test_what_was_seen_long_ago_goes_and_the_wall_clock_has_no_say(
    registry: Registry, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A little in each look; not when the registry opens, and not because a clock was set."""
    monkeypatch.setattr(change_feed, "_MOST_FORGOTTEN", 2)
    for number in range(5):
        change(registry, f"old-{number}")
    feed = ChangeFeed(registry.database, lambda: clocks.passed_s)
    looks(feed, registry, "first")
    clocks.wall += timedelta(days=1)
    Registry(registry.database.url, lambda: clocks.wall).close()
    clocks.passed_s += 599
    looks(feed, registry, "young")
    assert kept(registry)[:2] == ["", "old-0"]
    clocks.passed_s += 1
    looks(feed, registry, "later")
    for _ in range(3):
        looks(feed, registry, "later")
    assert not [name for name in kept(registry) if name.startswith("old")][1:]
    assert "young" in kept(registry)
    feed.close()


def test_who_was_away_for_so_long_that_changes_are_gone_is_told(registry: Registry) -> None:
    """Before the changes that are left; what it had in memory may be wrong, and is read anew."""
    seen: list[Change] = []
    told = {name: threading.Event() for name in ("d", "e")}

    def tell(each: Change) -> None:
        seen.append(each)
        told[each.device_id or "d"].set()

    registry.subscribe(tell)
    made = registry.write(lambda tx: create(tx, Identity("d", "default"))).result(WITHIN_S)
    assert told["d"].wait(WITHIN_S)
    assert registry.device("d") == made
    registry._devices["d"][""] = replace(made, status="disabled")

    def changes_that_are_gone(tx: Tx) -> None:
        record_change(tx, "identity", "d")
        tx.connection.execute(delete(CHANGES))
        record_change(tx, "desired", "e")

    registry.write(changes_that_are_gone).result(WITHIN_S)
    assert told["e"].wait(WITHIN_S)
    assert [each.kind for each in seen] == ["identity", MISSED, "desired"]
    assert registry.device("d") == made


def test_who_began_when_there_were_no_changes_is_told_too(registry: Registry) -> None:
    """It was away before it saw the first."""
    seen: list[str] = []
    told = threading.Event()

    def tell(each: Change) -> None:
        seen.append(each.kind)
        if each.device_id == "e":
            told.set()

    def changes_that_are_gone(tx: Tx) -> None:
        record_change(tx, "identity", "d")
        tx.connection.execute(delete(CHANGES))
        record_change(tx, "desired", "e")

    registry.subscribe(tell)
    registry.write(changes_that_are_gone).result(WITHIN_S)
    assert told.wait(WITHIN_S)
    assert seen == [MISSED, "desired"]


def test_one_change_looks_at_no_other_device(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is forgotten with its modules, and what is in memory of others is not gone through."""

    class NotGoneThrough(dict[str, dict[str, Identity]]):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("all devices are looked at")

    monkeypatch.setattr(registry, "_devices", NotGoneThrough())
    made = threading.Event()
    registry.subscribe(lambda each: made.set() if each.device_id == "e" else None)
    for device, module in (("d", ""), ("d", "m"), ("e", "")):
        registry.write(lambda tx, d=device, m=module: create(tx, Identity(d, "default", m))).result(WITHIN_S)
    assert made.wait(WITHIN_S)
    told = threading.Event()
    registry.subscribe(lambda each: told.set() if each.kind == "y" else None)
    for device, module in (("d", ""), ("d", "m"), ("e", "")):
        registry.device(device, module)
    change(registry, "d")
    registry.write(lambda tx: record_change(tx, "y", "d")).result(WITHIN_S)
    assert told.wait(WITHIN_S)
    assert ("d" in registry._devices, "e" in registry._devices) == (False, True)
