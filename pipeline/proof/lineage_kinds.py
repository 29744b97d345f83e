"""Tracing figures by kind: the columns that they are made of, and the readings that hours carry into later ones.

Belongs here: what differs for them from other gold. The rest is in `pipeline.proof.lineage`.
"""

from collections.abc import Mapping
from datetime import datetime

from lake.models.catalog import Model
from lake.models.kind_columns import kind_columns
from lake.reading.reader import Reader
from lake.slices import HOUR
from lake.sql_text import quoted
from lake.tables.contracts import Table
from lake.tables.gold import OF_LOCAL_DAYS
from lake.tables.gold_kinds import CARRYING, COUNTER_MINUTES
from lake.tables.gold_parts import A_METRIC
from pipeline.proof.lineage_sql import Row, dates_near, rows_of, timestamp


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


def carried_in(reader: Reader, table: Table, row: Row) -> list[tuple[Row, datetime]]:
    """The readings that a row begins with, ones of before its period: each as device, metric and unit, and when it was
    measured. Of a row of a site that is one a device."""
    if table.kind is None:
        return []
    if "carried_at" in row:
        return [] if row["carried_at"] is None else [(row, row["carried_at"])]
    finer = next(each for each in CARRYING if each.kind == table.kind)
    at, in_day = "hour_at", f"event_date = DATE '{row['event_date']}'"
    if table in OF_LOCAL_DAYS:  # a midnight may cut an hour, and no minute
        finer, at = COUNTER_MINUTES, "minute_at"
        start: datetime = row["starts_at"]
        end = start + HOUR * float(row["hours_in_day"])
        in_day = " AND ".join([
            *dates_near(row["event_date"]), f"minute_at >= {timestamp(start)}", f"minute_at < {timestamp(end)}",
            f"coalesce(site_id, 'unknown') = {quoted(row['site_id'])}",
        ])  # fmt: skip
    found = rows_of(
        reader,
        f"SELECT device_id, metric_name, unit, first(carried_at ORDER BY {at}) AS carried_at FROM {finer.name} "
        f"WHERE {in_day} AND {_same_metric(row)} GROUP BY ALL ORDER BY ALL",
    )
    return [(each, each["carried_at"]) for each in found if each["carried_at"] is not None]


def carried_into(reader: Reader, table: Table, metrics: list[tuple[str, str]], reading: Row) -> list[Row]:
    """The rows of hours and minutes that begin with a reading of before."""
    if "carried_at" not in table.column_names or not metrics:
        return []
    names = ", ".join(f"({quoted(name)}, {quoted(unit)})" for name, unit in metrics)
    return rows_of(
        reader,
        f"SELECT * FROM {table.name} WHERE event_date >= DATE '{reading['event_date']}' "
        f"AND device_id = {quoted(reading['device_id'])} AND (metric_name, unit) IN ({names}) "
        f"AND carried_at = {timestamp(reading['event_at'])} ORDER BY ALL",
    )


def _same_metric(row: Row) -> str:
    return " AND ".join(f"{name} = {quoted(row[name])}" for name in A_METRIC if name in row)
