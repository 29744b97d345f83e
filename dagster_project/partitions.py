"""Partitions: how slices and days are spelt to Dagster, and which asset has which.

Belongs here: partition definitions and the keys of assets. A partition key is the slice as everywhere else in the
lakehouse: `2026-11-20T05` for an hour, `2026-11-20` for a day, both UTC.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

from dagster import AssetKey, DailyPartitionsDefinition, HourlyPartitionsDefinition, PartitionsDefinition

from lake.slices import day_of
from lake.tables.contracts import Table
from lake.tables.gold import DAILY, HOURLY, UNSLICED
from lake.tables.silver import UNSLICED_SILVER
from runtime.settings import Settings
from runtime.whole_files import write_whole

# before there is anything in a lake, what comes is taken to be new
_USUAL_AGE = timedelta(days=31)
# a device's clock may be a little ahead of the broker's, so the hour under way and the next one can hold readings
_AHEAD = 2
_UNSLICED_SILVER = frozenset(table.name for table in UNSLICED_SILVER)


@dataclass(frozen=True)
class Calendar:
    """The partitions of a lakehouse: they begin with its first slice, since the UI shows each of them.

    Hours of a history that came since `up` began are offered by the UI after `lakehouse down` and `up`; what runs does
    not depend on them.
    """

    first_day: str

    @cached_property
    def hours(self) -> HourlyPartitionsDefinition:
        """UTC hours."""
        return HourlyPartitionsDefinition(start_date=f"{self.first_day}T00", fmt="%Y-%m-%dT%H", end_offset=_AHEAD)

    @cached_property
    def days(self) -> DailyPartitionsDefinition:
        """UTC days."""
        return DailyPartitionsDefinition(start_date=self.first_day, fmt="%Y-%m-%d", end_offset=_AHEAD)

    def since(self, slice_: str) -> "Calendar":
        """The same, from a slice's day on where that is earlier."""
        return Calendar(min(self.first_day, day_of(slice_)))

    def within(self, slices: Iterable[str]) -> list[str]:
        """Those of the slices that are partitions now, in order."""
        return [slice_ for slice_ in sorted(slices) if self.hours.has_partition_key(slice_)]

    def of_gold(self, table: Table) -> PartitionsDefinition[str] | None:
        """The partitions of a gold table; None when it is not sliced."""
        return self.hours if table in HOURLY else self.days if table in DAILY else None

    def of_silver(self, table: str) -> PartitionsDefinition[str] | None:
        """The partitions of a silver table; None when it is not sliced."""
        return None if table in _UNSLICED_SILVER else self.hours


def calendar_of(settings: Settings) -> Calendar:
    """What is noted in the home: loading the definitions asks no lake, which may be far away."""
    try:
        return Calendar(str(date.fromisoformat(_noted(settings).read_text().strip())))
    except (OSError, ValueError):
        return Calendar(str((datetime.now(UTC) - _USUAL_AGE).date()))


def note_first_slice(settings: Settings, slice_: str) -> None:
    """Note where the partitions begin: with the first slice that gold covers."""
    path, day = _noted(settings), day_of(slice_)
    if not path.is_file() or path.read_text().strip() != day:
        write_whole(path, f"{day}\n")


def _noted(settings: Settings) -> Path:
    return settings.dagster_home / "first_day"


def asset_key(table: str) -> AssetKey:
    """The asset of a table: `silver.thermostats` -> [silver, thermostats]."""
    return AssetKey(table.split("."))


def candidate_key(table: Table) -> AssetKey:
    """The asset of a gold table as dbt builds it, before it is judged."""
    return AssetKey(["candidate", table.short_name])


def partition_of(slice_: str) -> str | None:
    """The partition key of a slice as verdicts spell it; None for `all`."""
    return None if slice_ == UNSLICED else slice_
