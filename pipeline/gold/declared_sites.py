"""Declared sites: what gold needs to know of places: the sites, the zones of their days, and the calendar of those.

Belongs here: reading `silver.sites` at a version, and the rows that the plan has of it. What declarations come to is in
`transforms.places`, what a local day is in `lake.local_days`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from lake.local_days import UTC_ZONE, local_days
from lake.slices import slice_start
from lake.storage.delta import open_table, read_rows
from lake.tables.silver import SILVER_SITES
from runtime.settings import Settings
from transforms.places import Site, sites_of

_NEAR = timedelta(hours=15)  # no zone is further from UTC


@dataclass(frozen=True)
class DeclaredSites:
    """The sites as they are declared now. `zones` are all that days may follow or have followed, UTC among them."""

    sites: tuple[Site, ...] = ()
    zones: tuple[str, ...] = (UTC_ZONE,)


def declared_sites(settings: Settings, version: int | None) -> DeclaredSites:
    """The sites at a version of `silver.sites`; none when there is no such table."""
    opened = None if version is None else open_table(settings, SILVER_SITES.name, version)
    rows = [] if opened is None else read_rows(opened)
    # a zone that was taken back stays among them: its days have to be built without what they had
    zones = {UTC_ZONE, *(row["zone"] for row in rows if row["zone"])}
    return DeclaredSites(tuple(sites_of(row for row in rows if row["is_current"])), tuple(sorted(zones)))


def calendar_rows(declared: DeclaredSites, hours: Collection[str]) -> Iterator[tuple[object, ...]]:
    """Rows of `gold.calendar`: for each zone the days of all years that the hours, slices, lie in."""
    if not hours:
        return
    first, last = slice_start(min(hours)) - _NEAR, slice_start(max(hours)) + _NEAR
    for zone in declared.zones:
        for each in local_days(zone, date(first.year, 1, 1), date(last.year, 12, 31)):
            monday = each.day - timedelta(days=each.day.weekday())
            length = each.hours
            yield (
                zone, each.day, each.starts_at, each.ends_at, length, length != 24, monday, each.day.replace(day=1)
            )  # fmt: skip
