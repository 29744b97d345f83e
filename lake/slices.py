"""Slices: UTC hours of event time, their spelling, their runs and the predicates that select them.

Belongs here: pure arithmetic and text on slices, and the limits of the rule that says which slice a record counts in.
The rule itself is in `transforms.clock`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from lake.sql_text import Expression
from runtime.errors import UsageError

HOUR = timedelta(hours=1)
HOUR_MICROS = 3_600_000_000

# A clock this far ahead of the broker's is wrong; less is the skew of an ordinary, synchronised clock.
CLOCK_AHEAD_S = 300
# A time outside these years is no clock at all: 1970 is a device without one, 9999 a default.
FIRST_PLAUSIBLE_YEAR = 2000
FIRST_IMPLAUSIBLE_YEAR = 2100

_SLICE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}")
_LENGTH = len("2026-11-20T05")


def slice_of(moment: datetime) -> str:
    """The slice that a moment lies in, as `2026-11-20T05`; a moment without a zone is taken as UTC."""
    utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return utc.isoformat(timespec="hours")[:_LENGTH]  # a fifth of strftime's time: a history has 100,000 slices


def slice_at(day: date | str, hour: int) -> str:
    """The slice of a UTC date and hour."""
    return f"{day}T{hour:02d}"


@lru_cache(maxsize=200_000)
def slice_start(slice_: str) -> datetime:
    """First moment of a slice. Raises UsageError for text that is not a slice."""
    try:
        if not _SLICE.fullmatch(slice_):
            raise ValueError(slice_)
        return datetime.fromisoformat(slice_).replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"{slice_!r} is not a slice: write a UTC hour as 2026-11-20T05.") from None


def day_of(slice_: str) -> str:
    """The day that a slice lies in, as `2026-11-20`."""
    return slice_[:10]


@lru_cache(maxsize=20_000)
def slices_of_day(day: str) -> tuple[str, ...]:
    """The 24 slices of a day."""
    return tuple(slice_at(day, hour) for hour in range(24))


def slices_between(first: str, last: str) -> list[str]:
    """All slices from `first` to `last`, both included; empty when `last` is before `first`."""
    start, end = slice_start(first), slice_start(last)
    return [slice_of(start + HOUR * i) for i in range(int((end - start) / HOUR) + 1)]


@lru_cache(maxsize=64)
def slices_from(first: str, last: str) -> tuple[str, ...]:
    """The slices from one to another, both included: hours, or days."""
    if "T" in first:
        return tuple(slices_between(first, last))
    start = date.fromisoformat(first)
    return tuple(str(start + timedelta(days=number)) for number in range((date.fromisoformat(last) - start).days + 1))


def together(slices: Sequence[str]) -> Iterator[Sequence[str]]:
    """Slices in order, hours or days, as stretches that follow each other without a gap."""
    start = 0
    numbers = [_number(slice_) for slice_ in slices]
    for place in range(1, len(slices) + 1):
        if place == len(slices) or numbers[place] != numbers[place - 1] + 1:
            yield slices[start:place]
            start = place


def _number(slice_: str) -> int:
    """Hours since year 1, or days of a day; what is no slice stands alone."""
    if slice_[:1] not in "0123456789":
        return -1
    day = date.fromisoformat(slice_[:10]).toordinal()
    return day * 24 + int(slice_[11:]) if "T" in slice_ else day


def runs_of(slices: Iterable[str]) -> list[tuple[str, int]]:
    """Slices as runs (first slice, number of hours), in order: what a commit's metadata can afford to carry."""
    runs: list[tuple[str, int]] = []
    expected = None
    for slice_ in sorted(set(slices)):
        start = slice_start(slice_)
        runs.append((slice_, 1) if start != expected else (runs[-1][0], runs.pop()[1] + 1))
        expected = start + HOUR
    return runs


def slices_of_runs(runs: Iterable[Sequence[object]]) -> list[str]:
    """The slices of `runs_of`."""
    starts = [(slice_start(str(first)), int(str(count))) for first, count in runs]
    return [slice_of(start + HOUR * number) for start, count in starts for number in range(count)]


def hours_by_date(slices: Iterable[str]) -> dict[date, list[int]]:
    """Slices as UTC date -> sorted hours."""
    dates: dict[date, list[int]] = {}
    for slice_ in sorted(set(slices)):
        dates.setdefault(date.fromisoformat(slice_[:10]), []).append(int(slice_[11:]))
    return dates


def predicate(slices: Iterable[str]) -> Expression:
    """SQL over `event_date` and `event_hour` that selects exactly these slices; `false` for none.

    Dates with the same hours share a term, so that a month of whole days stays a short text.
    """
    by_hours: dict[tuple[int, ...], list[date]] = {}
    for day, hours in hours_by_date(slices).items():
        by_hours.setdefault(tuple(hours), []).append(day)
    terms = []
    for day_hours, days in by_hours.items():
        dates = ", ".join(f"DATE '{day}'" for day in days)
        term = f"event_date IN ({dates})"
        if len(day_hours) < 24:
            term += f" AND event_hour IN ({', '.join(map(str, day_hours))})"
        terms.append(f"({term})")
    return Expression(" OR ".join(terms) or "false")
