"""Comforts: what a reader has beside the lake's tables, so that common questions are one line.

Belongs here: views with a column a metric, the macros of series, and DESCRIBE with what the declarations say. Which
version of a table is read is decided in `reader`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lake.models.catalog import Model
from lake.models.kind_columns import KindColumn, kind_columns
from lake.models.telemetry import NUMERIC_TYPES, Telemetry
from lake.models.units import NO_UNIT
from lake.reading.series_macros import SCALAR_MACROS, TABLE_MACROS
from lake.reading.site_periods import NEEDS, SITE_PERIODS
from lake.sql_text import quoted, quoted_name
from lake.tables.contracts import Column, Table
from lake.tables.gold import DEVICE_DAYS, DEVICE_HOURS, DEVICE_MINUTES
from lake.tables.gold_kinds import STATE_DAYS, STATE_HOURS

WIDE = "wide"
"""The schema of views with a column a metric."""

_PERIODS: Mapping[str, tuple[Table, Table | None, str]] = {
    "minutes": (DEVICE_MINUTES, None, "minute_at"),
    "hours": (DEVICE_HOURS, STATE_HOURS, "hour_at"),
    "days": (DEVICE_DAYS, STATE_DAYS, "day_date"),
}
# suffix before the unit -> column of gold; the mean has the telemetry's own name
_FIGURES = {"": "value_mean", "min": "value_min", "max": "value_max", "last": "value_last"}
_DESCRIBE = re.compile(r"\s*(?:DESCRIBE|DESC)\s+(?:(\w+)\.)?(\w+)\s*;?\s*", re.I)


@dataclass(frozen=True)
class Comfort:
    """A view or macro; `statement` makes it once the tables that it `needs` can be read."""

    name: str
    needs: tuple[str, ...]
    statement: str
    columns: tuple[Column, ...] = field(default=())

    @property
    def word(self) -> str:
        """The word by which SQL names it."""
        return self.name.split(".")[-1].lower()


def comforts(models: Iterable[Model]) -> dict[str, Comfort]:
    """Every comfort by the word that names it."""
    found = [Comfort(name, (), statement) for name, statement in SCALAR_MACROS.items()]
    found += [Comfort(name, needs, statement) for name, (needs, statement) in TABLE_MACROS.items()]
    found += [
        Comfort(each.name, NEEDS, f"CREATE VIEW {each.name} AS {each.select()}", each.columns) for each in SITE_PERIODS
    ]
    by_table: dict[str, list[Model]] = {}
    for model in models:
        by_table.setdefault(model.table.split(".")[-1], []).append(model)
    for name, sharing in sorted(by_table.items()):
        found += [_wide(f"{WIDE}.{name}_{period}", period, sharing) for period in _PERIODS]
    return {comfort.word: comfort for comfort in found}


def described(statement: str, tables: Mapping[str, Table], offered: Mapping[str, Comfort]) -> str:
    """DESCRIBE of a table or wide view as a question that gives null, key and comment, too; any other SQL as it is."""
    match = _DESCRIBE.fullmatch(statement)
    if match is None:
        return statement
    name = f"{match.group(1) or 'gold'}.{match.group(2)}".lower()
    view = offered.get(match.group(2).lower())
    if name in tables:
        columns, key = tables[name].columns, tables[name].key
    elif view is not None and view.name == name:
        columns, key = view.columns, ()
    else:
        return statement
    rows = ", ".join(
        f"({place}, {quoted(column.name)}, {quoted('YES' if column.nullable else 'NO')}, "
        f"{quoted('PRI') if column.name in key else 'NULL'}, {quoted(column.description)})"
        for place, column in enumerate(columns)
    )
    return (
        f'SELECT d.column_name, d.column_type, c."null", c.key, c.comment FROM (DESCRIBE {name}) d '
        f'LEFT JOIN (VALUES {rows}) c(place, name, "null", key, comment) ON c.name = d.column_name ORDER BY c.place'
    )


def _wide(name: str, period: str, models: list[Model]) -> Comfort:
    table, states_table, time = _PERIODS[period]
    metrics = {
        each.column: each
        for model in models
        for each in model.telemetry
        if each.is_metric and each.type in NUMERIC_TYPES
    }
    fixed = {column.name: column for column in table.columns}
    keys = ["device_id", time, "event_date", *(["event_hour"] if "event_hour" in fixed and period == "minutes" else [])]
    figures = [(column, sql) for each in metrics.values() for column, sql in _figures(each)]
    states = [each for each in kind_columns(models) if each.kind.name == "state" and each.column not in metrics]
    source, having = table.name, ""
    needs: tuple[str, ...] = (table.name,)
    if states and states_table is not None:
        figures += [_last_state(each) for each in states]
        source, needs = _with_states(table, states_table, keys), (table.name, states_table.name)
        having = " HAVING bool_or(NOT is_carried)"  # a period in which nothing came has no row, as in the table
    ids = ", ".join(quoted(model.model_id) for model in models)
    parts = [*keys, "any_value(site_id) AS site_id", "max(reading_count) AS reading_count"]
    parts += [f"{sql} AS {quoted_name(column.name)}" for column, sql in figures]
    statement = (
        f"CREATE VIEW {name} AS SELECT {', '.join(parts)} FROM {source} WHERE model_id IN ({ids}) "
        f"GROUP BY {', '.join(keys)}{having}"
    )
    columns = [
        *(fixed[key] for key in keys),
        fixed["site_id"],
        fixed["reading_count"],
        *(column for column, _ in figures),
    ]
    return Comfort(name, needs, statement, tuple(columns))


def _with_states(table: Table, states: Table, keys: list[str]) -> str:
    """The rows of metrics, and below them those of states; PostgreSQL understands it too."""
    both = ", ".join((*keys, "model_id", "site_id", "metric_name", "unit", "reading_count"))
    return (
        f"(SELECT {both}, {', '.join(_FIGURES.values())}, NULL AS state, false AS is_last, false AS is_carried "
        f"FROM {table.name} UNION ALL "
        f"SELECT {both}, {', '.join('NULL' for _ in _FIGURES)}, state, is_last, is_carried "
        f"FROM {states.name}) AS metrics_and_states"
    )


def _last_state(of: KindColumn) -> tuple[Column, str]:
    """The newest state up to the end of the period."""
    which = f"metric_name = {quoted(of.metric_name)} AND unit = {quoted(of.unit)} AND is_last"
    says = f"Newest state of {of.metric_name} up to the end of the period; null when it is not known"
    return Column(of.column, "string", says), f"any_value(state) FILTER (WHERE {which})"


def _figures(telemetry: Telemetry) -> Iterator[tuple[Column, str]]:
    """Mean, smallest, largest and last value of a metric: `temperature_degc`, `temperature_min_degc`, …"""
    suffix = "" if telemetry.unit == NO_UNIT else f"_{telemetry.unit}"
    stem = telemetry.column.removesuffix(suffix)
    which = f"metric_name = {quoted(telemetry.metric_name)} AND unit = {quoted(telemetry.unit)}"
    for figure, value in _FIGURES.items():
        name = telemetry.column if not figure else f"{stem}_{figure}{suffix}"
        says = f"{value} of {telemetry.metric_name} in {telemetry.unit}; null without readings"
        yield Column(name, "double", says), f"any_value({value}) FILTER (WHERE {which})"
