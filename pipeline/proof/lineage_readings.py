"""Readings behind figures: the rows of silver that a row of gold counts.

Belongs here: which tables and columns of silver hold a metric, and looking its readings up. What else belongs to a
figure, its verdicts and refused records, is in `pipeline.proof.lineage`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from lake.models.catalog import Model
from lake.reading.reader import Reader, open_reader
from lake.sql_text import quoted, quoted_names
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_MINUTES
from pipeline.proof.lineage_kinds import columns_by_table
from pipeline.proof.lineage_sql import Row, dates_near, rows_of, timestamp
from runtime.settings import Settings

Models = Mapping[str, Model]

OFFSET = ("topic", "partition", "offset")
_READING = ("device_id", "event_at", "measured_at", "received_at", "clock_status", "source", "message_id", *OFFSET)
_MINUTE = timedelta(minutes=1)


def readings_of(reader: Reader, models: Models, row: Row, period: str, table: Table | None = None) -> list[Row]:
    """The readings that a row of a gold table counts in a `period` of SQL, from every table of silver that measures its
    metric, in the order of time. Without a table a row counts all of a device and metric."""
    existing = set(reader.existing())
    found: list[Row] = []
    for name, columns in sorted(columns_by_table(models, row, None if table is None else table.kind).items()):
        if name not in existing:
            continue
        value = f"coalesce({', '.join(columns)})" if columns else "NULL"
        where = period if not columns else f"{period} AND {value} IS NOT NULL"
        if "device_id" not in row:
            near = " AND ".join(dates_near(row["event_date"]))
            hour = "device_id, event_date, event_hour"
            at_site = f"{near} AND coalesce(site_id, 'unknown') = {quoted(row['site_id'])}"
            where += f" AND ({hour}) IN (SELECT {hour} FROM gold.device_hours WHERE {at_site})"
        else:
            where += f" AND device_id = {quoted(row['device_id'])}"
        named = quoted_names(_READING)
        found += rows_of(
            reader, f"SELECT '{name}' AS silver_table, {named}, {value} AS value FROM {name} WHERE {where} ORDER BY ALL"
        )
    return sorted(found, key=lambda each: (each["event_at"], each["offset"], each["partition"]))


def published_readings(
    settings: Settings,
    models: Models,
    as_of: int,
    series: Row,
    span: tuple[datetime, datetime],
    sites: Sequence[str] | None = None,
) -> list[Row]:
    """The readings of a `series` (device_id, metric_name, unit) in a span, whose figures publication `as_of` has.

    A minute whose readings do not add up to its published row is left out, as one of a held hour: its readings passed
    no gate. Minutes that the span cuts are judged whole. With `sites`, only of
    minutes in which the device stood at one of these.
    """
    start, end = span
    first = start.replace(second=0, microsecond=0)
    last = end if end == end.replace(second=0, microsecond=0) else end.replace(second=0, microsecond=0) + _MINUTE
    with open_reader(settings, models, as_of=as_of) as reader:
        if DEVICE_MINUTES.name not in reader.existing():
            return []
        names = " AND ".join(f"{name} = {quoted(series[name])}" for name in ("device_id", "metric_name", "unit"))
        days = f"event_date BETWEEN DATE '{first.date()}' AND DATE '{last.date()}'"
        whole = [
            f"{column} >= {timestamp(first)} AND {column} < {timestamp(last)}" for column in ("minute_at", "event_at")
        ]
        seen = "true" if sites is None else f"list_contains([{', '.join(map(quoted, sites))}]::VARCHAR[], site_id)"
        which = f"{names} AND {days} AND {whole[0]} AND {seen}"
        sql = f"SELECT minute_at, reading_count FROM {DEVICE_MINUTES.name} WHERE {which}"
        published = {row["minute_at"]: row["reading_count"] for row in rows_of(reader, sql)}
        found = readings_of(reader, models, series, f"{days} AND {whole[1]}")
    counted = Counter(_minute(row) for row in found)
    return [
        row for row in found if start <= row["event_at"] < end and counted[_minute(row)] == published.get(_minute(row))
    ]


def _minute(row: Row) -> datetime:
    moment: datetime = row["event_at"]
    return moment.replace(second=0, microsecond=0)
