"""The registry on a disk that is full: SQLite may have no more pages."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hub.registry.database import Tx
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from runtime.errors import PlatformError


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    yield opened
    opened.close()


def allow_pages(registry: Registry, more: int) -> None:
    def limit(tx: Tx) -> None:
        pages: int = tx.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}")

    registry.write(limit).result()


def test_who_writes_on_a_full_disk_is_told_why_and_goes_on_when_there_is_room(registry: Registry) -> None:
    """No device is there in part, what is there can be read, and nothing has to be started anew."""
    registry.write(lambda tx: create(tx, Identity("before", "default"))).result()
    allow_pages(registry, 4)
    done = [registry.write(partial(create, wanted=Identity(f"d{n}", "default"))) for n in range(400)]
    errors = [each.exception() for each in done]
    refused = [each for each in errors if each is not None]
    assert refused
    assert {(type(each), str(each)) for each in refused} == {
        (PlatformError, "The registry could not commit: database or disk is full.")
    }
    there = [n for n in range(400) if registry.device(f"d{n}") is not None]
    assert there == [n for n, error in enumerate(errors) if error is None]
    assert registry.device("before") is not None
    allow_pages(registry, 1000)
    again = [registry.write(partial(create, wanted=Identity(f"e{n}", "default"))) for n in range(10)]
    assert [each.result().device_id for each in again] == [f"e{n}" for n in range(10)]
