"""Replay: a recorded file as the messages of the devices that it names, with their own times.

Belongs here: one row's messages, the check of the whole file that comes before the first is sent, and sending them.
Reading files is in `recorded`, which cell is which telemetry in `replay_columns`. Values are not mended: what is wrong
with one is for silver to judge. A row of which it cannot be known what it says is refused.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from device_sim.cells import is_missing, missing_texts, name_text
from device_sim.fleet import model_named, registered_message
from device_sim.payloads import payload_of
from device_sim.producer import MessageProducer
from device_sim.recorded import open_recording, rows_of
from device_sim.recorded_rows import Row
from device_sim.recorded_times import LocalTimes, TimeReader, UnclearTimeError
from device_sim.replay_check import Check
from device_sim.replay_columns import Header, LongColumns, WideColumns, as_named, find_time_column, require_column
from device_sim.replay_options import ReplayOptions
from device_sim.replay_values import ValueReader
from lake.models.catalog import Model, Telemetry
from runtime.errors import InputError, UsageError
from wire.envelope import TIME, Message, TelemetryEnvelope, rfc3339, with_header

_PROGRESS_EVERY = 1000
Progress = Callable[[int, int | None], None]
"""Rows done, and rows in all where that is known."""


@dataclass(frozen=True)
class ReplaySummary:
    """What was sent: rows, and the messages that they are."""

    row_count: int
    message_count: int
    is_interrupted: bool
    elapsed_s: float


def replay(
    replayer: "Replayer", bootstrap: str, progress: Progress | None = None, stop: Event | None = None
) -> ReplaySummary:
    """Register the devices that the file names, then send a message a row (and a component that the row has).

    When `stop` is set the rest is left out. Raises PlatformError for a broker that does not take the messages.
    """
    began, stop = time.monotonic(), stop or Event()
    producer = MessageProducer(bootstrap)
    for message in replayer.registrations():
        producer.send(message)
    producer.flush()
    producer.check()
    rows = messages = 0
    for row_messages in replayer.rows():
        if stop.is_set():
            break
        for message in row_messages:
            producer.send(message)
            messages += 1
        rows += 1
        if rows % _PROGRESS_EVERY == 0:
            producer.poll()
            producer.check()
            if progress is not None:
                progress(rows, replayer.check.rows)
    producer.flush()
    producer.check()
    return ReplaySummary(rows, messages, stop.is_set(), time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class _Placed:
    """Whose a row is and of when: the time as it is to be sent and, if it can be read, as a moment in UTC."""

    device_id: str | None
    time_text: str | None
    moment: datetime | None


class Replayer:
    """One file as messages; makes them, sends none."""

    def __init__(self, options: ReplayOptions, models: Mapping[str, Model], progress: Progress | None = None) -> None:
        """Reads the whole file: `check` is what was found.

        Raises UsageError for a file, model, column, format or time zone that cannot be used, and InputError for a file
        of which nothing could be sent.
        """
        if (options.device is None) == (options.device_column is None):
            raise UsageError("Say whose readings these are: give either --device ID or --device-column COLUMN.")
        if options.device is not None and not options.device.strip():
            raise UsageError("--device is empty: give the id of the device that recorded these readings.")
        if options.time_unit is not None and options.time_format is not None:
            raise UsageError(
                "Times are numbers since 1970 or written out: give --time-unit or --time-format, not both."
            )
        self._progress = progress or (lambda done, total: None)
        self._local = LocalTimes(_zone(options.time_zone))
        self.model = model_named(models, options.model)
        self.recording = open_recording(options.path)
        self._options = options = as_named(self.recording, options)
        # text of a file with types means what it says, but where one column holds values of several kinds
        is_text = not self.recording.is_typed or options.pivot is not None
        self._mark = options.decimal_mark if is_text else "."
        self._missing = missing_texts(options.missing, self._mark)
        self._time_column = find_time_column(self.recording, options.time_column)
        self._header = Header(self.recording, self._time_column)
        self._times = TimeReader(options.time_unit, options.time_format, self._mark)
        if options.device_column is not None:
            require_column(self.recording, options.device_column)
        self._columns: WideColumns | LongColumns = (
            WideColumns(self.recording, self.model, options)
            if options.pivot is None
            else LongColumns(self.recording, self.model, options, options.pivot)
        )
        self._reader = ValueReader(is_text, self._mark, self._times, self._local)
        self._envelopes: dict[tuple[str, str | None], TelemetryEnvelope] = {}
        if not self._local.is_fixed:
            self._observe_times()
        self.check = Check()
        self._survey()

    @property
    def unused_columns(self) -> tuple[str, ...]:
        """Columns of which nothing is sent."""
        used = {*self._columns.used, self._time_column, self._options.device_column or ""}
        # a nested object is used when something within it is, and the other way round
        return tuple(
            name
            for name in self.recording.columns
            if not any(name == each or each.startswith(f"{name}.") or name.startswith(f"{each}.") for each in used)
        )

    @property
    def unused_names(self) -> Mapping[str, int]:
        """Of a long file the names of which nothing is sent, the first of them, with their rows."""
        return self._columns.others if isinstance(self._columns, LongColumns) else {}

    @property
    def first_times(self) -> dict[str, datetime | None]:
        """Since when each device is in service; None for one without a time that can be read."""
        return {device_id: times.first for device_id, times in self.check.devices.items()}

    def registrations(self) -> Iterator[Message]:
        """The lifecycle events of the devices with a readable time."""
        interval_s = self.model.quality.reporting_interval_s
        for device_id, first_at in self.first_times.items():
            if first_at is not None:
                yield registered_message(device_id, self.model.model_id, self._options.site, interval_s, first_at)

    def rows(self) -> Iterator[list[Message]]:
        """The messages of each row that was checked; rows that the file has gained since are left for another time."""
        left = self.check.rows
        for row in rows_of(self.recording):
            found = self._read(row, is_counted=False)
            if found is None or isinstance(found, str):
                continue
            if left == 0:
                return
            left -= 1
            yield self._messages(*found)

    def _messages(self, placed: "_Placed", values: Iterable[tuple[Telemetry, str]]) -> list[Message]:
        """A row's messages: one for the root and one for each component that it has a value of."""
        by_component: dict[str | None, dict[tuple[str, ...], str]] = {}
        for telemetry, text in values:
            by_component.setdefault(telemetry.component, {})[telemetry.json_path] = text
        return [self._message(placed, component, each) for component, each in by_component.items()]

    def _message(self, placed: "_Placed", component: str | None, values: Mapping[tuple[str, ...], str]) -> Message:
        device_id, text = placed.device_id, placed.time_text
        key = (device_id or "", component)
        if key not in self._envelopes:
            self._envelopes[key] = TelemetryEnvelope(*key, self.model.model_id)
        message = self._envelopes[key].message(_message_id(*key, text, values), text or "", payload_of(values))
        if text is None:
            message = with_header(message, TIME, None)
        return message if device_id is not None else replace(message, key=None)

    def _observe_times(self) -> None:
        for number, row in enumerate(rows_of(self.recording)):
            moment = None if row.problem else self._times.read(row.cells.get(self._time_column))
            if moment is not None and moment.tzinfo is None:
                self._local.observe(self._series(row), row.line, moment)
            if number % _PROGRESS_EVERY == 0:
                self._progress(number, None)

    def _survey(self) -> None:
        check = self.check
        for number, row in enumerate(rows_of(self.recording)):
            if number % _PROGRESS_EVERY == 0:
                self._progress(number, None)
            found = self._read(row, is_counted=True)
            if isinstance(found, str):
                check.refuse(row.line, found)
            elif found is not None:
                placed, values = found
                check.add_time(row.line, placed.device_id, row.cells.get(self._time_column), placed.moment)
                check.add_values(values)
                if placed.moment is not None:
                    check.add_messages(self._series(row), self._messages(placed, values))
        self._require_something(check)

    def _require_something(self, check: Check) -> None:
        name, place = self.recording.path.name, self.recording.place
        if check.rows == 0 and check.refused:
            line, why = check.refusals[0]
            raise InputError(
                f"No row of {name} can be sent: {place} {line}: {why} ({check.refused} such rows). Nothing was sent."
            )
        if check.rows == 0 and check.valueless:
            raise InputError(f"No row of {name} has a value of a telemetry ({check.valueless} rows). Nothing was sent.")
        if check.rows == 0 and self.unused_names:
            names = ", ".join(self.unused_names)
            raise UsageError(f"No row of {name} names a telemetry: give --map NAME=TELEMETRY. Names: {names}.")
        if check.rows == 0:
            raise UsageError(f"{self._options.path} has no rows.")
        check.require_time(self.recording, self._time_column)

    def _read(self, row: Row, is_counted: bool) -> "tuple[_Placed, list[tuple[Telemetry, str]]] | str | None":
        """What of a row is sent; why it is not, in words, or None where it says nothing."""
        if row.problem is not None:
            return row.problem
        if self._header.is_again(row) or not self._is_sent(row, is_counted):
            return None
        try:
            values = self._values(row)
        except UnclearTimeError as error:
            return str(error)
        if not values:
            self.check.valueless += is_counted
            return None
        placed = self._placed(row)
        if isinstance(placed, str):
            return placed
        about = placed.device_id, placed.time_text
        return self._columns.contradiction(row, about, values[0][1]) or (placed, values)

    def _placed(self, row: Row) -> "_Placed | str":
        """The device and time of a row; why it is not sent where that cannot be known."""
        device_id, value = self._device(row), row.cells.get(self._time_column)
        moment = self._times.read(value)
        if moment is not None and moment.tzinfo is None:
            local = moment
            moment = self._local.moment(self._series(row), row.line, local)
            if moment is None:
                return self._local.why(local)
        if moment is not None:
            return _Placed(device_id, rfc3339(moment), moment)
        return _Placed(device_id, None if value is None else str(value), None)

    def _is_sent(self, row: Row, is_counted: bool) -> bool:
        """False for a row that says nothing, and for one of a long file of another name."""
        if not row.cells:
            return False
        if isinstance(self._columns, LongColumns):
            return not (self._columns.count_other(row.cells) if is_counted else self._columns.is_other(row.cells))
        return True

    def _values(self, row: Row) -> list[tuple[Telemetry, str]]:
        return [
            (telemetry, self._reader.json(value, telemetry))
            for telemetry, value in self._columns.values(row.cells)
            if not is_missing(value, self._missing, self._mark)
        ]

    def _series(self, row: Row) -> tuple[str | None, str | None]:
        return self._device(row), self._columns.series(row.cells)

    def _device(self, row: Row) -> str | None:
        if self._options.device_column is None:
            return self._options.device
        value = row.cells.get(self._options.device_column)
        return None if value is None else name_text(value)


def _message_id(device_id: str, component: str | None, time_text: str | None, values: Mapping[Any, Any]) -> str:
    """Of what a message is about, and not of its values nor of its place in a file.

    The same row of any file is the same message then, and one with another value is a conflict.
    """
    names = sorted(".".join(path) for path in values)
    about = "\x1f".join((device_id, component or "", time_text or "", *names))
    return hashlib.sha256(about.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"There is no time zone {name!r}: give one such as Europe/Berlin, or UTC.") from None
