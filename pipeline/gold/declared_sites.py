"""Declared sites: what gold needs to know of places: the sites, the zones of their days, and the calendar of those.

Belongs here: reading `silver.sites` at a version, and the rows that the plan has of it. What declarations come to is in
`transforms.places`, what a local day is in `lake.local_days`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from lake.local_days import UTC_ZONE, local_day, local_days
from lake.slices import HOUR, slice_start
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


def current_zones(declared: DeclaredSites) -> set[str]:
    """The zones that days follow now."""
    return {UTC_ZONE, *(site.zone for site in declared.sites)}


def local_hour_rows(
    declared: DeclaredSites, days: Iterable[str], records: Mapping[str, int]
) -> Iterator[tuple[object, ...]]:
    """Rows of the plan's `local_hours`: for each zone the hours with readings that its local days have a part of.

    `records` are the readings by hour. An hour into which a midnight falls stands in both days, and is whole in none.
    """
    for zone in sorted(current_zones(declared)):
        for day in sorted(days):
            found = local_day(zone, date.fromisoformat(day))
            for slice_ in () if found is None else found.slices:
                if found is not None and slice_ in records:
                    start = slice_start(slice_)
                    is_whole = found.starts_at <= start and start + HOUR <= found.ends_at
                    yield (
                        zone, found.day, found.starts_at, found.ends_at, found.hours, start, start.date(), start.hour,
                        records[slice_], is_whole,
                    )  # fmt: skip


def is_rebuildable(zones: Iterable[str], day: str, final: str) -> bool:
    """True when no zone's day of that date has a part before `final`, of which there are no readings any more."""
    if not final:
        return True
    found = [local_day(zone, date.fromisoformat(day)) for zone in zones]
    first = slice_start(f"{final}T00")
    return all(each is None or each.starts_at >= first for each in found)


def rezoned(before: DeclaredSites, now: DeclaredSites) -> set[str]:
    """The sites whose days follow another zone than before."""
    old, new = ({site.site_id: site.zone for site in each.sites} for each in (before, now))
    return {each for each in {*old, *new} if old.get(each, UTC_ZONE) != new.get(each, UTC_ZONE)}


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
