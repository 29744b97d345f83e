"""Times of recorded files: which moment a cell names.

Belongs here: ISO 8601 and RFC 3339, epochs, formats, and the local times that a change of the clocks makes double or
missing.

Local times of a zone are told apart by their order: of a device's rows in the hour that comes twice, those before the
one step back in time are of the first. Where there is no such step, or more than one, no rule could say which hour a
row is of, and the rows are refused; so are those of the hour that a zone leaves out.
"""

import re
import time
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from device_sim.cells import NumberText, name_text, number_text
from lake.slices import FIRST_IMPLAUSIBLE_YEAR, FIRST_PLAUSIBLE_YEAR
from wire.times import moment_of_rfc3339

UNITS = {"s": Decimal(1_000_000), "ms": Decimal(1_000), "us": Decimal(1), "ns": Decimal("0.001")}
"""Microseconds in one of each unit of an epoch."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE_NUMBER = re.compile(r"[0-9]{9,20}")
_FOLDS = (0, 1)
# ISO 8601 in both of its forms; Python's own reader takes anything between date and time, so numbers, too
_ISO_8601 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{4}-W[0-9]{2}(?:-[1-7])?|[0-9]{4}W[0-9]{2}[1-7]?)"
    r"(?:[Tt ]([0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]+)?)?)?)"
    r" ?([Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?)?"
)
_NAMES_OF_UTC = ("utc", "gmt")
# the parts of a format that have a width of their own
_DIGITS = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "j": 3}
_ONLY_DIGITS = re.compile(f"(?:%[{''.join(_DIGITS)}])+")
# microseconds of so many digits are in no calendar
_MAX_DIGITS = 20
# nearer to the ends of the calendar the offset of a zone may lead out of it
_FIRST_LOCAL, _LAST_LOCAL = datetime.min + timedelta(days=1), datetime.max - timedelta(days=1)


class UnclearTimeError(ValueError):
    """A time may be either of two moments, or is none; the message says which and what to do."""


class TimeReader:
    """Reads the time of a cell; `unit` is one of UNITS for numbers since 1970, `format` is one of strptime.

    `decimal_mark` is that of numbers which are text.
    """

    def __init__(self, unit: str | None = None, format_: str | None = None, decimal_mark: str = ".") -> None:
        self._unit = None if unit is None else UNITS[unit]
        self._format = format_
        self.is_of_numbers = unit is not None
        self._mark = decimal_mark

    def read(self, value: Any) -> datetime | None:
        """The moment in UTC, or without a zone where the cell names none; None where it is no time."""
        try:
            return _in_utc(self._read(value))
        except (ValueError, ArithmeticError):
            return None

    def _read(self, value: Any) -> datetime | None:
        if isinstance(value, datetime):
            return value
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day)
        if self._unit is not None:
            return self._of_number(value, self._unit)
        if self._format is not None:
            return _of_format(_text_of(value), self._format)
        return _of_iso_8601(value.strip()) if isinstance(value, str) and not isinstance(value, NumberText) else None

    def _of_number(self, value: Any, micros_of_unit: Decimal) -> datetime | None:
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            return None
        is_text = isinstance(value, str) and not isinstance(value, NumberText)
        number = number_text(value.strip(), self._mark) if is_text else str(value)
        if number is None:
            return None
        micros = Decimal(number) * micros_of_unit
        if micros.adjusted() >= _MAX_DIGITS:
            return None
        return _EPOCH + timedelta(microseconds=int(micros.to_integral_value("ROUND_FLOOR")))


def _of_iso_8601(text: str) -> datetime | None:
    moment = moment_of_rfc3339(text)
    match = None if moment is not None else _ISO_8601.fullmatch(text)
    if match is None:
        return moment
    day, clock, zone = match.groups()
    return datetime.fromisoformat(day if clock is None else f"{day}T{clock}{(zone or '').upper()}")


def _text_of(value: Any) -> str:
    """What is read by a format; of a number the digits, if it has a fraction nobody can say how that was written."""
    if isinstance(value, str) and not isinstance(value, NumberText):
        return value.strip()
    text = "" if isinstance(value, bool) or value is None else name_text(value)
    return text if text.isdigit() else ""


def _of_format(text: str, format_: str) -> datetime | None:
    if text.isdigit() and _ONLY_DIGITS.fullmatch(format_):
        # a number does not keep the zeros before it, and what lacks one would be read as another time
        text = text.zfill(sum(_DIGITS[letter] for letter in format_[1::2]))
    moment = datetime.strptime(text, format_)
    # %Z takes names of zones, of which it says nothing in what it returns
    zone = time.strptime(text, format_).tm_zone if moment.tzinfo is None and "%Z" in format_ else None
    if not zone:
        return moment
    return moment.replace(tzinfo=UTC) if zone.lower() in _NAMES_OF_UTC else None


def unit_hint(value: Any) -> str:
    """What to say of a cell that looks like a number since 1970; '' for others."""
    text = re.split(r"[.,]", str(value).strip())[0]
    if not _WHOLE_NUMBER.fullmatch(text):
        return ""
    unit = next((name for name, digits in (("s", 11), ("ms", 14), ("us", 17)) if len(text) <= digits), "ns")
    return f" It looks like a number since 1970: give --time-unit {unit}."


def is_plausible(moment: datetime) -> bool:
    """False for the times of devices without a clock, which no device has been in service since."""
    return FIRST_PLAUSIBLE_YEAR <= moment.year < FIRST_IMPLAUSIBLE_YEAR


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment and moment.astimezone(UTC)
    return moment if _FIRST_LOCAL <= moment <= _LAST_LOCAL else None


@dataclass
class _Hour:
    """The rows of one series within an hour that comes twice, in the order of the file."""

    before: datetime | None
    first_line: int
    first: datetime
    last: datetime
    last_line: int
    earliest: datetime
    latest: datetime
    after: datetime | None = None
    rows: int = 1
    back: int = 0
    back_line: int = 0
    forth: int = 0
    forth_line: int = 0
    still_line: int = 0
    is_interrupted: bool = False

    def add(self, line: int, moment: datetime) -> None:
        """The next row."""
        if moment < self.last:
            self.back, self.back_line = self.back + 1, line
        elif moment > self.last:
            self.forth, self.forth_line = self.forth + 1, line
        else:
            self.still_line = line
        self.rows, self.last, self.last_line = self.rows + 1, moment, line
        self.earliest, self.latest = min(self.earliest, moment), max(self.latest, moment)

    def turn(self) -> tuple[int, int] | None:
        """The line from which on rows are of the other of the two hours, and which comes first in the file (0: the
        earlier one); None where order does not tell."""
        if self.is_interrupted:
            return None
        rises = (self.before is None or self.before <= self.earliest) and (
            self.after is None or self.after >= self.latest
        )
        falls = (self.before is None or self.before >= self.latest) and (
            self.after is None or self.after <= self.earliest
        )
        if rises and falls:
            # nothing around it: a file that rises steps back once at most, one that falls steps forth once at most
            rises, falls = self.forth > 1 >= self.back, self.back > 1 >= self.forth
        if self.rows == 2 and self.still_line and (rises or falls):
            return self.still_line, 0 if rises else 1
        if rises and self.back == 1:
            return self.back_line, 0
        if falls and self.forth == 1:
            return self.forth_line, 1
        return None


class LocalTimes:
    """Times of a zone without their offset; `observe` all of a file's, in order, before the first is resolved."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self.is_fixed = zone.key in ("UTC", "Etc/UTC", "GMT", "Etc/GMT")
        self._hours: dict[tuple[Hashable, datetime], _Hour] = {}
        self._open: dict[Hashable, _Hour] = {}
        self._last: dict[Hashable, datetime] = {}

    def observe(self, series: Hashable, line: int, moment: datetime) -> None:
        """A row of a series (what comes in one order), in the order of the file."""
        open_hour = self._open.get(series)
        if not self._is_double(moment):
            if open_hour is not None:
                open_hour.after = moment
                del self._open[series]
            self._last[series] = moment
            return
        key = (series, self._change(moment))
        if open_hour is not None and open_hour is self._hours.get(key):
            open_hour.add(line, moment)
            return
        if open_hour is not None:
            open_hour.after = moment
        if key in self._hours:
            self._hours[key].is_interrupted = True
        else:
            before = self._last.get(series)
            self._hours[key] = _Hour(before, line, moment, moment, line, moment, moment)
        self._open[series] = self._hours[key]

    def moment(self, series: Hashable, line: int, moment: datetime) -> datetime | None:
        """The moment in UTC; None for one of a missing hour, or of a double one that order does not tell apart."""
        if self.is_fixed:
            return moment.replace(tzinfo=UTC)
        early, late = (moment.replace(tzinfo=self._zone, fold=fold).utcoffset() for fold in _FOLDS)
        fold = 0
        if early != late:
            if early is None or late is None or early < late:
                return None
            turn = self._hours[series, self._change(moment)].turn()
            if turn is None:
                return None
            line_of_turn, first = turn
            fold = first if line < line_of_turn else 1 - first
        return moment.replace(tzinfo=self._zone, fold=fold).astimezone(UTC)

    def sure(self, moment: datetime) -> datetime:
        """The moment in UTC of a time that is a value and not a row's own, of which no order tells the hour.

        Raises UnclearTimeError for one of a double or missing hour, OverflowError for one outside the years 1 to 9999.
        """
        early, late = (moment.replace(tzinfo=self._zone, fold=fold).utcoffset() for fold in _FOLDS)
        if early != late:
            what = "comes twice" if self._is_double(moment) else "does not exist"
            raise UnclearTimeError(f"{moment} {what} in {self._zone.key}: give it in UTC or with its offset")
        return moment.replace(tzinfo=self._zone).astimezone(UTC)

    def why(self, moment: datetime) -> str:
        """Why a moment has none in UTC."""
        if self._is_double(moment):
            return f"{moment} comes twice in {self._zone.key}, and the order of the rows does not tell which it is"
        return f"{moment} does not exist in {self._zone.key}: the clocks are put on over it"

    def _change(self, moment: datetime) -> datetime:
        """When the clocks were put back over a double moment: what comes twice may have midnight within it, as in
        Newfoundland until 2011, where they were put back at a minute past."""
        before, after = (moment.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in _FOLDS)
        late = after.astimezone(self._zone).utcoffset()
        while after - before > timedelta(seconds=1):
            middle = before + (after - before) // 2
            is_changed = middle.astimezone(self._zone).utcoffset() == late
            before, after = (before, middle) if is_changed else (middle, after)
        return after.replace(microsecond=0)

    def _is_double(self, moment: datetime) -> bool:
        early, late = (moment.replace(tzinfo=self._zone, fold=fold).utcoffset() for fold in _FOLDS)
        return early is not None and late is not None and early > late
