"""SIGKILL at every boundary of the line: the process that runs a step dies there, and the next one goes on.

Belongs here: the points at which Python dies. Spark's death is in `test_spark`, half written files in `test_files`.

A case kills one attempt after the other on the same lake, each further on, since that is what a crash loop does. To add
a boundary, add a point to a case or a case to CASES.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake.models.catalog import known_models
from lake.tables.gold import GOLD_TABLES
from pipeline.maintenance import upkeep
from pipeline.run import Run
from runtime.settings import Settings
from runtime.spark.connect_server import connect
from tests.faults.base import Scene
from tests.faults.catalogue import Case, by_lake
from tests.faults.harness import Point, Step, run_to
from tests.faults.invariants import Invariants, seen
from tests.faults.steps import publishing, refreshing, ticking, ticking_with_spark
from tests.support.warm import start_apart

DAY = timedelta(days=1)
_FORGET, _COMPACT = "lake.records.publications.forget", "lake.storage.compaction.compact"
_BRONZE, _SILVER = "lake.storage.spark_commits.append_once", "lake.storage.slice_commits.append_once"
_BRONZE_HERE = "ingestion.local_records.append_records"
_COMMIT, _RECORD = "pipeline.gold.publish._replace", "lake.records.publications.record"


def killed(scene: Scene, invariants: Invariants, step: Step, *points: Point) -> None:
    """Kill one attempt at each point, then run the line to its end."""
    before = seen(scene.settings)
    for point in points:
        run_to(point, step, scene.settings)
        assert seen(scene.settings) == before, f"readers see something of the run killed at {point}"
    scene.run()
    invariants.hold(scene.settings, scene.manifest)


def killed_after_the_record(scene: Scene, invariants: Invariants) -> None:
    """Readers have moved, and running again publishes nothing anew."""
    run_to(Point(_RECORD, when="after"), publishing, scene.settings)
    after = seen(scene.settings)
    assert after["publication"] == 2
    assert scene.refresh() is None
    assert seen(scene.settings) == after
    invariants.hold(scene.settings, scene.manifest)


def upkeeping(settings: Settings) -> None:
    """A step: upkeep of tomorrow, which lets go all but the newest publication and what only others need."""
    at_once, tomorrow = replace(settings, keep_publications_days=0, keep_files_hours=0), datetime.now(UTC) + DAY
    upkeep(Run(at_once, known_models(settings), "upkeep", tomorrow), lambda: connect(settings.spark))


def killed_in_upkeep(scene: Scene, invariants: Invariants) -> None:
    """Readers see what they saw, whatever upkeep has come to; in the end nothing is left to do."""
    before = seen(scene.settings)
    for point in (
        Point(_FORGET), Point(_FORGET, when="after"), Point(_COMPACT, 1, "files"), Point(_COMPACT, 1, "after"),
        # each attempt but these leaves a table less to do
        Point(_COMPACT, 2), Point(_COMPACT, 2, "after"), Point(_COMPACT, 2),
    ):  # fmt: skip
        run_to(point, upkeeping, scene.settings)
        assert seen(scene.settings) == before, f"readers see something of the upkeep killed at {point}"
    start_apart(upkeeping, scene.settings).join()
    assert seen(scene.settings) == before
    scene.run()
    invariants.hold(scene.settings, scene.manifest)


def dying(step: Step, *points: Point) -> Callable[[Scene, Invariants], None]:
    """The proof of a case that kills a step at points."""
    return lambda scene, invariants: killed(scene, invariants, step, *points)


OF_A_TICK = (
    Case(
        "killed around the bronze commit",
        "SIGKILL before the bronze commit of a tick that reads by itself, while its files are written, and after it",
        "each Kafka record is in bronze once",
        dying(
            ticking,
            Point(_BRONZE_HERE),
            Point(_BRONZE_HERE, when="files", folder="bronze/telemetry"),
            Point("ingestion.bronze_ingest.ingest_topic", when="after"),
        ),
    ),
    Case(
        "killed around Spark's bronze commit",
        "SIGKILL before the bronze commit, while Spark writes its files, and after it",
        "each Kafka record is in bronze once",
        dying(
            ticking_with_spark,
            Point(_BRONZE),
            Point(_BRONZE, when="files", folder="bronze/telemetry"),
            Point("ingestion.bronze_ingest.ingest_topic", when="after"),
        ),
    ),
    Case(
        "killed between the silver commits",
        "SIGKILL before the first silver commit, while its files are written and after it, and before and after "
        "`silver.rejected` closes the tick",
        "each record is in one silver table once",
        # three models have a table each, and `silver.rejected` comes last
        dying(
            ticking,
            Point(_SILVER),
            Point(_SILVER, when="files", folder="silver"),
            Point(_SILVER, when="after"),
            Point(_SILVER, 4),
            Point(_SILVER, 4, "after"),
        ),
    ),
)
OF_A_REFRESH = (
    Case(
        "killed before gold is built",
        "SIGKILL before silver's verdicts are stored, after that, and before dbt builds",
        "the next refresh judges and builds the same slices",
        dying(
            refreshing,
            Point("lake.records.verdicts.record_verdicts"),
            Point("lake.records.verdicts.record_verdicts", when="after"),
            Point("pipeline.gold.dbt_process.run_dbt"),
        ),
    ),
)
OF_A_PUBLICATION = (
    Case(
        "killed while a gold file is written",
        "SIGKILL when delta-rs has written the first file of a gold table",
        "the file counts nowhere",
        dying(publishing, Point(_COMMIT, when="files", folder="gold"), Point(_COMMIT, 3, "files", "gold")),
    ),
    Case(
        "killed between the gold commits",
        "SIGKILL before the first gold commit and after each, one attempt after the other",
        "readers see the publication before, whole; what was committed and not published is rolled back",
        dying(publishing, Point(_COMMIT), *(Point(_COMMIT, call, "after") for call in range(1, len(GOLD_TABLES) + 1))),
    ),
    Case(
        "killed before the publication record",
        "SIGKILL when all gold is committed and the record is not",
        "readers see the publication before, whole",
        dying(publishing, Point(_RECORD)),
    ),
    Case(
        "killed after the publication record",
        "SIGKILL right after the record",
        "readers have moved to the new publication, whole; running again publishes nothing anew",
        killed_after_the_record,
    ),
)
OF_UPKEEP = (
    Case(
        "killed in upkeep",
        "SIGKILL before and after publications are let go, before and after tables are compacted, while files are "
        "written, and before files are deleted",
        "readers see the newest publication as it was, whole; run again, upkeep goes on",
        killed_in_upkeep,
    ),
)
CASES = (*OF_A_TICK, *OF_A_REFRESH, *OF_A_PUBLICATION, *OF_UPKEEP)


_LAKES = by_lake(half=OF_A_TICK, ticked=OF_A_REFRESH, judged=OF_A_PUBLICATION, published=OF_UPKEEP)


@pytest.mark.parametrize(("lake", "case"), _LAKES, ids=str)
def test_kills(lake: str, case: Case, request: pytest.FixtureRequest, home: Path, invariants: Invariants) -> None:
    """What the case says holds, of a copy of the lake that it begins with."""
    scene: Scene = request.getfixturevalue(lake)
    case.prove(scene.copy(home), invariants)
