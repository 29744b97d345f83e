"""Partitions: how slices and days are spelt to Dagster, and which asset has which.

Belongs here: partition definitions and the keys of assets. A partition key is the slice as everywhere else in the
lakehouse: `2026-11-20T05` for an hour, `2026-11-20` for a day, both UTC.
"""

from collections.abc import Iterable

from dagster import AssetKey, DailyPartitionsDefinition, HourlyPartitionsDefinition, PartitionsDefinition

from lake.slices import FIRST_PLAUSIBLE_YEAR
from lake.tables.contracts import Table
from lake.tables.gold import DAILY, HOURLY, UNSLICED
from lake.tables.silver import SILVER_DEVICES

FIRST_DAY = f"{FIRST_PLAUSIBLE_YEAR}-01-01"
"""No slice is older: an earlier time is no clock at all (see `lake.slices`)."""

# a device's clock may be a little ahead of the broker's, so the hour under way and the next one can hold readings
HOURS = HourlyPartitionsDefinition(start_date=f"{FIRST_DAY}T00", fmt="%Y-%m-%dT%H", end_offset=2)
DAYS = DailyPartitionsDefinition(start_date=FIRST_DAY, fmt="%Y-%m-%d", end_offset=2)

_UNSLICED_SILVER = frozenset({SILVER_DEVICES.name})


def asset_key(table: str) -> AssetKey:
    """The asset of a table: `silver.thermostats` -> [silver, thermostats]."""
    return AssetKey(table.split("."))


def candidate_key(table: Table) -> AssetKey:
    """The asset of a gold table as dbt builds it, before it is judged."""
    return AssetKey(["candidate", table.short_name])


def gold_partitions(table: Table) -> PartitionsDefinition[str] | None:
    """The partitions of a gold table; None when it is not sliced."""
    return HOURS if table in HOURLY else DAYS if table in DAILY else None


def silver_partitions(table: str) -> PartitionsDefinition[str] | None:
    """The partitions of a silver table; None when it is not sliced."""
    return None if table in _UNSLICED_SILVER else HOURS


def partition_of(slice_: str) -> str | None:
    """The partition key of a slice as verdicts spell it; None for `all`."""
    return None if slice_ == UNSLICED else slice_


def within(slices: Iterable[str]) -> list[str]:
    """Those of the slices that are partitions now, in order."""
    return [slice_ for slice_ in sorted(slices) if HOURS.has_partition_key(slice_)]
