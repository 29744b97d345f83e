"""NCRONTAB: when a timer of a function is due.

Belongs here: schedules of six fields (second, minute, hour, day, month, day of the week) or five (from the minute on),
and periods such as `00:05:00`. Pure: the moment is an argument. Times are UTC, as in Azure on Linux.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runtime.errors import UsageError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (("second", 0, 59), ("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PERIOD = re.compile(r"(?:([0-9]+)\.)?([0-9]{1,2}):([0-9]{2}):([0-9]{2})")
_MOST_DAYS = 366 * 9  # a 29 February may be eight years away


@dataclass(frozen=True)
class Schedule:
    """The seconds, minutes, hours, days, months and weekdays (0 is Sunday) at which it is due; or a period."""

    text: str
    fields: tuple[frozenset[int], ...] = ()
    period: timedelta | None = None

    def next_after(self, moment: datetime) -> datetime:
        """The first due moment after `moment`. Raises UsageError when there is none, as on a 30 February."""
        if self.period is not None:
            return moment + self.period
        seconds, minutes, hours, *_ = (sorted(each) for each in self.fields)
        begin = moment.replace(microsecond=0) + timedelta(seconds=1)
        for day in self._days(begin):
            for hour in hours:
                for minute in minutes:
                    for second in seconds:
                        found = day.replace(hour=hour, minute=minute, second=second)
                        if found >= begin:
                            return found
        raise UsageError(f"the schedule {self.text!r} is never due.")

    def _days(self, begin: datetime) -> Iterator[datetime]:
        """The days that fit; where both a day and a weekday are said, both must fit, as in NCrontab."""
        days, months, weekdays = self.fields[3:]
        for number in range(_MOST_DAYS):
            day = begin + timedelta(days=number)
            if day.month in months and day.day in days and day.isoweekday() % 7 in weekdays:
                yield day


def period_of(text: str) -> timedelta | None:
    """A period as .NET writes it, `[d.]hh:mm:ss`; None for anything else."""
    match = _PERIOD.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def schedule_of(text: str) -> Schedule:
    """A schedule from its text. Raises UsageError for what is none."""
    period = period_of(text)
    if period is not None and period:
        return Schedule(text, period=period)
    parts = text.split()
    if len(parts) == 5:
        parts = ["0", *parts]
    if len(parts) != len(_FIELDS):
        raise UsageError(
            f"the schedule {text!r} has {len(parts)} fields: give six, `second minute hour day month weekday`."
        )
    fields = [_values(part, *field, text) for part, field in zip(parts, _FIELDS, strict=True)]
    fields[5] = frozenset(value % 7 for value in fields[5])
    return Schedule(text, tuple(fields))


def _values(part: str, name: str, low: int, high: int, text: str) -> frozenset[int]:
    names: Sequence[str] = {"month": ("", *_MONTHS), "weekday": _DAYS}.get(name, ())
    found: set[int] = set()
    for each in part.lower().split(","):
        span, _, step = each.partition("/")
        first, _, last = span.partition("-")
        begin = low if first == "*" else _number(first, names)
        end = _number(last, names) if last else begin
        if first == "*" or (step and not last):
            # a week has Sunday at one end only
            end = 6 if name == "weekday" else high
        every = int(step) if step.isdigit() else 0 if step else 1
        if begin is None or end is None or not low <= begin <= end <= high or not every:
            raise UsageError(f"the {name} {each!r} of the schedule {text!r} cannot be read: {low} to {high}.")
        found.update(range(begin, end + 1, every))
    return frozenset(found)


def _number(text: str, names: Sequence[str]) -> int | None:
    if text.isdigit():
        return int(text)
    return names.index(text) if text and text in names else None
