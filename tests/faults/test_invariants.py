"""The invariants themselves: they hold where nothing went wrong, and a doctored lake breaks each of them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from lake.records import publications
from lake.storage.locations import table_uri
from lake.tables.gold import DEVICE_HOURS, DEVICE_LATEST
from runtime.settings import Settings
from tests.faults.base import Scene
from tests.faults.invariants import Invariants, seen


def publish_versions(settings: Settings, tables: Mapping[str, int]) -> None:
    """One more publication, like the newest but for these versions."""
    newest = publications.newest(settings)
    assert newest is not None
    doctored = replace(newest, publication_id=newest.publication_id + 1, tables={**newest.tables, **tables})
    publications.record(settings, doctored)


def test_they_hold_on_an_undisturbed_lake(published: Scene, invariants: Invariants) -> None:
    """A lake that was filled in two runs without any fault is as it should be."""
    invariants.hold(published.settings, published.manifest)
    assert seen(published.settings)["publication"] == 2


def test_a_reading_that_is_there_twice_is_found(published: Scene, home: Path, invariants: Invariants) -> None:
    """One row more in a silver table breaks that every message counts once."""
    scene = published.copy(home)
    silver = DeltaTable(table_uri(scene.settings, "silver.thermostats"))
    write_deltalake(silver, silver.scan().read_all().slice(0, 1), mode="append")
    with pytest.raises(AssertionError, match="not every message counts once"):
        invariants.hold(scene.settings, scene.manifest)


def test_a_figure_that_was_changed_is_found(published: Scene, home: Path, invariants: Invariants) -> None:
    """A published row that no rebuild gives breaks that gold equals one."""
    scene = published.copy(home)
    gold = DeltaTable(table_uri(scene.settings, DEVICE_HOURS.name))
    gold.update(updates={"value_max": "value_max + 0.001"}, predicate="metric_name = 'temperature'")
    publish_versions(scene.settings, {DEVICE_HOURS.name: gold.version()})
    with pytest.raises(AssertionError, match=rf"{DEVICE_HOURS.name} has more than a full rebuild gives"):
        invariants.hold(scene.settings, scene.manifest)


def test_a_publication_of_mixed_versions_is_found(published: Scene, home: Path, invariants: Invariants) -> None:
    """One table pinned where another run has left it breaks that all gold tables move together."""
    scene = published.copy(home)
    gold = DeltaTable(table_uri(scene.settings, DEVICE_LATEST.name))
    publish_versions(scene.settings, {DEVICE_LATEST.name: gold.version() - 1})
    with pytest.raises(AssertionError, match=f"{DEVICE_LATEST.name} is pinned at"):
        invariants.hold(scene.settings, scene.manifest)
