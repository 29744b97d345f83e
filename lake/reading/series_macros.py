"""Series: SQL that reads gold as evenly spaced points in time, with its gaps shown or filled.

Belongs here: the DuckDB macros that `lakehouse sql` offers, the tables that each reads, and what a figure is of several
rows. Which version of a table they see is their reader's; Python and the API have the same points by `even_series`.

A point stands for the period that begins at `period_at`; periods are counted from 1970-01-01 in UTC, so that two series
with the same `every` meet. A span is widened to whole periods. A mean over several rows weighs each by its readings;
where a period is one row its figures are that row's, to the bit.
"""

from collections.abc import Mapping

from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_DAYS, DEVICE_HOURS, DEVICE_MINUTES

VALUES = {
    "mean": "CASE count(*) WHEN 1 THEN any_value(value_mean) ELSE sum(value_mean * n) / sum(n) END",
    "min": "min(value_min)",
    "max": "max(value_max)",
    "last": "arg_max(value_last, read_at)",
}
"""The figures of a period, each of the column `value_…` of the same name."""
TIMES = {DEVICE_MINUTES.name: "minute_at", DEVICE_HOURS.name: "hour_at", DEVICE_DAYS.name: "day_date"}

_SERIES = """CREATE OR REPLACE MACRO {name}(device, metric, from_at, until_at, every, unit := NULL) AS TABLE
    WITH span AS (
        SELECT time_bucket(every, from_at::TIMESTAMPTZ, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS first_at,
            until_at::TIMESTAMPTZ AS end_at
    ),
    periods AS (SELECT unnest(range(first_at, end_at, every)) AS period_at FROM span),
    found AS (
        SELECT time_bucket(every, t.{time}::TIMESTAMPTZ, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS period_at,
            t.unit, t.reading_count AS n, {columns}, t.{time} AS read_at
        FROM {source} t
        WHERE t.device_id = device AND t.metric_name = metric AND (unit IS NULL OR t.unit = unit)
            -- whole days first, by which files are skipped
            AND t.event_date >= CAST(from_at::TIMESTAMPTZ - every AS DATE)
            AND t.event_date <= CAST(until_at::TIMESTAMPTZ + every AS DATE)
            AND period_at >= (SELECT first_at FROM span) AND period_at < (SELECT end_at FROM span)
    ),
    {figures}"""

SEVERAL_UNITS = " has more units than one here"
"""What follows the metric in the error of a series that would mix units."""

_FIGURES = """one_unit AS (
        SELECT CASE WHEN min(found.unit) <> max(found.unit)
            THEN error(concat({metric}, '{several_units} (', min(found.unit), ', ',
                max(found.unit), '): say which with `unit`'))
            ELSE true END AS holds
        FROM found
    ),
    figures AS (
        SELECT period_at, any_value(found.unit) AS unit, sum(n)::BIGINT AS reading_count,
            {figures}
        FROM found GROUP BY period_at
    )
    SELECT periods.period_at, figures.unit, coalesce(figures.reading_count, 0) AS reading_count,
        {values}
    FROM periods LEFT JOIN figures USING (period_at), one_unit
    WHERE one_unit.holds
    ORDER BY periods.period_at"""

_COMPARED = """CREATE OR REPLACE MACRO compared_{name}(device, metric, from_at, until_at, before, unit := NULL) AS TABLE
    WITH now_ AS (FROM {name}_series(device, metric, from_at, until_at, INTERVAL {every}, unit := unit)),
    then_ AS (
        FROM {name}_series(device, metric, from_at::TIMESTAMPTZ - before, until_at::TIMESTAMPTZ - before,
            INTERVAL {every}, unit := unit)
    )
    SELECT now_.period_at, now_.unit, now_.value_mean AS value, then_.value_mean AS value_before,
        now_.value_mean - then_.value_mean AS change,
        (now_.value_mean - then_.value_mean) / nullif(then_.value_mean, 0) AS change_ratio
    FROM now_ LEFT JOIN then_ ON then_.period_at = now_.period_at - before
    ORDER BY now_.period_at"""

# windows over the rows of a question in the order of `period_at`, of each `series` by itself
_BEFORE = "last_value({} IGNORE NULLS) OVER (PARTITION BY series ORDER BY period_at)"
_AFTER = (
    "first_value({} IGNORE NULLS) OVER "
    "(PARTITION BY series ORDER BY period_at ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)"
)
_ARGUMENTS = "(value, period_at, series := NULL)"
_PREVIOUS = f"CREATE OR REPLACE MACRO fill_previous{_ARGUMENTS} AS {_BEFORE.format('value')}"
_WHEN = "CASE WHEN value IS NOT NULL THEN epoch_us(period_at) END"
_LINEAR = f"""CREATE OR REPLACE MACRO fill_linear{_ARGUMENTS} AS coalesce(value,
    ({_BEFORE.format("value")}) + (({_AFTER.format("value")}) - ({_BEFORE.format("value")}))
        * (epoch_us(period_at) - ({_BEFORE.format(_WHEN)}))
        / (({_AFTER.format(_WHEN)}) - ({_BEFORE.format(_WHEN)})))"""


SCALAR_MACROS = {"fill_previous": _PREVIOUS, "fill_linear": _LINEAR}
"""Window functions over rows of `period_at`, all of one series or told apart by `series`: name -> what makes it."""


def _series_macro(table: Table, name: str) -> str:
    """The statement that makes a series macro over a gold table by minute, hour or day."""
    return _SERIES.format(
        name=name,
        source=table.name,
        time=TIMES[table.name],
        columns=", ".join(f"t.value_{value}" for value in VALUES),
        figures=figures_of_periods(VALUES, "metric"),
    )


def figures_of_periods(figures: Mapping[str, str], metric: str) -> str:
    """What follows the parts `periods` (of `period_at`) and `found` (of rows of gold, each with its `period_at`) of a
    WITH: a row for each period, with figures by name, each of its SQL. `metric` is the expression that names the metric
    where it has several units."""
    return _FIGURES.format(
        metric=metric,
        several_units=SEVERAL_UNITS,
        figures=", ".join(f"{sql} AS value_{name}" for name, sql in figures.items()),
        values=", ".join(f"figures.value_{name}" for name in figures),
    )


def _table_macros() -> dict[str, tuple[tuple[str, ...], str]]:
    made: dict[str, tuple[tuple[str, ...], str]] = {}
    for name, table in (("minutes", DEVICE_MINUTES), ("hours", DEVICE_HOURS), ("days", DEVICE_DAYS)):
        made[f"{name}_series"] = ((table.name,), _series_macro(table, f"{name}_series"))
    for name, every in (("hours", "1 hour"), ("days", "1 day")):
        needs, series = made[f"{name}_series"]
        made[f"compared_{name}"] = (needs, f"{series}; {_COMPARED.format(name=name, every=every)}")
    return made


TABLE_MACROS = _table_macros()
"""Table functions: name -> the gold tables that they read, and the statement that makes them."""
