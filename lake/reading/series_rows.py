"""Series rows: the rows of gold of which a figure of a series is made.

Belongs here: which table has a figure, and the figures that only counters or gauges have. Those that every number has
are in `series_macros`; points are made of the rows in `even_series` and `local_day_series`.

Figures by kind are made of hours, a counter's increase of minutes too, never of days: a day of a device that moved is
of two sites. Where an interval is one row its figure is that row's, to the bit.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa

from lake.reading.series_macros import TIMES, VALUES
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_HOURS, DEVICE_MINUTES
from lake.tables.gold_kinds import COUNTER_HOURS, COUNTER_MINUTES, GAUGE_HOURS
from runtime.errors import UsageError

Ask = Callable[[str, Sequence[Any]], pa.Table]
"""Asks SQL with its parameters."""


class Source(Protocol):
    """What to select from for a gold table by its name; of one that is asked for `days` only, counted from 1970-01-01,
    rows of other days may be left out."""

    def __call__(self, name: str, days: range | None = None, /) -> str: ...


@dataclass(frozen=True)
class WantedSeries:
    """A device's metric over a span, which is widened to whole intervals: the figure, what stands in intervals without
    readings, and the unit where a metric has several."""

    device_id: str
    metric: str
    start: datetime
    end: datetime
    value: str
    fill: str
    unit: str | None


@dataclass(frozen=True)
class _KindFigure:
    """The SQL of a figure, the columns that it reads, and the tables that have it: of hours, and of minutes if any."""

    sql: str
    columns: tuple[str, ...]
    tables: Mapping[Table, Table | None]
    whose: str
    is_filled: bool = True


KIND_FIGURES = {
    "first": _KindFigure(
        "arg_min(value_first, read_at)",
        ("value_first",),
        {GAUGE_HOURS: None, COUNTER_HOURS: None},
        "gauges and counters",
    ),
    "increase": _KindFigure(
        "CASE count(*) WHEN 1 THEN any_value(increase) ELSE sum(increase) END",
        ("increase",),
        {COUNTER_HOURS: COUNTER_MINUTES},
        "counters",
        is_filled=False,
    ),
    "time_weighted_mean": _KindFigure(
        """CASE count(*) WHEN 1 THEN any_value(time_weighted_mean)
            ELSE sum(time_weighted_mean * covered_s) / nullif(sum(covered_s), 0) END""",
        ("time_weighted_mean", "covered_s"),
        {GAUGE_HOURS: None},
        "gauges",
    ),
}
"""The figures that gold has by kind of telemetry; docs/guide/kinds.md says what each is."""


@dataclass(frozen=True)
class SeriesRows:
    """A table by day, hour or minute, the columns of it that a figure is made of, and the figure's SQL by its name. The
    first column is the figure where it is made of one row."""

    table: Table
    columns: tuple[str, ...]
    figures: Mapping[str, str]

    @property
    def time(self) -> str:
        """The column that says when a row begins."""
        return next(name for name in TIMES.values() if name in self.table.column_names)

    @property
    def selected(self) -> str:
        """The columns as SQL, of the table `t`."""
        return ", ".join(f"t.{name}" for name in self.columns)


def rows_of_value(table: Table, value: str) -> SeriesRows:
    """What a figure that every number has is made of."""
    return SeriesRows(table, (f"value_{value}",), {value: VALUES[value]})


def rows_for(
    ask: Ask, source: Source, published: Collection[str], wanted: WantedSeries, *, of_hours: bool
) -> SeriesRows:
    """What the figure is made of, for intervals of whole hours or not.

    Raises UsageError where gold does not have it of this metric, or not by minute, and where it cannot be filled.
    """
    figure = KIND_FIGURES.get(wanted.value)
    if figure is None:
        return rows_of_value(DEVICE_HOURS if of_hours else DEVICE_MINUTES, wanted.value)
    if wanted.fill != "gap" and not figure.is_filled:
        raise UsageError(f"{wanted.value} is not filled: where nothing came nothing is known to have grown.")
    days = [moment.astimezone(UTC).date() for moment in (wanted.start, wanted.end)]
    # the span first: of a metric that has no such figure all files are asked, of others those of its days
    for where in (f"event_date BETWEEN DATE '{days[0]}' AND DATE '{days[1]}'", "true"):
        for hours, minutes in figure.tables.items():
            if hours.name in published and _has(ask, source(hours.name), wanted, where):
                return SeriesRows(
                    _table(hours, minutes, published, wanted, of_hours), figure.columns, {wanted.value: figure.sql}
                )
    raise UsageError(
        f"{wanted.value} is a figure of {figure.whose}, and {wanted.metric} of {wanted.device_id} has none in gold."
    )


def _table(
    hours: Table, minutes: Table | None, published: Collection[str], wanted: WantedSeries, of_hours: bool
) -> Table:
    if of_hours:
        return hours
    if minutes is None or minutes.name not in published:
        raise UsageError(f"{wanted.value} is published by hour: ask for intervals of whole hours.")
    return minutes


def _has(ask: Ask, source: str, wanted: WantedSeries, where: str) -> bool:
    sql = f"SELECT 1 FROM {source} t WHERE device_id = ? AND metric_name = ? AND {where} LIMIT 1"
    return bool(ask(sql, [wanted.device_id, wanted.metric]).num_rows)
