"""The registry's threads outlive whatever goes wrong in one turn of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, current_thread
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from hub.registry.change_feed import Change
from hub.registry.database import Tx
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create, put
from runtime.errors import PlatformError

WITHIN_S = 30.0


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    yield made
    made.close()


def gone(*_: Any) -> Any:
    raise OperationalError("SELECT", {}, Exception("the server closed the connection"))


def test_a_database_that_is_away_for_a_moment_ends_no_feed(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is disabled afterwards is known to be, though it was in memory."""
    device = registry.write(lambda tx: create(tx, Identity("d", "default"))).result()
    read, has_failed = registry.database.read, Event()

    def read_badly(work: Callable[[Tx], Any]) -> Any:
        if current_thread().name == "registry-feed" and not has_failed.is_set():
            has_failed.set()
            gone()
        return read(work)

    monkeypatch.setattr(registry.database, "read", read_badly)
    assert has_failed.wait(WITHIN_S)
    told = Event()
    registry.subscribe(lambda change: told.set() if change.kind == "identity" else None)
    registry.write(lambda tx: put(tx, replace(device, status="disabled"), "*")).result()
    assert told.wait(WITHIN_S)
    found = registry.device("d")
    assert found is not None
    assert not found.is_enabled


def test_a_subscriber_that_fails_keeps_nothing_from_the_others(registry: Registry) -> None:
    """The next one is told of the same change."""
    told = Event()

    def fails(_change: Change) -> None:
        raise KeyError("detail")

    registry.subscribe(fails)
    registry.subscribe(lambda _change: told.set())
    registry.write(lambda tx: create(tx, Identity("d", "default"))).result()
    assert told.wait(WITHIN_S)


def test_a_connection_that_is_lost_within_a_group_ends_no_writer(registry: Registry) -> None:
    """Who waits is told, and what is written next is."""

    def loses_it(tx: Tx) -> None:
        tx.connection.invalidate()
        gone()

    lost = registry.write(loses_it)
    with pytest.raises((PlatformError, OperationalError)):
        lost.result(WITHIN_S)
    assert registry.write(lambda _tx: 7).result(WITHIN_S) == 7


def test_whoever_is_told_of_a_commit_and_fails_ends_no_writer(registry: Registry) -> None:
    """The next commit comes."""
    registry.on_commit(gone)
    for _ in range(2):
        assert registry.write(lambda _tx: 7).result(WITHIN_S) == 7
