"""Profiles of local days: what the days of sites are made of, by the hours and minutes of gold.

Belongs here: the SQL for the finer rows of `gold.site_days`. Hours that lie in a local day as a whole come from
`gold.device_hours`, those into which a midnight falls from `gold.device_minutes`: rows of the candidate, else published
ones. Offsets of zones are whole minutes.
"""

from collections.abc import Iterator

import duckdb

from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_HOURS, DEVICE_MINUTES, SITE_DAYS
from pipeline.gate.candidates import SCHEMA, Plan
from pipeline.gate.profiles import covering_runs, window_scan
from runtime.settings import Settings

_COLUMNS = "site_id, metric_name, unit, reading_count, value_min, value_max"
_LOCAL_HOURS = "candidate.plan.local_hours"


def local_hours_of_days(connection: duckdb.DuckDBPyConnection, settings: Settings, plan: Plan) -> str:
    """SQL for slice (a day), site_id, metric_name, unit, reading_count, value_min and value_max of the planned days.

    Wants the tables `judged_slices` and `judged_days`.
    """
    parts = [
        *_rows(connection, settings, plan, DEVICE_HOURS, "local.is_whole"),
        *_rows(
            connection, settings, plan, DEVICE_MINUTES,
            "NOT local.is_whole AND minute_at >= local.starts_at AND minute_at < local.ends_at",
        ),
    ]  # fmt: skip
    empty = f"SELECT event_date::VARCHAR AS slice, {_COLUMNS} FROM {SCHEMA}.{SITE_DAYS.short_name} WHERE false"
    return " UNION ALL ".join(parts) or empty


def _rows(
    connection: duckdb.DuckDBPyConnection, settings: Settings, plan: Plan, table: Table, where: str
) -> Iterator[str]:
    """The rows of a table that lie in hours of the planned days which are whole, or are not."""
    hours = _hours(connection, is_whole=table == DEVICE_HOURS)
    if hours & set(plan.hours):
        yield _in_days(
            f"FROM {SCHEMA}.{table.short_name} SEMI JOIN judged_slices USING (event_date, event_hour)", where
        )
    kept, published = hours - set(plan.hours), plan.published.get(table.name)
    if kept and published is not None:
        names = [*_COLUMNS.split(", "), *(["minute_at"] if table == DEVICE_MINUTES else [])]
        rows = window_scan(settings, table.name, published, covering_runs(kept), names)
        yield _in_days(f"FROM ({rows}) ANTI JOIN judged_slices USING (event_date, event_hour)", where)


def _hours(connection: duckdb.DuckDBPyConnection, *, is_whole: bool) -> set[str]:
    """The hours, as slices, that some planned day has as a whole, or a part of."""
    found = connection.execute(
        f"SELECT DISTINCT strftime(slice_at, '%Y-%m-%dT%H') FROM {_LOCAL_HOURS} WHERE is_whole = ?", [is_whole]
    ).fetchall()
    return {slice_ for (slice_,) in found}


def _in_days(rows: str, where: str) -> str:
    """Rows with the planned local day of their site that they lie in."""
    return f"""
        SELECT slice, coalesce(there.site_id, 'unknown') AS site_id, metric_name, unit, reading_count, value_min,
            value_max
        FROM ({rows}) AS there
            LEFT JOIN candidate.plan.sites AS sites ON sites.site_id = there.site_id AND sites.site_id <> 'unknown'
            JOIN {_LOCAL_HOURS} AS local ON local.zone = coalesce(sites.zone, 'UTC')
                AND local.event_date = there.event_date AND local.event_hour = there.event_hour
            JOIN judged_days ON judged_days.event_date = local.day_date
        WHERE {where}"""
