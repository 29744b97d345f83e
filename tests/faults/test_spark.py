"""Spark dies, or goes on for a client that has died.

Belongs here: faults of the Spark server, which the cases start for themselves where they kill it.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion import bronze_ingest
from ingestion.landing_topics import TELEMETRY
from lake.storage.delta import version_of
from lake.tables.bronze import BRONZE_TELEMETRY
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark
from runtime.spark.spark_configuration import NAME
from tests.faults.base import Scene, bounded, run_tick
from tests.faults.catalogue import Case
from tests.faults.harness import Point, run_to
from tests.faults.invariants import Invariants, seen

_APPEND = "lake.storage.spark_commits.append_once"
_HELD_UP_MS = 10
_HELD_UP_S = 6.0


def ticking_on_its_own(settings: Settings) -> None:
    """A step: one tick on the home's Spark."""
    ours = replace(settings, ingest_engine="spark")
    with running_spark(ours) as address:
        run_tick(ours, connect(address))


def slow_ticking(settings: Settings) -> None:
    """A step: a tick of three quarters of the messages, which Spark takes seconds to write."""
    append = bronze_ingest.append_once  # type: ignore[attr-defined]  # the one that stands there now

    def slowly(rows: DataFrame, *arguments: Any) -> None:
        sleep = F.expr(f"reflect('java.lang.Thread', 'sleep', cast({_HELD_UP_MS} AS bigint)) IS NOT NULL")
        append(rows.where(sleep), *arguments)

    with bounded(3 / 4), patch.object(bronze_ingest, "append_once", slowly):
        run_tick(replace(settings, ingest_engine="spark"), connect(settings.spark))


def spark_killed(scene: Scene, invariants: Invariants) -> None:
    """On a Spark of the case's own, started again by whoever needs it."""
    settings = replace(scene.settings, spark="local[2]")
    before = seen(settings)
    for when in ("files", "before"):
        run_to(Point(_APPEND, 1, when, "bronze/telemetry", kills=NAME), ticking_on_its_own, settings)
        assert seen(settings) == before
    scene.run()
    invariants.hold(scene.settings, scene.manifest)


def spark_goes_on(scene: Scene, invariants: Invariants) -> None:
    """The next tick reads how far bronze has come, and the killed one's commit would land only then."""
    run_to(Point(_APPEND, when="files", folder="bronze/telemetry"), slow_ticking, scene.settings)
    left_at = version_of(scene.settings, BRONZE_TELEMETRY.name)
    offsets = bronze_ingest.broker_offsets  # type: ignore[attr-defined]  # the one that stands there now

    def hesitant(bootstrap: str, topic: str) -> dict[int, tuple[int, int]]:
        deadline = time.monotonic() + (_HELD_UP_S if topic == TELEMETRY else 0)
        while version_of(scene.settings, BRONZE_TELEMETRY.name) == left_at and time.monotonic() < deadline:
            time.sleep(0.05)
        return offsets(bootstrap, topic)

    with patch.object(bronze_ingest, "broker_offsets", hesitant):
        scene.tick()
    scene.refresh()
    invariants.hold(scene.settings, scene.manifest)


CASES = (
    Case(
        "Spark killed in a tick",
        "SIGKILL to Spark's JVM while it writes bronze files, and again before it begins",
        "the tick fails; the next one starts Spark and takes up what each table has",
        spark_killed,
    ),
    Case(
        "Spark goes on for a dead client",
        "SIGKILL to a tick whose bronze commit Spark has not finished, and the next tick at once",
        "the lease is taken over when Spark has ended what it did for the dead process: no record lands twice",
        spark_goes_on,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_spark(case: Case, half: Scene, home: Path, invariants: Invariants) -> None:
    """What the case says holds."""
    case.prove(half.copy(home), invariants)
