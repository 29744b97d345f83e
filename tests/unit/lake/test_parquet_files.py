"""Data files of silver: page checksums, what the log says of them, and the commits that add and remove them."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Field, Schema

from lake.storage.delta import append_once, arrow_schema, open_table, replace_once
from lake.storage.locations import table_uri
from lake.storage.page_checks import pages_checked
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
    ("event_date", "event_hour"),
    ("name", "event_at", "event_hour"),
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake with the table, empty."""
    made = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    columns = Schema.from_arrow(arrow_schema(TABLE))
    DeltaTable.create(table_uri(made, TABLE.name), columns, partition_by=list(TABLE.partition_by))
    return made


def row(name: str | None, hour: int = 5, at: datetime | None = MOMENT) -> dict[str, Any]:
    """A row of the table."""
    return {"name": name, "event_date": date(2026, 11, 20), "event_hour": hour, "event_at": at, "value_degc": 1.5}


def append(settings: Settings, *rows: dict[str, Any], txn: int = 1) -> None:
    """Append the rows once."""
    plain = pa.schema([field.with_nullable(True) for field in arrow_schema(TABLE)])
    append_once(
        settings, TABLE, lambda: pa.Table.from_pylist(list(rows), plain).to_reader(), "test", txn, {"step": "t"}
    )


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
    assert [each["partitionValues"] for each in added] == [{"event_date": "2026-11-20", "event_hour": "5"}]
    assert json.loads(added[0]["stats"]) == {
        "numRecords": 3,
        "minValues": {"name": "a", "event_at": "2026-11-20T05:00:00.001Z"},
        "maxValues": {"name": "c", "event_at": "2026-11-20T05:00:01.002Z"},
        "nullCount": {"name": 0, "event_at": 1},
    }


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


def test_only_the_partitions_that_are_meant_are_replaced(settings: Settings) -> None:
    """The rows of other hours stay, and the commit carries its application's version."""
    append(settings, row("five"), row("six", 6))

    def is_five(partition: Mapping[str, Any]) -> bool:
        return bool(partition["event_hour"] == 5)

    rows = pa.Table.from_pylist([row("new")], arrow_schema(TABLE))
    replace_once(settings, TABLE, rows.to_reader, is_five, {"step": "t"}, ("closing", 7))
    opened = open_table(settings, TABLE.name)
    assert names(settings) == ["new", "six"]
    assert opened is not None
    assert opened.transaction_version("closing") == 7


def test_no_rows_clear_a_partition(settings: Settings) -> None:
    """A slice of which nothing is left has no file."""
    append(settings, row("five"), row("six", 6))
    nothing = pa.Table.from_pylist([], arrow_schema(TABLE))
    replace_once(settings, TABLE, nothing.to_reader, lambda partition: partition["event_hour"] == 5, {"step": "t"})
    assert names(settings) == ["six"]


def test_a_missing_value_leaves_the_table_as_it_was(settings: Settings) -> None:
    """A null in a required column is refused, and no version has the row."""
    append(settings, row("a"))
    with pytest.raises(StepError, match="is as it was"):
        append(settings, row(None), txn=2)
    assert names(settings) == ["a"]


def test_files_from_before_a_column_are_whole(settings: Settings) -> None:
    """A text that the table got later is not looked for in them."""
    append(settings, row("a"))
    DeltaTable(table_uri(settings, TABLE.name)).alter.add_columns([Field("state", "string")])
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
