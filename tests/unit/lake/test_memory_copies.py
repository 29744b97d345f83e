"""Keeper: copies in memory say what the pinned version says, are bounded, and stand back where anything is unusual."""

import json
import re
import struct
from base64 import b85encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from deltalake import write_deltalake

from lake.reading import memory_copies
from lake.reading.memory_copies import Keeper
from lake.reading.reader import Reader, open_reader
from lake.records import publications
from lake.records.publications import Publication
from lake.storage.delta import append
from lake.storage.locations import delta_options, table_uri
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_LATEST, DEVICE_MINUTES, DEVICES, GOLD_TABLES
from lakehouse.cli import sql_prompt
from lakehouse.cli.main import run
from runtime.errors import QueryError, UsageError
from runtime.settings import Settings, load_settings
from tests.support.small_lake import arrow_table

MINUTES = DEVICE_MINUTES.name
DAY = datetime(2026, 11, 20, tzinfo=UTC)
PLAN = "explain (format json) from gold.device_minutes"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake of which nothing is published yet."""
    return Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))


def minutes_of(day: int, count: int = 3) -> list[dict[str, Any]]:
    at = [DAY + timedelta(days=day, minutes=number % 1440) for number in range(count)]
    return [
        {"device_id": f"d{number % 2}", "metric_name": "temperature", "unit": "degc", "minute_at": moment,
         "event_date": moment.date(), "event_hour": moment.hour, "reading_count": 1, "value_mean": number / 7,
         "value_min": 1.5, "value_max": 2.5, "value_last": 2.0}
        for number, moment in enumerate(at)
    ]  # fmt: skip


def commit(settings: Settings, rows: list[dict[str, Any]], table: Table = DEVICE_MINUTES) -> int:
    return append(settings, table, arrow_table(table, rows), {})


def publish(settings: Settings, tables: dict[str, int]) -> None:
    publications.record(
        settings,
        Publication(
            publication_id=1, published_at=DAY, tables=tables, inputs={}, slices=(), held=(), releases=(),
            first_slice="", last_slice="", models={}, code_version="1", run_id="run",
        ),
    )  # fmt: skip


@contextmanager
def reader_with_copies(settings: Settings) -> Iterator[Reader]:
    """A reader that stays open, after all that is published was asked."""
    with open_reader(settings, {}, stays_open=True) as reader:
        assert reader.keeper is not None
        for name in reader.existing():
            if name.startswith("gold."):
                reader.run(f"from {name} limit 0")
        reader.keeper.wait()
        yield reader


def told(reader: Reader, table: str = MINUTES) -> list[list[Any]]:
    """Columns with their types, and all rows."""
    return [reader.run(sql).fetchall() for sql in (f"describe {table}", f"from {table} order by all")]


def told_by_files(settings: Settings, table: str = MINUTES) -> list[list[Any]]:
    with open_reader(settings, {}) as reader:
        assert reader.keeper is None
        return told(reader, table)


def reads_copy(reader: Reader) -> bool:
    return "in memory" in str(reader.run(PLAN).fetchall())


def reads_files(reader: Reader) -> bool:
    return "DELTA" in str(reader.run(PLAN).fetchall())


def test_a_copy_says_what_the_files_say(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, types and order of columns are the files', with days and without, however many the pieces."""
    monkeypatch.setattr(memory_copies, "_PIECE_ROWS", 4)
    commit(settings, minutes_of(0) + minutes_of(1) + minutes_of(3, 9))
    latest = {
        "device_id": "d1",
        "metric_name": "temperature",
        "unit": "degc",
        "event_at": DAY,
        "event_date": DAY.date(),
        "event_hour": 0,
        "value_last": 20.5,
    }
    pinned = {MINUTES: commit(settings, minutes_of(2)), DEVICE_LATEST.name: commit(settings, [latest], DEVICE_LATEST)}
    publish(settings, pinned | {DEVICES.name: commit(settings, [], DEVICES)})
    with reader_with_copies(settings) as reader:
        assert reads_copy(reader)
        assert not reads_files(reader)
        assert len(told(reader)[1]) == 18
        for name in (MINUTES, DEVICE_LATEST.name, DEVICES.name):
            assert reader.keeper is not None
            assert reader.keeper.source(name) is not None
            assert told(reader, name) == told_by_files(settings, name)


def test_what_is_not_published_is_not_copied(settings: Settings) -> None:
    """A copy is of the pinned version, whatever is committed after it."""
    publish(settings, {MINUTES: commit(settings, minutes_of(0))})
    commit(settings, minutes_of(1))
    with reader_with_copies(settings) as reader:
        assert reads_copy(reader)
        assert len(told(reader)[1]) == 3


def test_questions_do_not_wait_for_a_copy(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a copy is being made questions go to the files, from then on to the copy."""
    begun, copy = Event(), Keeper._copy

    def late(self: Keeper, table: Table, version: int, source: str) -> str | None:
        begun.wait(60)
        return copy(self, table, version, source)

    monkeypatch.setattr(Keeper, "_copy", late)
    publish(settings, {MINUTES: commit(settings, minutes_of(0))})
    with open_reader(settings, {}, stays_open=True) as reader:
        assert reader.keeper is not None
        assert len(told(reader)[1]) == 3
        assert not reads_copy(reader)
        begun.set()
        reader.keeper.wait()
        assert reads_copy(reader)
        assert len(told(reader)[1]) == 3


def test_a_reader_can_be_closed_amid_a_copy(settings: Settings) -> None:
    """Whoever leaves the prompt does not wait for what nobody will ask, and sees no error."""
    publish(settings, {MINUTES: commit(settings, minutes_of(0, 20_000))})
    with open_reader(settings, {}, stays_open=True) as reader:
        assert reader.run("select count(*) from device_minutes").fetchall() == [(20_000,)]


def test_the_newest_days_are_copied_of_a_table_that_is_too_large(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit stays in the files; together they are the table, and a copied day is asked of no file."""
    monkeypatch.setattr(memory_copies, "_PIECE_ROWS", 1000)
    limited = replace(settings, sql_memory_mb=10)
    publish(settings, {MINUTES: commit(settings, minutes_of(0) + minutes_of(1, 60_000) + minutes_of(43))})
    with reader_with_copies(limited) as reader:
        assert reader.keeper is not None
        assert reader.keeper.used() <= 10**7
        assert reads_copy(reader)
        assert reads_files(reader)
        assert told(reader) == told_by_files(settings)
        newest = reader.run(f"{PLAN} where event_date = '2027-01-02'").fetchall()
        assert "in memory" in str(newest)
        assert "DELTA" not in str(newest)


def test_nothing_is_copied_above_the_bound(settings: Settings) -> None:
    """Without room for a day, or with none at all, questions go to the files."""
    publish(settings, {MINUTES: commit(settings, minutes_of(0))})
    for megabytes in (0, 1):
        with reader_with_copies(replace(settings, sql_memory_mb=megabytes)) as reader:
            assert reader.keeper is not None
            assert reader.keeper.used() == 0
            assert not reads_copy(reader)
            assert told(reader) == told_by_files(settings)


def test_a_column_that_came_later_is_null_before(settings: Settings) -> None:
    """Files from before a column was declared have none of it, and the copy says so as the files do."""
    uri, options = table_uri(settings, MINUTES), delta_options(settings)
    old, new = arrow_table(DEVICE_MINUTES, minutes_of(0)), arrow_table(DEVICE_MINUTES, minutes_of(1))
    keys = list(DEVICE_MINUTES.partition_by)
    write_deltalake(uri, old.drop_columns(["value_mean"]), partition_by=keys, storage_options=options)
    write_deltalake(uri, new, mode="append", schema_mode="merge", storage_options=options)
    publish(settings, {MINUTES: 1})
    with reader_with_copies(settings) as reader:
        assert reads_copy(reader)
        assert told(reader) == told_by_files(settings)
        assert reader.run("select count(value_mean) from device_minutes").fetchall() == [(3,)]


@pytest.mark.parametrize("count", ["4", "null"])
def test_a_log_that_counts_other_rows_is_not_trusted(settings: Settings, count: str) -> None:
    """Counts that are not of the rows in the files, or are missing, leave questions to the files."""
    version = commit(settings, minutes_of(0))
    publish(settings, {MINUTES: version})
    for add in rewriting_log(settings, version):
        add["stats"] = re.sub(r'"numRecords":\d+', f'"numRecords":{count}', add["stats"])
    with reader_with_copies(settings) as reader:
        assert not reads_copy(reader)
        assert len(told(reader)[1]) == 3


def test_deleted_rows_are_not_copied(settings: Settings) -> None:
    """A row that a deletion vector takes out of its file is in no answer."""
    version = commit(settings, minutes_of(0))
    publish(settings, {MINUTES: version})
    for add in rewriting_log(settings, version, feature="deletionVectors"):
        add["deletionVector"] = {
            "storageType": "i", "pathOrInlineDv": z85(ROW_0_DELETED), "sizeInBytes": 34, "cardinality": 1
        }  # fmt: skip
    with reader_with_copies(settings) as reader:
        assert not reads_copy(reader)
        assert [row[5].minute for row in told(reader)[1]] == [2, 1]


# a Delta bitmap array of one Roaring bitmap that has the number 0, filled up to whole words
ROW_0_DELETED = struct.pack("<IQI" + "IIHHIH" + "H", 1681511377, 1, 0, 12346, 1, 0, 0, 16, 0, 0)


def z85(data: bytes) -> str:
    """ZeroMQ's base 85."""
    python = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    zeromq = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    return b85encode(data).decode().translate(str.maketrans(python, zeromq))


def rewriting_log(settings: Settings, version: int, feature: str | None = None) -> Iterator[dict[str, Any]]:
    """The files that a commit added, to be changed; with a table feature the protocol is one that has it."""
    folder = Path(table_uri(settings, MINUTES)) / "_delta_log"
    log, first = folder / f"{version:020d}.json", folder / f"{0:020d}.json"
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    yield from (entry["add"] for entry in entries if "add" in entry)
    log.write_text("\n".join(json.dumps(entry) for entry in entries))
    if feature is not None:
        features = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [feature],
                    "writerFeatures": [feature]}  # fmt: skip
        entries = [json.loads(line) for line in first.read_text().splitlines()]
        entries = [entry | ({"protocol": features} if "protocol" in entry else {}) for entry in entries]
        first.write_text("\n".join(json.dumps(entry) for entry in entries))


def test_rows_without_a_day_are_not_lost(settings: Settings) -> None:
    """A partition of no date cannot be told older or newer, so such a table stays in its files."""
    rows = minutes_of(0)
    rows[0]["event_date"] = None
    table = arrow_table(DEVICE_MINUTES, rows)
    write_deltalake(table_uri(settings, MINUTES), table, partition_by=list(DEVICE_MINUTES.partition_by))
    publish(settings, {MINUTES: 0})
    with reader_with_copies(settings) as reader:
        assert not reads_copy(reader)
        assert len(told(reader)[1]) == 3


def test_files_that_are_damaged_are_told_of(settings: Settings) -> None:
    """The copy fails without a word, the question that needs the file does not."""
    publish(settings, {MINUTES: commit(settings, minutes_of(0))})
    (file,) = Path(table_uri(settings, MINUTES)).rglob("event_date=*/*.parquet")
    file.write_bytes(b"no longer")
    with reader_with_copies(settings) as reader:
        assert not reads_copy(reader)
        with pytest.raises(QueryError):
            reader.run("select sum(value_mean) from device_minutes").fetchall()


def test_a_look_at_the_catalog_copies_nothing(settings: Settings) -> None:
    """SHOW names every table and asks none; copies are not in what it lists."""
    publish(settings, {MINUTES: commit(settings, minutes_of(0))})
    with open_reader(settings, {}, stays_open=True) as reader:
        shown = reader.run("show all tables").fetchall()
        assert reader.keeper is not None
        reader.keeper.wait()
        assert reader.keeper.used() == 0
    with reader_with_copies(settings) as reader:
        told(reader)
        assert reader.run("show all tables").fetchall() == shown


@pytest.mark.parametrize(
    "sql",
    [
        "delete from COPY", "update COPY set value_mean = 0", "drop table COPY", "insert into COPY from COPY",
        "with a as (delete from COPY returning *) from a", "from (delete from COPY returning *)",
        "from query('delete from COPY')", "truncate COPY", "explain analyze delete from COPY",
        'detach "gold.device_minutes in memory"', "alter table COPY drop value_mean",
    ],
)  # fmt: skip
def test_copies_cannot_be_changed(settings: Settings, sql: str) -> None:
    """Who knows where a copy lies can read it and no more."""
    publish(settings, {MINUTES: commit(settings, minutes_of(0))})
    with reader_with_copies(settings) as reader:
        assert reads_copy(reader)
        before = told(reader)
        changing = sql.replace("COPY", '"gold.device_minutes in memory".device_minutes')
        with pytest.raises(QueryError):
            [reader.run(statement) for statement in reader.statements(changing)]
        assert told(reader) == before
        with pytest.raises(QueryError):
            reader.run(f"from read_text('{settings.home}/secret')")


@pytest.mark.parametrize("has_question", [True, False])
def test_only_the_prompt_has_copies_made(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, has_question: bool
) -> None:
    """A single question has no use for copies; a prompt has."""
    publish(settings, {MINUTES: commit(settings, minutes_of(0))})
    monkeypatch.setenv("LAKEHOUSE_HOME", str(settings.home))
    monkeypatch.delenv("LAKEHOUSE_LAKE_URI", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    made: list[Settings] = []
    monkeypatch.setattr("lake.reading.reader.Keeper", lambda _, settings, limit: made.append(settings) or Closed())
    monkeypatch.setattr(sql_prompt, "prompt", lambda *_: None)
    assert run(["sql", *(["select 1"] if has_question else [])]) == 0
    assert len(made) == (0 if has_question else 1)


class Closed:
    """A keeper that was never asked."""

    def close(self) -> None:
        """Nothing is under way."""


def test_the_bound_is_a_setting(tmp_path: Path) -> None:
    """LAKEHOUSE_SQL_MEMORY_MB bounds the copies, goes on to children, and must be a number."""
    found = load_settings({"LAKEHOUSE_HOME": str(tmp_path), "LAKEHOUSE_SQL_MEMORY_MB": "7"})
    assert found.sql_memory_mb == 7
    assert load_settings(found.child_environment()) == found
    with pytest.raises(UsageError, match="LAKEHOUSE_SQL_MEMORY_MB"):
        load_settings({"LAKEHOUSE_SQL_MEMORY_MB": "much"})


def test_every_gold_table_can_be_copied(settings: Settings) -> None:
    """Each is declared in a way that its copy can be ordered by."""
    publish(settings, {table.name: commit(settings, [], table) for table in GOLD_TABLES})
    with reader_with_copies(settings) as reader:
        assert reader.keeper is not None
        assert all(reader.keeper.source(table.name) for table in GOLD_TABLES)
