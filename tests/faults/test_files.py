"""Files that are damaged, and disks that are full.

Belongs here: what becomes of bytes on disk. A published figure is either right or an error.
"""

import resource
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import psutil
import pytest
from deltalake import DeltaTable
from pyspark.errors import PySparkException

from dagster_project.runs.in_process import run_job
from lake.models.catalog import known_models
from lake.storage.locations import table_uri
from lake.storage.slice_files import slice_files
from lake.tables.gold import DEVICE_HOURS, DEVICE_MINUTES
from pipeline.run import Run
from pipeline.silver.tick import rebuild_silver
from runtime.errors import LakehouseError, StepError
from runtime.processes import find
from runtime.settings import Settings
from runtime.spark.connect_server import running_spark
from runtime.spark.spark_configuration import NAME
from tests.faults.base import Scene, bounded, run_refresh, tick_on
from tests.faults.catalogue import Case, by_lake
from tests.faults.invariants import Invariants, seen
from tests.faults.steps import publishing
from tests.support.warm import start_apart

Damage = Callable[[Path], None]


def truncate(path: Path) -> None:
    """Keep the first half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    """Keep nothing."""
    path.write_bytes(b"")


def flip_bits(path: Path) -> None:
    """Change one byte in the middle of the data pages."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def newest_file(settings: Settings, table: str) -> tuple[Path, list[str]]:
    """A file that the newest version of a table reads, the largest, and the hours that it holds."""
    files = slice_files(settings, table, DeltaTable(table_uri(settings, table)))
    largest = max(files, key=lambda file: (file.size_bytes, file.path))
    return Path(table_uri(settings, table)) / unquote(largest.path), list(largest.slices)


def of_gold(damage: Damage, scene: Scene, invariants: Invariants) -> None:
    """A backfill of one of its hours mends it."""
    before = seen(scene.settings)
    path, hours = newest_file(scene.settings, DEVICE_MINUTES.name)
    damage(path)
    if damage is not flip_bits:  # the reader has no checksums; `lakehouse verify` finds it
        with pytest.raises(LakehouseError, match=r"device_minutes"):
            seen(scene.settings)
    run_job(scene.settings, "publish", slices=hours[:1])
    assert {**seen(scene.settings), "publication": 2} == before
    invariants.hold(scene.settings, scene.manifest)


def of_silver(damage: Damage, scene: Scene, invariants: Invariants) -> None:
    """Gold cannot be built of it; judged anew from bronze, it can."""
    settings, before = scene.settings, seen(scene.settings)
    path, hours = newest_file(settings, "silver.thermostats")
    damage(path)
    with pytest.raises(StepError, match=r"thermostats"):
        run_job(settings, "publish", slices=hours)
    assert seen(settings) == before
    with scene.session() as session:
        rebuild_silver(lambda: session, Run(settings, known_models(settings), "rebuild", datetime.now(UTC)), hours)
    scene.refresh()
    assert {**seen(settings), "publication": 2} == before
    invariants.hold(settings, scene.manifest)


def of_a_log(scene: Scene, invariants: Invariants) -> None:
    """The newest entries of a gold table and of a silver table."""
    before = seen(scene.settings)
    for table, reads in ((DEVICE_HOURS.name, seen), ("silver.thermostats", run_refresh)):
        entry = max((Path(table_uri(scene.settings, table)) / "_delta_log").glob("*.json"))
        content = entry.read_bytes()
        truncate(entry)
        with pytest.raises(LakehouseError, match=table):
            reads(scene.settings)
        entry.write_bytes(content)
    assert seen(scene.settings) == before
    invariants.hold(scene.settings, scene.manifest)


def without_last_checkpoint(scene: Scene, invariants: Invariants) -> None:
    """Checkpoints themselves are there."""
    for log in Path(scene.settings.lake_uri).rglob("_delta_log"):
        DeltaTable(str(log.parent)).create_checkpoint()
        (log / "_last_checkpoint").unlink()
    scene.run()
    invariants.hold(scene.settings, scene.manifest)


_FULL_BYTES = 4096


def publishing_on_a_full_disk(settings: Settings) -> None:
    """A step whose files end at a few kilobytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FULL_BYTES, resource.RLIM_INFINITY))
    with pytest.raises(StepError, match=r"gold\.\w+ could not be written and is as it was"):
        publishing(settings)


def building_on_a_full_disk(settings: Settings) -> None:
    """A step whose candidate database has no room."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 * _FULL_BYTES, resource.RLIM_INFINITY))
    with pytest.raises(LakehouseError, match="candidate"):
        run_refresh(settings)


def full_for(step: Callable[[Settings], None], scene: Scene, invariants: Invariants) -> None:
    """The step fails as it says, readers see nothing of it, and with room again it is done."""
    before = seen(scene.settings)
    process = start_apart(step, scene.settings)
    process.join(240)
    assert process.exitcode == 0
    assert seen(scene.settings) == before
    scene.refresh()
    invariants.hold(scene.settings, scene.manifest)


def full_for_spark(scene: Scene, invariants: Invariants) -> None:
    """Spark's files end at a few kilobytes for one tick."""
    settings, before = replace(scene.settings, spark="local[2]", ingest_engine="spark"), seen(scene.settings)
    with running_spark(settings) as address:
        record = find(settings, NAME)
        assert record is not None
        spark = psutil.Process(record.pid)
        # a JVM that cannot unpack its libraries at their first use never can
        with bounded(3 / 4):
            tick_on(address, settings)
        spark.rlimit(psutil.RLIMIT_FSIZE, (_FULL_BYTES, resource.RLIM_INFINITY))
        with pytest.raises(PySparkException):
            tick_on(address, settings)
        assert seen(settings) == before
        spark.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        tick_on(address, settings)
    scene.refresh()
    invariants.hold(scene.settings, scene.manifest)


_DAMAGES = (("truncated", truncate), ("empty", empty))
_MENDED = "a backfill of one of its hours builds the whole day anew and mends it"
OF_PUBLISHED = (
    *(
        Case(
            f"{name} file in gold",
            f"{name} data file of `gold.device_minutes`",
            says,
            partial(of_gold, damage),
        )
        for name, damage, says in (
            *(
                (name, damage, f"readers get an error that names the table, no figure; {_MENDED}")
                for name, damage in _DAMAGES
            ),
            ("bit-flipped", flip_bits, f"{_MENDED}; `lakehouse verify` finds it before"),
        )
    ),
    *(
        Case(
            f"{name} file in silver",
            f"{name} data file of `silver.thermostats`",
            "nothing is built of it, with an error that names the table; a backfill of its hours mends it",
            partial(of_silver, damage),
        )
        # of gold, whose writer has no checksums, `lakehouse verify` finds it
        for name, damage in (*_DAMAGES, ("bit-flipped", flip_bits))
    ),
    Case(
        "truncated log entry",
        "the newest entry of a table's `_delta_log` cut in half, of gold and of silver",
        "readers and writers get an error that names the table; the entry restored, all is as before",
        of_a_log,
    ),
    Case(
        "last checkpoint missing",
        "`_last_checkpoint` deleted in every table",
        "all goes on",
        without_last_checkpoint,
    ),
)
OF_A_TICK = (
    Case(
        "disk full for Spark",
        "RLIMIT_FSIZE of 4 KB on Spark's JVM during a tick",
        "the tick fails, readers see the publication before; with room again a tick takes all",
        full_for_spark,
    ),
)
OF_A_REFRESH = (
    Case(
        "disk full for the candidates",
        "RLIMIT_FSIZE of 400 KB on the process that builds gold",
        "the refresh says so, readers see the publication before; with room again a refresh publishes",
        partial(full_for, building_on_a_full_disk),
    ),
)
OF_A_PUBLICATION = (
    Case(
        "disk full for gold",
        "RLIMIT_FSIZE of 4 KB on the process that commits gold",
        "the error names the table, readers see the publication before; with room again a refresh publishes",
        partial(full_for, publishing_on_a_full_disk),
    ),
)
CASES = (*OF_PUBLISHED, *OF_A_TICK, *OF_A_REFRESH, *OF_A_PUBLICATION)


_LAKES = by_lake(published=OF_PUBLISHED, half=OF_A_TICK, ticked=OF_A_REFRESH, judged=OF_A_PUBLICATION)


@pytest.mark.parametrize(("lake", "case"), _LAKES, ids=str)
def test_files(lake: str, case: Case, request: pytest.FixtureRequest, home: Path, invariants: Invariants) -> None:
    """What the case says holds, of a copy of the lake that it begins with."""
    scene: Scene = request.getfixturevalue(lake)
    case.prove(scene.copy(home), invariants)
