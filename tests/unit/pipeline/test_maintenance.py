"""Upkeep: which files and log entries go, which stay, and that a rearranged table is no changed one."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from lake.records import publications
from lake.records.publications import Publication
from lake.storage.compaction import compact, due
from lake.storage.delta import append, arrow_schema, open_table, read_rows, roll_back
from lake.storage.delta import replace as replace_rows
from lake.storage.lake_files import LakeFiles, StoredFile
from lake.storage.locations import table_uri
from lake.storage.log_files import KeptVersions, checkpoint, current_at, droppable_log, table_files, unread_files
from lake.tables.gold import DEVICE_COMPLETENESS
from lake.tables.gold_kinds import GAUGE_DAYS, GAUGE_HOURS
from pipeline.gold.stale import stale_slices
from pipeline.maintenance import Upkeep, plan_upkeep, upkeep
from pipeline.run import Run
from runtime.settings import Settings
from tests.support.small_lake import H5, THERMOSTATS, Lake

TABLE = DEVICE_COMPLETENESS
DAY = date(2026, 11, 20)
LATER = datetime.now(UTC) + timedelta(days=2)


def no_spark() -> SparkSession:
    """Nothing that Spark writes is compacted here."""
    raise AssertionError("Spark is asked for")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake without tables."""
    return Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))


def rows(device: str, day: date = DAY) -> pa.Table:
    at = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)
    row: dict[str, Any] = {c.name: 0 for c in TABLE.columns if c.name.endswith("_count")}
    row |= {"device_id": device, "hour_at": at, "event_date": day, "event_hour": 5}
    return pa.Table.from_pylist([row], schema=arrow_schema(TABLE))


def publication(
    number: int, age_days: int, tables: dict[str, int], inputs: dict[str, int] | None = None
) -> Publication:
    return Publication(
        publication_id=number, published_at=datetime.now(UTC) - timedelta(days=age_days), tables=tables,
        inputs=inputs or {}, slices=(), held=(), releases=(), first_slice=H5, last_slice=H5, models={},
        code_version="1", run_id="run",
    )  # fmt: skip


def rewrite(settings: Settings, times: int) -> None:
    """Replace the one day again and again; version n holds device n alone."""
    for version in range(1, times + 1):
        replace_rows(settings, TABLE, lambda v=version: rows(f"d{v}").to_reader(), "event_date = DATE '2026-11-20'", {})


def unread(settings: Settings, pinned: set[int], since: int, before: float) -> list[StoredFile]:
    files = LakeFiles(settings)
    newest = open_table(settings, TABLE.name)
    oldest = open_table(settings, TABLE.name, min({since, *pinned}))
    assert newest is not None
    assert oldest is not None
    kept = KeptVersions(oldest, pinned, since, newest.version())
    return unread_files(files, table_files(files, TABLE.name), kept, before)


def devices_at(settings: Settings, version: int | None = None) -> list[str]:
    opened = open_table(settings, TABLE.name, version)
    assert opened is not None
    return sorted(row["device_id"] for row in read_rows(opened))


def test_files_of_pinned_and_recent_versions_stay(settings: Settings) -> None:
    """Of six versions, what only unpinned old ones read goes; every pinned and every recent one reads as before."""
    rewrite(settings, 6)
    gone = unread(settings, {2, 4}, since=5, before=LATER.timestamp())
    LakeFiles(settings).delete(file.path for file in gone)
    assert len(gone) == 2
    assert [devices_at(settings, version) for version in (2, 4, 5, 6)] == [["d2"], ["d4"], ["d5"], ["d6"]]
    for version in (1, 3):
        with pytest.raises(Exception, match=r"(?i)not found|no such file"):
            devices_at(settings, version)


def test_a_file_that_no_commit_names_stays_while_it_is_young(settings: Settings) -> None:
    """It may be of a commit that is being made; later it is what a killed writer left."""
    rewrite(settings, 1)
    orphan = Path(table_uri(settings, TABLE.name)) / "event_date=2026-11-20" / "part-0.parquet"
    orphan.write_bytes(b"PAR1")
    made = orphan.stat().st_mtime
    assert unread(settings, set(), since=1, before=made - 1) == []
    assert [file.name for file in unread(settings, set(), since=1, before=made + 1)] == ["part-0.parquet"]


def test_the_version_of_a_moment_follows_the_age_of_the_commits(settings: Settings) -> None:
    """Readers that began at that moment read that version, or one after it."""
    rewrite(settings, 4)
    for version in range(5):
        path = Path(table_uri(settings, TABLE.name)) / "_delta_log" / f"{version:020d}.json"
        os.utime(path, (1000 * version, 1000 * version))
    lying = table_files(LakeFiles(settings), TABLE.name)
    assert [current_at(lying, 4, moment) for moment in (2999, 3000, 3500, 9000, -1)] == [2, 3, 3, 4, 0]


def test_the_log_is_cut_below_what_is_pinned(settings: Settings) -> None:
    """Entries before the newest checkpoint that the oldest needed version can start from go; it still reads."""
    rewrite(settings, 6)
    files = LakeFiles(settings)
    for version in (2, 4):
        opened = open_table(settings, TABLE.name, version)
        assert opened is not None
        checkpoint(files, opened, TABLE.name)
    lying = table_files(files, TABLE.name)
    assert droppable_log(lying, 1) == []
    gone = droppable_log(lying, 5)
    assert {file.name[:20] for file in gone} == {f"{version:020d}" for version in range(4)}
    files.delete(file.path for file in gone)
    assert [devices_at(settings, version) for version in (4, 5, 6, None)] == [["d4"], ["d5"], ["d6"], ["d6"]]


def test_small_files_of_days_that_are_over_become_one(settings: Settings) -> None:
    """The rows stay, the day's files become one, today's are left, and publishing does not take it for a change."""
    for device in ("a", "b", "c"):
        append(settings, TABLE, rows(device), {})
        append(settings, TABLE, rows(device, DAY + timedelta(days=1)), {})
    opened = open_table(settings, TABLE.name)
    assert opened is not None
    found = due(opened, TABLE, DAY + timedelta(days=1))
    assert (found.dates, found.files) == ((DAY,), 3)
    compact(settings, no_spark, TABLE, opened, found)
    again = open_table(settings, TABLE.name)
    assert again is not None
    assert due(again, TABLE, DAY + timedelta(days=1)).files == 0
    assert again.get_add_actions().num_rows == 4
    assert devices_at(settings) == ["a", "a", "b", "b", "c", "c"]
    assert roll_back(settings, TABLE, 6) == 7


def test_a_rearranged_silver_table_makes_nothing_stale(settings: Settings) -> None:
    """After a compaction of silver nothing is stale; after one more reading its slice is."""
    lake = Lake(settings)
    lake.fill(H5, 3)
    inputs = lake.write()
    silver = DeltaTable(table_uri(settings, THERMOSTATS))
    write_deltalake(silver, silver.scan().read_all(), mode="append")
    inputs[THERMOSTATS] = lake.version(THERMOSTATS)
    publications.record(settings, publication(1, 0, {GAUGE_HOURS.name: 0, GAUGE_DAYS.name: 0}, inputs))
    silver = DeltaTable(table_uri(settings, THERMOSTATS))
    assert silver.optimize.compact()["numFilesRemoved"] == 2
    assert lake.version(THERMOSTATS) == inputs[THERMOSTATS] + 1
    assert stale_slices(settings, lake.models).hours == {}
    write_deltalake(silver, silver.scan().read_all(), mode="append")
    assert list(stale_slices(settings, lake.models).hours) == [H5]


def done(settings: Settings) -> Upkeep:
    return upkeep(Run(settings, {}, "upkeep", LATER), no_spark)


def test_a_listed_publication_can_be_read_and_others_are_let_go(settings: Settings) -> None:
    """Publications older than the limit go with the files that only they pin; a dry run says so and changes nothing."""
    rewrite(settings, 3)
    for number, age_days in ((1, 40), (2, 5), (3, 1)):
        publications.record(settings, publication(number, age_days, {TABLE.name: number}))
    before = LakeFiles(settings).under()
    plan = plan_upkeep(settings, {}, now=LATER)
    assert LakeFiles(settings).under() == before
    assert done(settings) == plan
    assert plan.expired == (1,)
    (table,) = [each for each in plan.tables if each.table == TABLE]
    assert len(table.unread) == 1
    assert [each.publication_id for each in publications.list_all(settings)] == [2, 3]
    assert [devices_at(settings, version) for version in (2, 3)] == [["d2"], ["d3"]]
    again = done(settings)
    assert all(each.is_nothing for each in again.tables if each.table == TABLE)
    assert again.expired == ()


def test_the_newest_publication_stays_whatever_its_age(settings: Settings) -> None:
    """Readers always have one."""
    rewrite(settings, 2)
    publications.record(settings, publication(1, 400, {TABLE.name: 1}))
    assert done(replace(settings, keep_publications_days=0, keep_files_hours=0)).expired == ()
    assert devices_at(settings, 1) == ["d1"]


def test_upkeep_that_was_killed_between_its_steps_is_finished_by_the_next(settings: Settings) -> None:
    """With the publication let go and the files still there, the files go next time."""
    rewrite(settings, 3)
    for number, age_days in ((1, 40), (2, 1)):
        publications.record(settings, publication(number, age_days, {TABLE.name: number}))
    publications.forget(settings, 2)
    (table,) = [each for each in done(settings).tables if each.table == TABLE]
    assert len(table.unread) == 1
    assert [devices_at(settings, version) for version in (2, 3)] == [["d2"], ["d3"]]
