"""Series by local days: a device's metric by the days of its site's time zone, of 23 or 25 hours where clocks are set.

Belongs here: which zone a device's days follow, and the SQL that adds up the published hours of each, for every reader
of a publication. Where midnights fall into hours, as in Kathmandu, minutes are added up. What a figure is of several
rows is `series_macros`' matter.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa

from lake.local_days import UTC_ZONE, LocalDay, local_days, zone_of
from lake.reading.series_fills import with_fill
from lake.reading.series_macros import SEVERAL_UNITS, figures_of_periods
from lake.reading.series_rows import Ask, Source, WantedSeries, rows_for
from lake.sql_text import quoted
from lake.tables.gold import DEVICE_HOURS, DEVICE_LATEST, SITES
from runtime.errors import QueryError, UsageError

LOCAL_DAY = "local_day"
"""What `every` says for days of the site's zone."""
_MOST_DAYS = 4_000
# before, zones had offsets with seconds; after, Python has no dates to reckon with
_YEARS = (1973, 9998)
_DAY = timedelta(days=1)


def series_by_local_days(ask: Ask, source: Source, published: Collection[str], wanted: WantedSeries) -> pa.Table:
    """A row for each local day: `period_at`, `value`, `unit`, `reading_count`, `is_filled`, `day_date`, `zone`,
    `hours_in_day`.

    Raises UsageError where the days are not those of one zone, or are too many, and as `rows_for`
    does; QueryError for several units where `unit` names none.
    """
    span = wanted.start.astimezone(UTC), wanted.end.astimezone(UTC)
    if span[0].year < _YEARS[0] or span[1].year > _YEARS[1]:
        raise UsageError(f"Local days are told of the years {_YEARS[0]} to {_YEARS[1]}.")
    if (span[1] - span[0]) / _DAY > _MOST_DAYS:
        raise UsageError(f"That are more than {_MOST_DAYS} local days: ask for a shorter span.")
    days = _days(_zone(ask, source, wanted), *span)
    has_whole_hours = all(day.starts_at.minute == day.ends_at.minute == 0 for day in days)
    rows = rows_for(ask, source, published, wanted, of_hours=has_whole_hours)
    time = rows.time
    sql = f"""WITH days(period_at, ends_at, day_date, zone, hours_in_day) AS (VALUES {_rows(days)}),
    periods AS (SELECT period_at FROM days),
    found AS (
        SELECT days.period_at, t.unit, t.reading_count AS n, {rows.selected}, t.{time} AS read_at
        FROM {source(rows.table.name)} t JOIN days ON t.{time} >= days.period_at AND t.{time} < days.ends_at
        WHERE t.device_id = ? AND t.metric_name = ? AND (?::VARCHAR IS NULL OR t.unit = ?)
            AND t.event_date BETWEEN DATE '{days[0].starts_at.date()}' AND DATE '{days[-1].ends_at.date()}'
    ),
    points AS (WITH {figures_of_periods(rows.figures, "?")})
    SELECT period_at, value_{wanted.value} AS value, unit, reading_count, day_date, zone, hours_in_day
    FROM points JOIN days USING (period_at) ORDER BY period_at"""
    given = [wanted.device_id, wanted.metric, wanted.unit, wanted.unit, wanted.metric]
    try:
        return with_fill(ask(sql, given), wanted.fill)
    except duckdb.InvalidInputException as error:  # that of a damaged file too
        if SEVERAL_UNITS not in str(error):
            raise
        raise QueryError(str(error).removeprefix("Invalid Input Error: ")) from error


def _zone(ask: Ask, source: Source, wanted: WantedSeries) -> str:
    """The zone of the site where the device stood in the span; where it now stands when it measured nothing then."""
    in_span = """event_date BETWEEN ?::DATE AND ?::DATE AND hour_at < ?::TIMESTAMPTZ
        AND hour_at > ?::TIMESTAMPTZ - INTERVAL 1 HOUR"""
    start, end = wanted.start.astimezone(UTC), wanted.end.astimezone(UTC)
    span = [(start - timedelta(hours=1)).date(), end.date(), end, start]
    found: list[str] = []
    for table, condition, given in ((DEVICE_HOURS, in_span, span), (DEVICE_LATEST, "true", [])):
        sql = f"""WITH places AS (
                SELECT DISTINCT site_id FROM {source(table.name)} t
                WHERE device_id = ? AND metric_name = ? AND {condition})
            SELECT DISTINCT coalesce(s.zone, '{UTC_ZONE}') AS zone
            FROM places LEFT JOIN {source(SITES.name)} AS s USING (site_id) ORDER BY zone"""
        found = ask(sql, [wanted.device_id, wanted.metric, *given])["zone"].to_pylist()
        if found:
            break
    if len(found) > 1:
        zones = ", ".join(found)
        raise UsageError(f"The device stood in more zones than one in that span ({zones}): ask for a shorter one.")
    return found[0] if found else UTC_ZONE


def _days(zone: str, start: datetime, end: datetime) -> list[LocalDay]:
    """The days of a zone that a span has a part of."""
    there = zone_of(zone)
    first, last = start.astimezone(there).date() - _DAY, end.astimezone(there).date() + _DAY
    found = [day for day in local_days(zone, first, last) if day.ends_at > start and day.starts_at < end]
    if not found:
        raise UsageError("end is not after start.")
    return found


def _rows(days: Sequence[LocalDay]) -> str:
    return ", ".join(
        f"(TIMESTAMPTZ '{day.starts_at.isoformat()}', TIMESTAMPTZ '{day.ends_at.isoformat()}', "
        f"DATE '{day.day}', {quoted(day.zone)}, {day.hours}::DOUBLE)"
        for day in days
    )
