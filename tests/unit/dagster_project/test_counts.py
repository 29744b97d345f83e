"""Counts: what Dagster is told of a silver table's slices."""

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema

from dagster_project.counts import written_since
from dagster_project.spans import spans
from lake.slices import runs_of
from lake.storage.delta import arrow_schema
from lake.storage.locations import table_uri
from lake.storage.slice_commits import NewRows, append_once
from lake.tables.contracts import Column, Table
from runtime.settings import Settings, load_settings

TABLE = Table(
    "silver.things",
    "thing",
    (Column("event_date", "date", "", nullable=False), Column("event_hour", "int", "", nullable=False),
     Column("event_at", "timestamp", "")),
    ("event_at",),
    "delta-rs",
    ("event_date",),
)  # fmt: skip


def append(settings: Settings, number: int, **hours: int) -> None:
    """Append so many records of each hour (`h05=3`) as the commit of that number."""
    day = date(2026, 11, 20)
    rows = [
        {"event_date": day, "event_hour": int(hour[1:]), "event_at": datetime(2026, 11, 20, int(hour[1:]), tzinfo=UTC)}
        for hour, count in hours.items()
        for _ in range(count)
    ]
    plain = pa.schema([field.with_nullable(True) for field in arrow_schema(TABLE)])
    counted = Counter(f"{day}T{row['event_hour']:02d}" for row in rows)
    new = NewRows(
        lambda: pa.Table.from_pylist(rows, plain).to_reader(), {"slices": runs_of(counted)}, counted, ("test", number)
    )
    append_once(settings, TABLE, new)


def test_no_plotted_number_is_made_of_other_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour with files of its own tells how many rows it has; two that share one tell no number, alone or in a span,
    whatever other files they have."""
    monkeypatch.setattr("lake.storage.slice_files._OWN_FILE_RECORDS", 4)
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    columns = Schema.from_arrow(arrow_schema(TABLE))
    DeltaTable.create(table_uri(settings, TABLE.name), columns, partition_by=["event_date"])
    append(settings, 1, h05=1, h06=3, h07=4)
    append(settings, 2, h06=5, h08=2)
    written = written_since(settings, TABLE.name, 0)
    assert written is not None
    told = {span.last: span.metadata for span in spans(written.rows, written.touched, written.about)}
    assert told == {
        "2026-11-20T05": {"rows_about": "about 2"},
        "2026-11-20T06": {"rows_about": "about 7"},
        "2026-11-20T07": {"rows": 4},
        "2026-11-20T08": {"rows": 2},
    }
    monkeypatch.setattr("dagster_project.spans.MOST", 1)
    (span,) = spans(written.rows, written.touched, written.about)
    assert span.metadata["rows_together"] == "about 15"
