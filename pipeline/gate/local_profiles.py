"""Profiles of local days: what the days of sites are made of, by the hours and minutes of gold.

Belongs here: the SQL for the finer rows of `gold.site_days` and `gold.counter_site_days`. Hours that lie in a local day
as a whole come from the table of hours that these add up, those into which a midnight falls from its minutes: rows of
the candidate, else published ones. Offsets of zones are whole minutes.
"""

from collections.abc import Iterator

import duckdb

from lake.sql_text import Query, relation
from lake.tables.contracts import AddsUp, Table
from lake.tables.gold import DEVICE_HOURS, DEVICE_MINUTES
from lake.tables.gold_kinds import COUNTER_HOURS, COUNTER_MINUTES
from pipeline.gate.candidates import SCHEMA, Plan
from pipeline.gate.profiles import covering_runs, window_scan
from runtime.settings import Settings

_LOCAL_HOURS = "candidate.plan.local_hours"
_HOURS_AND_MINUTES = {each[0].name: each for each in ((DEVICE_HOURS, DEVICE_MINUTES), (COUNTER_HOURS, COUNTER_MINUTES))}


def local_hours_of_days(
    connection: duckdb.DuckDBPyConnection, settings: Settings, plan: Plan, table: Table, sum_: AddsUp
) -> Query:
    """SQL for the planned days: slice (a day), the columns that `table` adds up by, readings, its extremes and sums.

    Wants the tables `judged_slices` and `judged_days`.
    """
    extremes = ["value_min", "value_max"] if "value_min" in table.column_names else []
    names = [*sum_.by, "reading_count", *extremes, *sum_.sums]
    hours, minutes = _HOURS_AND_MINUTES[sum_.finer or ""]
    parts = [
        *_rows(connection, settings, plan, hours, names),
        *_rows(connection, settings, plan, minutes, names),
    ]
    columns = ", ".join(names)
    empty = f"SELECT event_date::VARCHAR AS slice, {columns} FROM {SCHEMA}.{table.short_name} WHERE false"
    return Query(" UNION ALL ".join(parts) or empty)


def _rows(
    connection: duckdb.DuckDBPyConnection, settings: Settings, plan: Plan, table: Table, names: list[str]
) -> Iterator[Query]:
    """The rows of a table that lie in hours of the planned days which are whole, or, of minutes, are not."""
    is_minutes = table in (DEVICE_MINUTES, COUNTER_MINUTES)
    where = "local.is_whole"
    if is_minutes:
        where = "NOT local.is_whole AND minute_at >= local.starts_at AND minute_at < local.ends_at"
    hours = _hours(connection, is_whole=not is_minutes)
    if hours & set(plan.hours):
        rows = Query(f"FROM {SCHEMA}.{table.short_name} SEMI JOIN judged_slices USING (event_date, event_hour)")
        yield _in_days(rows, names, where)
    kept, published = hours - set(plan.hours), plan.published.get(table.name)
    if kept and published is not None:
        columns = [*names, *(["minute_at"] if is_minutes else [])]
        earlier = relation(window_scan(settings, table.name, published, covering_runs(kept), columns))
        rows = Query(f"FROM {earlier} ANTI JOIN judged_slices USING (event_date, event_hour)")
        yield _in_days(rows, names, where)


def _hours(connection: duckdb.DuckDBPyConnection, *, is_whole: bool) -> set[str]:
    """The hours, as slices, that some planned day has as a whole, or a part of."""
    found = connection.execute(
        f"SELECT DISTINCT strftime(slice_at, '%Y-%m-%dT%H') FROM {_LOCAL_HOURS} WHERE is_whole = ?", [is_whole]
    ).fetchall()
    return {slice_ for (slice_,) in found}


def _in_days(rows: Query, names: list[str], where: str) -> Query:
    """Rows with the planned local day of their site that they lie in."""
    columns = ", ".join("coalesce(there.site_id, 'unknown') AS site_id" if n == "site_id" else n for n in names)
    return Query(f"""
        SELECT slice, {columns}
        FROM {relation(rows)} AS there
            LEFT JOIN candidate.plan.sites AS sites ON sites.site_id = there.site_id AND sites.site_id <> 'unknown'
            JOIN {_LOCAL_HOURS} AS local ON local.zone = coalesce(sites.zone, 'UTC')
                AND local.event_date = there.event_date AND local.event_hour = there.event_hour
            JOIN judged_days ON judged_days.event_date = local.day_date
        WHERE {where}""")
