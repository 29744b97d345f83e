"""Even series: a device's metric at even intervals, of the rows of gold, for every reader of a publication.

Belongs here: what is asked of a table, and the points made of it. What a figure is of several rows is `series_macros`'
matter, which table has it that of `series_rows`. The macros by which SQL asks for the same are in `series_macros`.

Figures alone are asked for: intervals without readings are put between them here, which takes a fraction of what
DuckDB takes to plan it.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from lake.reading.series_fills import with_fill
from lake.reading.series_macros import SEVERAL_UNITS, VALUES
from lake.reading.series_rows import Ask, SeriesRows, Source, WantedSeries, rows_for, rows_of_value
from lake.slices import HOUR
from lake.tables.gold import DEVICE_DAYS
from runtime.errors import QueryError

_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = _DAY // _MICROSECOND
_TIME = pa.timestamp("us", "UTC")


def even_series(
    ask: Ask, source: Source, published: Collection[str], wanted: WantedSeries, every: timedelta
) -> pa.Table:
    """A row for each interval, counted from 1970-01-01 in UTC: `period_at`, `value`, `unit`, `reading_count`,
    `is_filled`. Raises UsageError as `rows_for` does, QueryError for several units where `unit` names none."""
    periods = _periods(wanted, every)
    rows = _rows(ask, source, published, wanted, every)
    given = [wanted.device_id, wanted.metric, *([] if wanted.unit is None else [wanted.unit])]
    found = ask(_question(source, rows, wanted, every, periods), given)
    units = sorted(pc.unique(found["unit"]).to_pylist())
    if len(units) > 1:
        raise QueryError(f"{wanted.metric}{SEVERAL_UNITS} ({units[0]}, {units[-1]}): say which with `unit`")
    at = pa.array(periods, pa.int64()).cast(_TIME)
    place = pc.index_in(at, value_set=found["period_at"].cast(_TIME).combine_chunks())
    points = {name: found[name].combine_chunks().take(place) for name in ("value", "unit", "reading_count")}
    points["reading_count"] = pc.fill_null(points["reading_count"], 0)
    return with_fill(pa.table({"period_at": at, **points}), wanted.fill)


def _periods(wanted: WantedSeries, every: timedelta) -> range:
    """When intervals begin, in microseconds since 1970: of some Python has no date."""
    length, start, end = (each // _MICROSECOND for each in (every, wanted.start - _EPOCH, wanted.end - _EPOCH))
    return range(start // length * length, end, length)


def _rows(ask: Ask, source: Source, published: Collection[str], wanted: WantedSeries, every: timedelta) -> SeriesRows:
    if every % _DAY == timedelta(0) and wanted.value in VALUES:
        return rows_of_value(DEVICE_DAYS, wanted.value)
    return rows_for(ask, source, published, wanted, of_hours=every % HOUR == timedelta(0))


def _question(source: Source, rows: SeriesRows, wanted: WantedSeries, every: timedelta, periods: range) -> str:
    """SQL for `value` and `reading_count` by `period_at` and `unit`; its parameters are a device, a metric, and the
    unit where one is wanted."""
    end = periods.start + len(periods) * periods.step
    days = range(periods.start // _DAY_US, (end - 1) // _DAY_US + 1)
    is_row = rows.table.period is not None and rows.table.period.length == every
    period = f"t.{rows.time}::TIMESTAMPTZ"
    if not is_row:
        length = f"INTERVAL '{every // timedelta(minutes=1)} minutes'"
        period = f"time_bucket({length}, {period}, TIMESTAMPTZ '1970-01-01 00:00:00+00')"
    figures = f"n AS reading_count, {rows.columns[0]} AS value FROM found"
    if not is_row:
        figures = f"sum(n)::BIGINT AS reading_count, {rows.figures[wanted.value]} AS value FROM found GROUP BY ALL"
    return f"""WITH found AS (
        SELECT {period} AS period_at, t.unit, t.reading_count AS n, {rows.selected}, t.{rows.time} AS read_at
        FROM {source(rows.table.name, days)} t
        WHERE t.device_id = ? AND t.metric_name = ? {"" if wanted.unit is None else "AND t.unit = ?"}
            AND t.event_date BETWEEN DATE '1970-01-01' + {days.start} AND DATE '1970-01-01' + {days.stop - 1}
            AND t.{rows.time} >= make_timestamptz({periods.start}::BIGINT)
            AND t.{rows.time} < make_timestamptz({end}::BIGINT))
    SELECT period_at, unit, {figures}"""
