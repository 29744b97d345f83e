"""Tracing figures by kind: the columns that they are made of, and the readings that hours carry into later ones.

Belongs here: what differs for them from other gold. The rest is in `pipeline.proof.lineage`.
"""

from collections.abc import Mapping
from datetime import datetime

from lake.models.catalog import Model
from lake.models.kind_columns import kind_columns
from lake.reading.reader import Reader
from lake.sql_text import quoted
from lake.tables.contracts import Table
from lake.tables.gold_kinds import CARRYING
from pipeline.proof.lineage_sql import Row, rows_of, timestamp


def metrics_in(models: Mapping[str, Model], table: Table, reading: Row) -> list[tuple[str, str]]:
    """The metrics (name, unit) of a reading that a gold table is about."""
    model = models[reading["model_id"]]
    if table.kind is None:
        return [(t.metric_name, t.unit) for t in model.telemetry if t.is_metric and reading.get(t.column) is not None]
    return [
        (each.metric_name, each.unit)
        for each in kind_columns(models.values())
        if each.table == model.table and each.kind.name == table.kind and reading.get(each.column) is not None
    ]


def columns_by_table(models: Mapping[str, Model], row: Row, kind: str | None) -> dict[str, list[str]]:
    """Silver table -> the columns that hold the row's metric, as telemetry of a kind or of any; without a metric every
    table counts, and no column."""
    if "metric_name" not in row:
        return {model.table: [] for model in models.values()}
    metric = (row["metric_name"], row["unit"])
    held = (
        [(m.table, t.column, t.metric_name, t.unit) for m in models.values() for t in m.telemetry if t.is_metric]
        if kind is None
        else [(c.table, c.column, c.metric_name, c.unit) for c in kind_columns(models.values()) if c.kind.name == kind]
    )
    tables: dict[str, list[str]] = {}
    for table, column in sorted({(table, column) for table, column, *named in held if tuple(named) == metric}):
        tables.setdefault(table, []).append(f'"{column}"')
    return tables


def carried_at(reader: Reader, table: Table, row: Row) -> datetime | None:
    """When the reading was measured that a row begins with, one of an hour before; None without one."""
    if "carried_at" in row or table.kind is None:
        return row.get("carried_at")
    hours = next(each for each in CARRYING if each.kind == table.kind)
    found = rows_of(
        reader,
        f"SELECT first(carried_at ORDER BY hour_at) AS carried_at FROM {hours.name} "
        f"WHERE event_date = DATE '{row['event_date']}' AND {_same_metric(row)}",
    )
    at: datetime | None = found[0]["carried_at"]
    return at


def carried_into(reader: Reader, table: Table, metrics: list[tuple[str, str]], reading: Row) -> list[Row]:
    """The rows of hours that begin with a reading of an hour before."""
    if table not in CARRYING or not metrics:
        return []
    names = ", ".join(f"({quoted(name)}, {quoted(unit)})" for name, unit in metrics)
    return rows_of(
        reader,
        f"SELECT * FROM {table.name} WHERE event_date >= DATE '{reading['event_date']}' "
        f"AND device_id = {quoted(reading['device_id'])} AND (metric_name, unit) IN ({names}) "
        f"AND carried_at = {timestamp(reading['event_at'])} ORDER BY ALL",
    )


def _same_metric(row: Row) -> str:
    return " AND ".join(f"{name} = {quoted(row[name])}" for name in ("device_id", "metric_name", "unit"))
