"""Points at even intervals are those of the macros by which SQL asks for the same, of every resolution and filling."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lake.reading.even_series import even_series
from lake.reading.series_fills import FILLS
from lake.reading.series_macros import SCALAR_MACROS, TABLE_MACROS, VALUES
from lake.reading.series_rows import WantedSeries
from runtime.errors import QueryError

START = datetime(2026, 11, 18, tzinfo=UTC)
MINUTE, HOUR, DAY = (timedelta(**{name: 1}) for name in ("minutes", "hours", "days"))
# from the midst of an interval to the midst of another; nothing came before the first hour, after the last or in some
SPANS = ((START - 90 * MINUTE - timedelta(seconds=1), START + 30 * HOUR + timedelta(microseconds=7)),
         (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 3, tzinfo=UTC)))  # fmt: skip
FILL_SQL = {"gap": "value", "previous": "fill_previous(value, period_at)", "linear": "fill_linear(value, period_at)"}


@pytest.fixture(scope="module")
def gold() -> Iterator[duckdb.DuckDBPyConnection]:
    """Minutes, hours and days of a device with uneven figures, of which most are missing; a second unit in one hour."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA gold")
    for name, length, rows in (("minute", MINUTE, 1800), ("hour", HOUR, 30), ("day", DAY, 9)):
        period, kept = ("day_date", 5) if name == "day" else (f"{name}_at", 3)
        connection.execute(f"""CREATE TABLE gold.device_{name}s AS
            SELECT 'd1' AS device_id, metric AS metric_name, if(metric = 'two' AND n = 2, 'degf', 'degc') AS unit,
                (TIMESTAMPTZ '{START}' + n * INTERVAL '{length // MINUTE} minutes') AS began_at,
                {"began_at::DATE" if name == "day" else "began_at"} AS {period}, began_at::DATE AS event_date,
                (1 + hash(n) % 60)::BIGINT AS reading_count, (hash(n, 1) % 10007) / 7 AS value_mean,
                value_mean - 1 AS value_min, value_mean + 1 AS value_max, (hash(n, 2) % 10007) / 3 AS value_last
            FROM range({rows}) r(n), (VALUES ('one'), ('two')) m(metric) WHERE hash(n, 3) % 5 < {kept} OR n = 2""")
    for statement in (*SCALAR_MACROS.values(), *(statement for _, statement in TABLE_MACROS.values())):
        connection.execute(statement)
    yield connection
    connection.close()


def wanted(metric: str, span: tuple[datetime, datetime], value: str, fill: str, unit: str | None) -> WantedSeries:
    """A series of the device."""
    return WantedSeries("d1", metric, *span, value, fill, unit)


def points(gold: duckdb.DuckDBPyConnection, asked: WantedSeries, every: timedelta) -> pa.Table:
    """The points that readers get."""

    def ask(sql: str, given: Sequence[Any]) -> pa.Table:
        return gold.execute(sql, list(given)).to_arrow_table()

    return even_series(ask, lambda name, days=None: name, [], asked, every)


def by_macro(gold: duckdb.DuckDBPyConnection, asked: WantedSeries, every: timedelta) -> pa.Table:
    """What `lakehouse sql` has of them."""
    name = "days" if every % DAY == timedelta(0) else "hours" if every % HOUR == timedelta(0) else "minutes"
    filled = FILL_SQL[asked.fill]
    sql = f"""WITH points AS (SELECT *, value_{asked.value} AS value FROM {name}_series(
            ?, ?, ?::TIMESTAMPTZ, ?::TIMESTAMPTZ, INTERVAL '{every // MINUTE} minutes', unit := ?))
        SELECT period_at, {filled} AS value, max(unit) OVER () AS unit, reading_count,
            value IS NULL AND {filled} IS NOT NULL AS is_filled
        FROM points ORDER BY period_at"""
    return gold.execute(sql, [asked.device_id, asked.metric, asked.start, asked.end, asked.unit]).to_arrow_table()


@pytest.mark.parametrize("every", [MINUTE, 7 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY])
@pytest.mark.parametrize("span", SPANS)
def test_points_are_those_of_the_macros(
    gold: duckdb.DuckDBPyConnection, every: timedelta, span: tuple[datetime, datetime]
) -> None:
    """The same rows and types; figures to the bit where an interval is one row, else within what adding up in another
    order makes."""
    for value, fill in product(VALUES, FILLS):
        asked = wanted("one", span, value, fill, None)
        found, expected = points(gold, asked, every), by_macro(gold, asked, every)
        assert found.schema == expected.schema
        assert found.drop_columns("value").equals(expected.drop_columns("value"))
        values, ours = expected["value"].to_pylist(), found["value"].to_pylist()
        is_a_row = every in (MINUTE, HOUR, DAY)
        assert ours == (values if is_a_row else [None if each is None else pytest.approx(each) for each in values])
        assert (None in values) or fill != "gap" or every == 7 * DAY


def test_two_units_are_told_as_the_macros_tell_them(gold: duckdb.DuckDBPyConnection) -> None:
    """With the same sentence; where the unit is named there is one."""
    for every in (MINUTE, 15 * MINUTE, DAY):
        span = (START, START + 3 * max(HOUR, every))
        both = wanted("two", span, "mean", "gap", None)
        with pytest.raises(QueryError) as told:
            points(gold, both, every)
        with pytest.raises(duckdb.InvalidInputException) as by_sql:
            by_macro(gold, both, every)
        assert str(by_sql.value).removeprefix("Invalid Input Error: ") == str(told.value)
        for unit in ("degc", "degf"):
            one = wanted("two", span, "mean", "gap", unit)
            assert points(gold, one, every)["reading_count"].equals(by_macro(gold, one, every)["reading_count"])
