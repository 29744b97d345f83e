"""Local days: the days of a time zone, as the UTC moments at which they begin and end.

Belongs here: zones, and pure arithmetic on their days. The rules of zones come with the package tzdata, which is
pinned: two machines agree on a day, whatever their systems know.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from lake.slices import HOUR, day_of, slice_of, slice_start
from runtime.errors import UsageError

UTC_ZONE = "UTC"
"""The zone of a site that declares none."""

_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
# the longest that there is has 32; a file system refuses to look for one of more than 255
_LONGEST_NAME = 64
_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)


@dataclass(frozen=True)
class LocalDay:
    """A day of a zone: from `starts_at` on, up to `ends_at`, both UTC."""

    zone: str
    day: date
    starts_at: datetime
    ends_at: datetime

    @property
    def hours(self) -> float:
        """Its length in hours: 24, or what the setting of clocks makes of it; 23.5 and 24.5 on Lord Howe Island."""
        return (self.ends_at - self.starts_at) / HOUR

    @property
    def slices(self) -> list[str]:
        """The UTC hours that it has a part of, in order."""
        first = slice_start(slice_of(self.starts_at))
        return [slice_of(first + HOUR * n) for n in range(-(-(self.ends_at - first) // HOUR))]


def is_zone(name: str) -> bool:
    """True for the name of an IANA time zone, as Europe/Berlin."""
    try:
        zone_of(name)
    except UsageError:
        return False
    return True


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """A zone by its name. Raises UsageError for what is none."""
    is_name = len(name) <= _LONGEST_NAME and _NAME.fullmatch(name)
    file = resources.files("tzdata").joinpath("zoneinfo", *name.split("/")) if is_name else None
    if file is not None and file.is_file():
        with file.open("rb") as opened:
            if opened.read(4) == b"TZif":
                opened.seek(0)
                return ZoneInfo.from_file(opened, key=name)
    raise UsageError(f"{name!r} is no time zone: write one as Europe/Berlin or UTC.")


@lru_cache(maxsize=100_000)
def local_day(zone: str, day: date) -> LocalDay | None:
    """The day of a zone; None for one that its calendar leaves out, as Samoa's 30 December 2011."""
    starts_at, ends_at = _midnight(zone, day), _midnight(zone, day + _DAY)
    return LocalDay(zone, day, starts_at, ends_at) if starts_at < ends_at else None


def days_of_slice(zone: str, slice_: str) -> list[date]:
    """The local days that an hour lies in: one, or two when a midnight falls into it."""
    start = slice_start(slice_)
    there = start.astimezone(zone_of(zone)).date()
    found = [local_day(zone, there + _DAY * number) for number in (-1, 0, 1)]
    return [each.day for each in found if each and each.starts_at < start + HOUR and each.ends_at > start]


def local_days(zone: str, first: date, last: date) -> Iterator[LocalDay]:
    """The days of a zone from `first` to `last`, both included."""
    for number in range((last - first).days + 1):
        found = local_day(zone, first + timedelta(days=number))
        if found is not None:
            yield found


def days_touched(zones: Iterable[str], slices: Iterable[str]) -> set[str]:
    """The days, as 2026-11-20, that some of the hours lie in by one of the zones."""
    every = set(slices)
    found: set[str] = set()
    for zone in set(zones):
        if zone == UTC_ZONE:
            found.update(day_of(slice_) for slice_ in every)
        else:
            found.update(str(day) for slice_ in every for day in days_of_slice(zone, slice_))
    return found


def days_held(zones: Iterable[str], held: Iterable[str]) -> set[str]:
    """The days that are among the held slices, or that a held hour lies in by one of the zones."""
    every = set(held)
    return days_touched(zones, {s for s in every if "T" in s}) | {s for s in every if s[:1].isdigit() and "T" not in s}


def _midnight(zone: str, day: date) -> datetime:
    """The first moment of a local day; where clocks go forward over midnight, the moment at which they do."""
    found = zone_of(zone)
    local = datetime(day.year, day.month, day.day, tzinfo=found)
    moment = local.astimezone(UTC)
    is_there = moment.astimezone(found).replace(tzinfo=None) == local.replace(tzinfo=None)
    return moment if is_there else _end_of_gap(found, day, moment)


def _end_of_gap(zone: ZoneInfo, day: date, near: datetime) -> datetime:
    """The first second that has the date `day` or a later one."""
    before, after = near - 2 * _DAY, near + 2 * _DAY
    while after - before > _SECOND:
        middle = before + (after - before) // 2 // _SECOND * _SECOND
        before, after = (middle, after) if middle.astimezone(zone).date() < day else (before, middle)
    return after
