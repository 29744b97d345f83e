"""Data files of silver: page checksums, what the log says of them, and the commits that add and remove them."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Field, Schema
from deltalake.schema import PrimitiveType

from lake.storage.delta import arrow_schema, open_table
from lake.storage.locations import table_uri
from lake.storage.page_checks import pages_checked
from lake.storage.slice_commits import NewRows, append_once, replace_once
from lake.storage.slice_files import records_by_slice, slice_files, slices_of
from lake.tables.contracts import Column, Table
from runtime.errors import StepError
from runtime.settings import Settings, load_settings

MOMENT = datetime(2026, 11, 20, 5, 0, 0, 1500, tzinfo=UTC)
TABLE = Table(
    "silver.things",
    "thing",
    (
        Column("name", "string", "", nullable=False),
        Column("event_date", "date", "", nullable=False),
        Column("event_hour", "int", "", nullable=False),
        Column("event_at", "timestamp", ""),
        Column("value_degc", "double", ""),
    ),
    ("name",),
    "delta-rs",
    ("event_date",),
    ("name", "event_at", "event_hour"),
)
FIVE, SIX, SEVEN = (f"2026-11-20T0{hour}" for hour in (5, 6, 7))


@pytest.fixture(params=[["event_date"], ["event_date", "event_hour"]], ids=["by date", "by hour, as before"])
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """A lake with the table, empty."""
    made = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    columns = Schema.from_arrow(arrow_schema(TABLE))
    DeltaTable.create(table_uri(made, TABLE.name), columns, partition_by=request.param)
    return made


def row(name: str | None, hour: int = 5, at: datetime | None = MOMENT) -> dict[str, Any]:
    """A row of the table."""
    return {"name": name, "event_date": date(2026, 11, 20), "event_hour": hour, "event_at": at, "value_degc": 1.5}


def append(settings: Settings, *rows: dict[str, Any], txn: int = 1) -> None:
    """Append the rows once."""
    plain = pa.schema([field.with_nullable(True) for field in arrow_schema(TABLE)])
    new = NewRows(
        lambda: pa.Table.from_pylist(list(rows), plain).to_reader(), {"step": "t"}, counted(rows), ("test", txn)
    )
    append_once(settings, TABLE, new)


def counted(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Rows of each slice."""
    return Counter(f"{each['event_date']}T{each['event_hour']:02d}" for each in rows)


def replace(settings: Settings, rows: Sequence[dict[str, Any]], slices: Collection[str]) -> None:
    """Put the rows in the place of what the slices have."""
    made = pa.Table.from_pylist(list(rows), arrow_schema(TABLE))
    replace_once(settings, TABLE, NewRows(made.to_reader, {"step": "t"}, counted(rows), ("closing", 7)), slices)


def files(settings: Settings) -> list[tuple[str, ...]]:
    """The slices of each file."""
    opened = open_table(settings, TABLE.name)
    assert opened is not None
    return sorted(file.slices for file in slice_files(settings, TABLE.name, opened))


def names(settings: Settings) -> list[str]:
    """The names in the table."""
    opened = open_table(settings, TABLE.name)
    assert opened is not None
    return sorted(opened.to_pyarrow_table()["name"].to_pylist())


def test_the_log_says_what_a_file_has(settings: Settings) -> None:
    """Limits of the declared columns, times in milliseconds rounded outwards, and how many are missing."""
    append(settings, row("b"), row("a", at=None), row("c", at=MOMENT + timedelta(seconds=1)))
    log = Path(table_uri(settings, TABLE.name)) / "_delta_log" / f"{1:020d}.json"
    added = [json.loads(line)["add"] for line in log.read_text().splitlines() if "add" in json.loads(line)]
    stats = json.loads(added[0]["stats"])
    assert added[0]["partitionValues"]["event_date"] == "2026-11-20"
    assert stats["numRecords"] == 3
    # an hour is in the log either way: as a partition, or with its limits
    assert added[0]["partitionValues"].get("event_hour", str(stats["minValues"].pop("event_hour", None))) == "5"
    stats["maxValues"].pop("event_hour", None)
    assert stats["minValues"] == {"name": "a", "event_at": "2026-11-20T05:00:00.001Z"}
    assert stats["maxValues"] == {"name": "c", "event_at": "2026-11-20T05:00:01.002Z"}
    assert {"name": 0, "event_at": 1}.items() <= stats["nullCount"].items()


def test_a_long_text_has_no_limits(settings: Settings) -> None:
    """No reader skips a file for a limit that was cut."""
    append(settings, row("x" * 33))
    opened = open_table(settings, TABLE.name)
    assert opened is not None
    assert opened.get_add_actions(flatten=True)["min.name"].to_pylist() == [None]


def test_what_was_committed_is_not_committed_again(settings: Settings) -> None:
    """A transaction version at or below the last one adds nothing; one above does."""
    append(settings, row("a"))
    append(settings, row("a"))
    assert names(settings) == ["a"]
    append(settings, row("b"), txn=2)
    assert names(settings) == ["a", "b"]


def test_only_the_slices_that_are_meant_are_replaced(settings: Settings) -> None:
    """The rows of other hours stay, whichever files they lie in, and the commit carries its application's version."""
    append(settings, row("five"), row("six", 6))
    append(settings, row("six again", 6), row("seven", 7), txn=2)
    replace(settings, [row("new")], {FIVE})
    opened = open_table(settings, TABLE.name)
    assert opened is not None
    assert names(settings) == ["new", "seven", "six", "six again"]
    assert opened.transaction_version("closing") == 7
    assert slices_of(settings, TABLE.name, opened) == {FIVE, SIX, SEVEN}
    replace(settings, [row("other", 7)], {SEVEN})
    assert names(settings) == ["new", "other", "six", "six again"]


def test_no_rows_clear_a_slice(settings: Settings) -> None:
    """A slice of which nothing is left is in no file."""
    append(settings, row("five"), row("six", 6))
    replace(settings, [], {FIVE})
    assert names(settings) == ["six"]
    assert files(settings) == [(SIX,)]
    replace(settings, [], {SIX})
    assert (names(settings), files(settings)) == ([], [])


def test_files_are_cut_by_what_they_hold(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few records of several hours lie in one file, an hour of many in its own; the log tells which is which, also of a
    file whose path does not say it."""
    monkeypatch.setattr("lake.storage.slice_files._OWN_FILE_RECORDS", 3)
    append(settings, row("a"), row("b", 6), *(row(f"c{number}", 7) for number in range(3)))
    opened = open_table(settings, TABLE.name)
    assert opened is not None
    is_by_date = opened.metadata().partition_columns == ["event_date"]
    assert files(settings) == ([(FIVE, SIX), (SEVEN,)] if is_by_date else [(FIVE,), (SIX,), (SEVEN,)])
    assert records_by_slice(settings, TABLE.name, opened) == {FIVE: 1, SIX: 1, SEVEN: 3}
    opened.optimize.compact()
    compacted = open_table(settings, TABLE.name)
    assert compacted is not None
    assert slices_of(settings, TABLE.name, compacted) == {FIVE, SIX, SEVEN}


def test_what_is_damaged_is_not_written_again(settings: Settings) -> None:
    """A changed bit of an hour that stays must not come out as a figure of a new file with a good checksum."""
    append(settings, *(row(f"five {number}") for number in range(50)), row("six", 6))
    paths = list(Path(table_uri(settings, TABLE.name)).rglob("*.parquet"))
    if len(paths) > 1:  # each hour has its file, so no other is written again
        return
    column = pq.read_metadata(paths[0]).row_group(0).column(0)
    damaged = bytearray(paths[0].read_bytes())
    damaged[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    paths[0].write_bytes(damaged)
    with pytest.raises(StepError, match="is damaged"):
        replace(settings, [], {SIX})


def test_many_dates_have_a_file_each(settings: Settings) -> None:
    """Rows that come in any order, of more dates than files can be open, make no more files than dates."""
    days = [date(2020, 1, 1) + timedelta(days=number) for number in range(700)]
    append(settings, *({**row(f"{turn}"), "event_date": day} for turn in range(2) for day in days))
    assert len(files(settings)) == 700


def test_a_missing_value_leaves_the_table_as_it_was(settings: Settings) -> None:
    """A null in a required column is refused, and no version has the row."""
    append(settings, row("a"))
    with pytest.raises(StepError, match="is as it was"):
        append(settings, row(None), txn=2)
    assert names(settings) == ["a"]


def test_files_from_before_a_column_are_whole(settings: Settings) -> None:
    """A text that the table got later is not looked for in them."""
    append(settings, row("a"))
    DeltaTable(table_uri(settings, TABLE.name)).alter.add_columns([Field("state", PrimitiveType("string"))])
    opened = open_table(settings, TABLE.name)
    assert opened is not None
    with pages_checked(settings, {TABLE.name: opened.version()}, {"2026-11-20T05"}):
        pass


@pytest.mark.parametrize("encoding", [None, "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_a_flipped_bit_in_any_page_is_found(settings: Settings, encoding: str | None) -> None:
    """Also where the file can still be read and only a figure would differ; and a whole one passes however Spark,
    which compacts, has written its texts."""
    append(settings, *(row(f"thing {number}") for number in range(100)))
    opened = open_table(settings, TABLE.name)
    assert opened is not None
    (path,) = Path(table_uri(settings, TABLE.name)).rglob("*.parquet")
    if encoding is not None:
        pq.write_table(pq.read_table(path, partitioning=None), path, use_dictionary=False, write_page_checksum=True,
                       column_encoding={"name": encoding}, data_page_version="2.0")  # fmt: skip
    whole = path.read_bytes()
    versions, hour = {TABLE.name: opened.version()}, {"2026-11-20T05"}
    with pages_checked(settings, versions, hour):
        pass
    group = pq.read_metadata(path).row_group(0)
    for place in range(group.num_columns):
        column = group.column(place)
        end = column.data_page_offset + column.total_compressed_size
        if column.dictionary_page_offset is not None:
            end = column.dictionary_page_offset + column.total_compressed_size
        damaged = bytearray(whole)
        damaged[end - 1] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(StepError, match="is damaged"), pages_checked(settings, versions, hour):
            raise OSError("what the damage led to")
