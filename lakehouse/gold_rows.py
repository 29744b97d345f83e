"""Rows of published gold: chosen first, then read as Arrow, Polars, pandas or a DuckDB relation.

Belongs here: what a person may ask of rows, and the times that he may give. Where they come from is in
`lakehouse.published`.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from lake.sql_text import quoted_names
from runtime.errors import UsageError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

Moment = datetime | date | str
"""A time with its zone, a UTC day, or either as ISO 8601 text."""

_TIMES = ("minute_at", "hour_at", "day_date", "week_date", "month_date", "event_at")


class Rows:
    """Rows that are read when they are asked for, in the form that is asked for."""

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        self._relation = relation

    @property
    def columns(self) -> list[str]:
        """The names, in their order."""
        return list(self._relation.columns)

    def where(self, condition: str | None = None, **equal: Any) -> "Rows":
        """Those that fit an SQL condition, and that have the values given by column: one, or a list of them.

        Files that cannot have any are not read, as their days and their smallest and largest values tell.
        """
        relation = self._relation if condition is None else self._relation.filter(condition)
        for name, value in equal.items():
            column = duckdb.ColumnExpression(name)
            if isinstance(value, Sequence) and not isinstance(value, str | bytes):
                values = [duckdb.ConstantExpression(each) for each in value]
                relation = relation.filter(column.isin(*values) if values else duckdb.ConstantExpression(False))
            else:
                relation = relation.filter(column == duckdb.ConstantExpression(value))
        return Rows(relation)

    def during(self, start: Moment, end: Moment) -> "Rows":
        """Those whose time lies from `start` up to, not including, `end`. Raises UsageError where there is no time."""
        time = next((name for name in _TIMES if name in self.columns), None)
        if time is None:
            raise UsageError(f"These rows have no time: {', '.join(self.columns)}.")
        first, last = moment(start), moment(end)
        relation = self._relation
        if "event_date" in self.columns:
            relation = relation.filter(f"event_date BETWEEN DATE '{first:%Y-%m-%d}' AND DATE '{last:%Y-%m-%d}'")
        return Rows(relation.filter(f"{time} >= TIMESTAMPTZ '{first}' AND {time} < TIMESTAMPTZ '{last}'"))

    def select(self, *columns: str) -> "Rows":
        """These columns only; no others are read."""
        return Rows(self._relation.project(quoted_names(columns)))

    def to_duckdb(self) -> duckdb.DuckDBPyRelation:
        """A DuckDB relation, to go on with in SQL."""
        return self._relation

    def to_arrow(self) -> "pyarrow.Table":
        """An Arrow table."""
        return self._relation.to_arrow_table()

    def to_pandas(self) -> "pandas.DataFrame":
        """A pandas frame; times are in UTC."""
        return self._relation.df()

    def to_polars(self) -> "polars.DataFrame":
        """A Polars frame. Raises UsageError when Polars is not installed."""
        try:
            import polars
        except ImportError as error:
            raise UsageError("Polars is not installed: pip install 'iot-lakehouse[polars]'.") from error
        return polars.DataFrame(self._relation.to_arrow_table())


def moment(value: Moment) -> datetime:
    """The time in UTC. Raises UsageError for a text that is none, and for a time of a day without a zone."""
    try:
        given = value if isinstance(value, date) else datetime.fromisoformat(value)
    except ValueError as error:
        raise UsageError(f"{value!r} is no time: give 2026-11-20T05:00Z or 2026-11-20.") from error
    if not isinstance(given, datetime):
        return datetime(given.year, given.month, given.day, tzinfo=UTC)
    if given.tzinfo is None:
        if isinstance(value, str) and len(value) == 10:
            return given.replace(tzinfo=UTC)
        raise UsageError(f"{value} has no time zone: give one, for example {given.isoformat()}Z.")
    return given.astimezone(UTC)
