"""Days of sites against the minutes that they are made of, each by the local day of its site.

Belongs here: what the days of sites should count, worked out from the declarations of sites and the rules of zones, not
from the calendar of gold. Offsets of zones are whole minutes, so that each minute lies in one day.
"""

from collections.abc import Collection
from datetime import date, timedelta

import duckdb

from lake.local_days import UTC_ZONE, local_days
from lake.sql_text import quoted
from pipeline.gold.declared_sites import DeclaredSites, current_zones

_KEY = "site_id, day_date, metric_name, unit"
_DAY = timedelta(days=1)


def site_days(
    connection: duckdb.DuckDBPyConnection, declared: DeclaredSites, finer: str, days: str, left_out: Collection[str]
) -> tuple[int, int, int]:
    """Readings that the days of sites should count and those that they do, and the days, by metric, that differ.

    `finer` is SQL for rows of gold.device_minutes, or of gold.device_hours while UTC is the only zone; `days` is SQL
    for gold.site_days. The days of `left_out` dates are not compared.
    """
    if current_zones(declared) == {UTC_ZONE}:
        placed = f"SELECT *, event_date AS day_date FROM ({finer})"
    else:
        placed = _placed(connection, declared, finer)
    held = ", ".join(f"DATE {quoted(day)}" for day in sorted(left_out))
    where = f"WHERE day_date NOT IN ({held})" if held else ""
    ((expected, found, differing),) = connection.sql(f"""
        WITH parts AS (
            SELECT coalesce(site_id, 'unknown') AS site_id, day_date, metric_name, unit, sum(reading_count) AS readings
            FROM ({placed}) {where} GROUP BY ALL
        ), whole AS (SELECT {_KEY}, sum(reading_count) AS readings FROM ({days}) {where} GROUP BY ALL)
        SELECT coalesce(sum(parts.readings), 0)::BIGINT, coalesce(sum(whole.readings), 0)::BIGINT,
            count(*) FILTER (WHERE parts.readings IS DISTINCT FROM whole.readings)
        FROM parts FULL JOIN whole USING ({_KEY})""").fetchall()
    return int(expected), int(found), int(differing)


def _placed(connection: duckdb.DuckDBPyConnection, declared: DeclaredSites, minutes: str) -> str:
    """SQL for the rows of minutes with `day_date`, the local day of their site; where no device stands is UTC."""
    _fill(connection, "zones_of_sites", "site_id VARCHAR, zone VARCHAR", [(s.site_id, s.zone) for s in declared.sites])
    ((first, last),) = connection.sql(f"SELECT min(event_date), max(event_date) FROM ({minutes})").fetchall()
    _fill(
        connection, "days_of_zones", "zone VARCHAR, day_date DATE, starts_at TIMESTAMPTZ", _days(declared, first, last)
    )
    return f"""
        WITH with_zone AS (
            SELECT rows.*, coalesce(zones_of_sites.zone, 'UTC') AS zone
            FROM ({minutes}) AS rows
                LEFT JOIN zones_of_sites ON zones_of_sites.site_id = rows.site_id AND rows.site_id <> 'unknown'
        )
        SELECT with_zone.*, days_of_zones.day_date
        FROM with_zone ASOF JOIN days_of_zones
            ON days_of_zones.zone = with_zone.zone AND with_zone.minute_at >= days_of_zones.starts_at"""


def _days(declared: DeclaredSites, first: date | None, last: date | None) -> list[tuple[object, ...]]:
    if first is None or last is None:
        return []
    zones = sorted(current_zones(declared))
    return [(zone, d.day, d.starts_at) for zone in zones for d in local_days(zone, first - _DAY, last + _DAY)]


def _fill(connection: duckdb.DuckDBPyConnection, name: str, columns: str, rows: list[tuple[object, ...]]) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({columns})")
    if rows:
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)
