"""Tables that delta-rs writes: declared schemas, whole commits, rolling back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from lake.storage.delta import (
    append,
    arrow_schema,
    commit_metadata,
    ensure_table,
    open_table,
    read_rows,
    replace,
    require_table,
    roll_back,
    version_of,
)
from lake.storage.locations import table_uri
from lake.storage.open_logs import open_logs
from lake.tables.gold import DEVICE_COMPLETENESS, GOLD_TABLES
from lake.tables.ops import OPS_PUBLICATIONS, OPS_VERDICTS
from runtime.errors import StepError
from runtime.settings import Settings
from tests.support.log_openings import counted_openings

TABLE = DEVICE_COMPLETENESS
DAY = date(2026, 11, 20)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake without tables."""
    return Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))


def _rows(*devices: str, hour: int = 5, received: int | None = 1) -> pa.Table:
    counts = {c.name: 0 for c in TABLE.columns if c.name.endswith("_count")} | {"received_count": received}
    at = datetime(2026, 11, 20, hour, tzinfo=UTC)
    rows = [counts | {"device_id": d, "hour_at": at, "event_date": DAY, "event_hour": hour} for d in devices]
    return pa.Table.from_pylist(rows, schema=pa.schema([f.with_nullable(True) for f in arrow_schema(TABLE)]))


def _devices(settings: Settings) -> list[tuple[int, str]]:
    opened = open_table(settings, TABLE.name)
    return [] if opened is None else sorted((row["event_hour"], row["device_id"]) for row in read_rows(opened))


@pytest.mark.parametrize("table", [*GOLD_TABLES, OPS_VERDICTS, OPS_PUBLICATIONS], ids=lambda t: t.name)
def test_tables_are_created_as_declared(settings: Settings, table) -> None:  # type: ignore[no-untyped-def]
    """Names, order, types, what is required and the partitions are those of the declaration."""
    created = ensure_table(settings, table)
    assert pa.schema(created.schema().to_arrow()) == arrow_schema(table)
    assert created.metadata().partition_columns == list(table.partition_by)


def test_a_table_that_is_not_there(settings: Settings) -> None:
    """Looking does not create."""
    assert open_table(settings, TABLE.name) is None
    assert version_of(settings, TABLE.name) is None


def test_replacing_an_hour_keeps_the_other_hours_of_its_file(settings: Settings) -> None:
    """A predicate on a column that is no partition rewrites the file, and what it does not select stays."""
    append(settings, TABLE, _rows("a", "b", hour=5), {})
    append(settings, TABLE, _rows("a", hour=6), {})
    where = "event_date IN (DATE '2026-11-20') AND event_hour IN (5)"
    version = replace(settings, TABLE, lambda: _rows("c").to_reader(), where, {"why": "late data"})
    assert _devices(settings) == [(5, "c"), (6, "a")]
    assert commit_metadata(settings, TABLE.name, version) == {"why": "late data"}


def test_no_rows_clear_what_is_replaced(settings: Settings) -> None:
    """A slice that has come to nothing is emptied."""
    append(settings, TABLE, _rows("a"), {})
    replace(settings, TABLE, lambda: _rows().to_reader(), "event_date IN (DATE '2026-11-20')", {})
    assert _devices(settings) == []


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (_rows("a", hour=6), "a row outside what is replaced"),
        (_rows("a", received=None), "a null in a required column"),
    ],
    ids=["outside", "null"],
)
def test_a_write_that_fails_leaves_the_table_as_it_was(settings: Settings, rows: pa.Table, why: str) -> None:
    """Half a commit is no commit: the version and the rows stay, and the error is one of ours."""
    version = append(settings, TABLE, _rows("a"), {})
    with pytest.raises(StepError, match=r"gold.device_completeness could not be written and is as it was"):
        replace(settings, TABLE, lambda: rows.to_reader(), "event_hour IN (5)", {})
    assert version_of(settings, TABLE.name) == version, why
    assert _devices(settings) == [(5, "a")]


def test_a_reader_that_breaks_leaves_the_table_as_it_was(settings: Settings) -> None:
    """The rows are read while they are written; what fails half way commits nothing."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield _rows("b").to_batches()[0]
        raise OSError("the disk is gone")

    version = append(settings, TABLE, _rows("a"), {})
    with pytest.raises(StepError, match="the disk is gone"):
        replace(settings, TABLE, lambda: pa.RecordBatchReader.from_batches(_rows().schema, batches()), None, {})
    assert version_of(settings, TABLE.name) == version


def test_rolling_back_restores_the_rows_of_a_version(settings: Settings) -> None:
    """What a killed run committed is undone; rolling back again changes nothing."""
    published = append(settings, TABLE, _rows("a"), {})
    append(settings, TABLE, _rows("b"), {})
    append(settings, TABLE, _rows("c"), {})
    version = roll_back(settings, TABLE, published)
    assert _devices(settings) == [(5, "a")]
    assert roll_back(settings, TABLE, version) == version


def test_rolling_back_keeps_compaction(settings: Settings) -> None:
    """A commit that only moved rows between files is not undone: it reads the same."""
    append(settings, TABLE, _rows("a"), {})
    published = append(settings, TABLE, _rows("b"), {})
    DeltaTable(table_uri(settings, TABLE.name)).optimize.compact()
    assert roll_back(settings, TABLE, published) == published + 1


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every log that is opened from now on."""
    return counted_openings(monkeypatch)


def test_a_step_opens_a_log_once_and_sees_what_was_committed_since(settings: Settings, openings: list[str]) -> None:
    """Rows, columns, versions and applications' progress, of this process and of others; outside a step, and in a
    step's own threads, each opening is one."""
    uri = table_uri(settings, TABLE.name)
    with open_logs():
        assert open_table(settings, TABLE.name) is None  # nothing is remembered of what is not there
        append(settings, TABLE, _rows("a"), {})
        with open_logs():
            assert _devices(settings) == [(5, "a")]
        openings.clear()
        other = DeltaTable(uri)
        wider = _rows("c").append_column("extra", pa.array(["new"]))
        done = CommitProperties(app_transactions=[Transaction("other", 7)])
        write_deltalake(other, wider, mode="append", schema_mode="merge", commit_properties=done)
        seen = require_table(settings, TABLE.name)
        assert seen.version() == other.version()
        assert "extra" in {field.name for field in seen.schema().fields}
        assert seen.transaction_version("other") == 7
        assert seen.scan().read_all().num_rows == 2
        assert openings == []
        pinned = require_table(settings, TABLE.name, 1)
        write_deltalake(other, wider, mode="append")
        assert require_table(settings, TABLE.name).version() == 3
        assert require_table(settings, TABLE.name, 1) is pinned
        assert pinned.version() == 1
        assert openings == [f"{TABLE.name}@1"]
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(version_of, settings, TABLE.name).result() == version_of(settings, TABLE.name)
        assert openings == [f"{TABLE.name}@1", TABLE.name]
    version_of(settings, TABLE.name)
    version_of(settings, TABLE.name)
    assert openings == [f"{TABLE.name}@1", *[TABLE.name] * 3]
