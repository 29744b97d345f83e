"""Parts of gold's tables: the columns and rules that several of them share.

Belongs here: those, and how a gold table is declared. The tables are in `gold` and `gold_kinds`.
"""

from collections.abc import Iterable
from typing import Literal

from lake.tables.contracts import AddsUp, Column, Period, Table, optional, required

METRIC = (
    *required(
        ("device_id", "string", "The device that measured"),
        ("metric_name", "string", "The telemetry's name in its model; component.telemetry for a component"),
        ("unit", "string", "Unit of the value columns, as in column suffixes; '1' for a plain number"),
    ),
    *optional(
        ("model_id", "string", "DTMI of the model of the newest reading of the period"),
        ("site_id", "string", "Where the device stood at the start of the hour"),
    ),
)
LAST = required(("value_last", "double", "Value of the newest reading by event_at, then by offset"))
EVENT_DATE = required(("event_date", "date", "UTC date of the period"))
EVENT_SLICE = (*EVENT_DATE, *required(("event_hour", "int", "UTC hour of the period, 0 to 23")))


SITE_DAY = (
    *required(
        ("site_id", "string", "Where the devices stood at the start of each hour; 'unknown' without one"),
        ("metric_name", "string", "The telemetry's name in its model"),
        ("unit", "string", "Unit of the value columns"),
        ("day_date", "date", "The local day of the site's zone"),
        ("event_date", "date", "The local day, as partition"),
    ),
    *optional(
        ("zone", "string", "The time zone of the day; null in a row that was published before sites had zones: UTC"),
        ("starts_at", "timestamp", "First moment of the day"),
        ("hours_in_day", "double", "Its length: 24, or 23 or 25 when clocks are set"),
    ),
)
A_METRIC = ("device_id", "metric_name", "unit")
OF_SILVER = AddsUp(
    "reconciles_with_silver", "readings do not add up to silver's: {observed:reading} too many or too few", A_METRIC
)
EXTREMES = required(
    ("reading_count", "bigint", "Readings in the period"),
    ("value_min", "double", "Smallest value"),
    ("value_max", "double", "Largest value"),
)


def gold_table(
    name: str,
    grain: str,
    columns: Iterable[Column],
    key: tuple[str, ...],
    period: Period | None,
    sliced_by: Literal["hour", "day"] | None = None,
    adds_up: tuple[AddsUp, ...] = (),
    kind: Literal["gauge", "counter", "state"] | None = None,
) -> Table:
    """A table of gold, partitioned by date where it is built in slices."""
    partitions = () if sliced_by is None else ("event_date",)
    return Table(
        f"gold.{name}", grain, tuple(columns), key, "delta-rs", partitions, (), sliced_by, period, adds_up, kind
    )
