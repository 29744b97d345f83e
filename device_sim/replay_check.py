"""What a check of a recorded file finds, before anything of it is sent.

Belongs here: the counts, ranges and refusals, gathered row by row in bounded memory (it grows with the devices and the
telemetry, not with the rows).
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from device_sim.recorded_rows import Recording
from device_sim.recorded_times import is_plausible, unit_hint
from lake.models.catalog import Telemetry
from lake.slices import FIRST_IMPLAUSIBLE_YEAR, FIRST_PLAUSIBLE_YEAR
from runtime.errors import InputError
from wire.envelope import ID, Message, header

_REFUSED_SHOWN = 20


@dataclass
class Values:
    """The values of one telemetry as they are to be sent: JSON texts."""

    first: str
    count: int = 0
    lowest: float | None = None
    highest: float | None = None

    def add(self, text: str) -> None:
        """One more."""
        self.count += 1
        if text[0] in '"[{tfn':
            return
        number = float(text)
        self.lowest = number if self.lowest is None else min(self.lowest, number)
        self.highest = number if self.highest is None else max(self.highest, number)


@dataclass
class DeviceTimes:
    """When a device measured, as far as its times can be read and a clock could show them."""

    first: datetime | None = None
    last: datetime | None = None
    rows: int = 0

    def add(self, moment: datetime | None) -> None:
        """One more row."""
        self.rows += 1
        if moment is not None and is_plausible(moment):
            self.first = moment if self.first is None else min(self.first, moment)
            self.last = moment if self.last is None else max(self.last, moment)


@dataclass
class Check:
    """All that was found: rows that can be sent, those refused with their place, and what the file holds.

    `untimed` rows have a time that cannot be read, `first_untimed` is the first of these times; `implausible` ones have
    one that no clock could show, of the first the line, the time and its moment are kept. `again` rows say the
    same as the row before them of the same device, `contradicting` ones have its time and other values. `valueless`
    ones say nothing, and are not sent.
    """

    rows: int = 0
    refused: int = 0
    refusals: list[tuple[int, str]] = field(default_factory=list)
    untimed: int = 0
    first_untimed: object = None
    first_untimed_line: int = 0
    implausible: int = 0
    first_implausible: tuple[int, object, datetime] | None = None
    unnamed: int = 0
    valueless: int = 0
    again: int = 0
    contradicting: int = 0
    devices: dict[str, DeviceTimes] = field(default_factory=dict)
    values: dict[str, Values] = field(default_factory=dict)
    _last: dict[Hashable, dict[bytes | None, bytes]] = field(default_factory=dict)

    def refuse(self, line: int, why: str) -> None:
        """A row that is not sent."""
        self.refused += 1
        if len(self.refusals) < _REFUSED_SHOWN:
            self.refusals.append((line, why))

    def add_time(self, line: int, device_id: str | None, value: object, moment: datetime | None) -> None:
        """The device and time of a row that is sent."""
        self.rows += 1
        if device_id is not None:
            self.devices.setdefault(device_id, DeviceTimes()).add(moment)
        else:
            self.unnamed += 1
        if moment is None:
            if self.untimed == 0:
                self.first_untimed, self.first_untimed_line = value, line
            self.untimed += 1
        elif not is_plausible(moment):
            if self.first_implausible is None:
                self.first_implausible = (line, value, moment)
            self.implausible += 1

    def add_values(self, values: Iterable[tuple[Telemetry, str]]) -> None:
        """The values of a row that is sent."""
        for telemetry, text in values:
            name = telemetry.metric_name
            if name not in self.values:
                self.values[name] = Values(text)
            self.values[name].add(text)

    def add_messages(self, series: Hashable, messages: Iterable[Message]) -> None:
        """The messages of a row; compared with those of the row before it of the same series."""
        payloads = {header(each, ID): each.value for each in messages}
        before = self._last.get(series, {})
        same = payloads.keys() & before.keys()
        if same:
            if all(payloads[each] == before[each] for each in same):
                self.again += 1
            else:
                self.contradicting += 1
        self._last[series] = payloads

    def require_time(self, recording: Recording, column: str) -> None:
        """Raise InputError where no row has a time that can be read, and that a clock could show."""
        name, place = recording.path.name, recording.place
        if self.untimed == self.rows:
            shown = "nothing" if self.first_untimed is None else repr(str(self.first_untimed))
            raise InputError(
                f"No row of {name} has a time that can be read: {place} {self.first_untimed_line} says {shown} in "
                f"{column!r}.{unit_hint(self.first_untimed)} Give ISO 8601 times, --time-unit s, ms, us or ns for "
                "numbers since 1970, or --time-format. Nothing was sent."
            )
        if self.untimed + self.implausible == self.rows and self.first_implausible is not None:
            line, value, moment = self.first_implausible
            raise InputError(
                f"No row of {name} has a time of the years {FIRST_PLAUSIBLE_YEAR} to {FIRST_IMPLAUSIBLE_YEAR - 1}: "
                f"{place} {line} says {str(value)!r} in {column!r}, which is read as {moment:%Y-%m-%d %H:%M}."
                f"{unit_hint(value)} Give the --time-unit of its numbers, or a --time-format with year and day. "
                "Nothing was sent."
            )
