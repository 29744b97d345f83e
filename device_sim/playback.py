"""Replay: a recorded file as the messages of the devices that it names, with their own times.

Belongs here: which column is which telemetry, and one row's messages. Reading files is in `recorded`. Nothing is mended
and nothing left out: what is wrong with a row is for silver to judge.
"""

import difflib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from device_sim.cells import is_plausible, json_of_text, json_text, moment_of
from device_sim.fleet import model_named, registered_message
from device_sim.payloads import payload_of
from device_sim.producer import MessageProducer
from device_sim.recorded import Row, open_recording
from lake.models.catalog import Model, Telemetry
from runtime.errors import UsageError
from wire.envelope import TIME, Message, TelemetryEnvelope, rfc3339, with_header

_TIME_COLUMNS = ("timestamp", "time", "measured_at", "datetime", "date_time", "ts")
_PROGRESS_EVERY = 1000


@dataclass(frozen=True)
class ReplayOptions:
    """What to replay and as what. Either `device` or `device_column` is given.

    `columns` maps column to telemetry, besides the columns that have a telemetry's name. `time_column` None takes the
    first of the usual names. Times without a zone are of `time_zone`.
    """

    path: Path
    model: str
    device: str | None = None
    device_column: str | None = None
    time_column: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = "UTC"
    site: str | None = None


@dataclass(frozen=True)
class ReplaySummary:
    """What was sent. `devices` has each registered device with the time since when it is in service.

    `devices_without_time` were not registered, as no row of theirs has a readable time; `unused_columns` were not
    sent.
    """

    row_count: int
    message_count: int
    devices: Mapping[str, datetime]
    devices_without_time: tuple[str, ...]
    unused_columns: tuple[str, ...]
    is_interrupted: bool
    elapsed_s: float


def replay(
    replayer: "Replayer",
    bootstrap: str,
    progress: Callable[[int, int], None] | None = None,
    stop: Event | None = None,
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
    for row in replayer.recording.rows():
        if stop.is_set():
            break
        for message in replayer.messages(row):
            producer.send(message)
            messages += 1
        rows += 1
        if rows % _PROGRESS_EVERY == 0:
            producer.poll()
            producer.check()
            if progress is not None:
                progress(rows, replayer.row_count)
    producer.flush()
    producer.check()
    first_times = replayer.first_times
    return ReplaySummary(
        row_count=rows,
        message_count=messages,
        devices={name: at for name, at in first_times.items() if at is not None},
        devices_without_time=tuple(name for name, at in first_times.items() if at is None),
        unused_columns=replayer.unused_columns,
        is_interrupted=stop.is_set(),
        elapsed_s=time.monotonic() - began,
    )


class Replayer:
    """One file as messages; makes them, sends none."""

    def __init__(self, options: ReplayOptions, models: Mapping[str, Model]) -> None:
        """Reads the file once, as a device is in service since its first reading, wherever in the file that stands.

        Raises UsageError for a file, model, column or time zone that cannot be used.
        """
        if (options.device is None) == (options.device_column is None):
            raise UsageError("Say whose readings these are: give either --device ID or --device-column COLUMN.")
        self._options = options
        self._zone = _zone(options.time_zone)
        self._model = model_named(models, options.model)
        self.recording = open_recording(options.path)
        self._time_column = self._find_time_column()
        if options.device_column is not None:
            self._require(options.device_column)
        self._survey()
        self._telemetry = self._map_columns()
        self._header = hashlib.sha256(self.recording.header.encode())

    @property
    def unused_columns(self) -> tuple[str, ...]:
        """Columns of which nothing is sent."""
        used = {*self._telemetry, self._time_column, self._options.device_column or ""}
        # a nested object is used when something within it is, and the other way round
        return tuple(
            name
            for name in self.recording.columns
            if not any(name == each or each.startswith(f"{name}.") or name.startswith(f"{each}.") for each in used)
        )

    def registrations(self) -> Iterator[Message]:
        """The lifecycle events of the devices with a readable time."""
        interval_s = self._model.quality.reporting_interval_s
        for device_id, first_at in self.first_times.items():
            if first_at is not None:
                yield registered_message(device_id, self._model.model_id, self._options.site, interval_s, first_at)

    def messages(self, row: Row) -> list[Message]:
        """A row's messages: one for the root and one for each component that it has a value of; one at least."""
        message_id = self._message_id(row)
        if row.cells is None:
            return [self._message(row, message_id, None, row.raw)]
        payloads: dict[str | None, dict[tuple[str, ...], str]] = {}
        for column, telemetry in self._telemetry.items():
            if column in row.cells:
                text = self._json(row.cells[column], telemetry)
                payloads.setdefault(telemetry.component, {})[telemetry.json_path] = text
        # a row without any value is a row all the same
        payloads = payloads or {next(iter(self._telemetry.values())).component: {}}
        return [
            self._message(row, f"{message_id}-{component}" if component else message_id, component, payload_of(values))
            for component, values in payloads.items()
        ]

    def _message(self, row: Row, message_id: str, component: str | None, payload: bytes) -> Message:
        device_id, (text, _) = self._device(row), self._time(row)
        message = TelemetryEnvelope(device_id or "", component).message(message_id, text or "", payload)
        if text is None:
            message = with_header(message, TIME, None)
        return message if device_id is not None else replace(message, key=None)

    def _message_id(self, row: Row) -> str:
        """Of the column names, the row's place and what it says: the same for a file that was renamed, or has grown."""
        digest = self._header.copy()
        digest.update(b"\x1e" + row.raw)
        return f"{digest.hexdigest()[:24]}-{row.number}"

    def _survey(self) -> None:
        """Count the rows, and find the devices and their first times."""
        self.row_count = 0
        self.first_times: dict[str, datetime | None] = {}
        for row in self.recording.rows():
            self.row_count += 1
            device_id, (_, moment) = self._device(row), self._time(row)
            if device_id is None:
                continue
            first = self.first_times.setdefault(device_id, None)
            if moment is not None and is_plausible(moment) and (first is None or moment < first):
                self.first_times[device_id] = moment
        if self.row_count == 0:
            raise UsageError(f"{self._options.path} has no rows.")

    def _device(self, row: Row) -> str | None:
        if self._options.device_column is None:
            return self._options.device
        value = (row.cells or {}).get(self._options.device_column)
        return None if value is None else str(value)

    def _time(self, row: Row) -> tuple[str | None, datetime | None]:
        """ce_time as it is to be sent and, if it can be read, the moment."""
        value = (row.cells or {}).get(self._time_column)
        moment = moment_of(value, self._zone)
        if moment is not None:
            return rfc3339(moment), moment
        return (None if value is None else str(value)), None

    def _json(self, value: Any, telemetry: Telemetry) -> str:
        if isinstance(value, datetime) and (moment := moment_of(value, self._zone)):
            return json_text(rfc3339(moment))
        return json_text(value) if self.recording.is_typed else json_of_text(value, telemetry.type)

    def _find_time_column(self) -> str:
        if self._options.time_column is not None:
            self._require(self._options.time_column)
            return self._options.time_column
        by_name = {column.lower(): column for column in reversed(self.recording.columns)}
        for name in _TIME_COLUMNS:
            if name in by_name:
                return by_name[name]
        raise UsageError(
            f"No column of {self._options.path.name} has a usual name for the time: give --time-column, one of "
            f"{', '.join(self.recording.columns)}."
        )

    def _map_columns(self) -> dict[str, Telemetry]:
        """The telemetry of each column that is sent: as mapped, then those with a telemetry's own name."""
        free = {each.metric_name: each for each in self._model.telemetry}
        names = list(free)
        mapped: dict[str, Telemetry] = {}
        for column, name in self._options.columns.items():
            self._require(column)
            if name not in names:
                raise UsageError(
                    f"{self._model.model_id} has no telemetry {name!r}{_suggestion(name, names)} "
                    f"It has {', '.join(names)}."
                )
            if name not in free:
                raise UsageError(f"Two columns are mapped to {name}: map one of them.")
            mapped[column] = free.pop(name)
        for column in self.recording.columns:
            if column in free and column not in mapped:
                mapped[column] = free.pop(column)
        if not mapped:
            raise UsageError(
                f"No column of {self._options.path.name} has the name of a telemetry of {self._model.model_id}: give "
                f"--map COLUMN=TELEMETRY. Columns: {', '.join(self.recording.columns)}. Telemetry: {', '.join(names)}."
            )
        return mapped

    def _require(self, column: str) -> None:
        columns = self.recording.columns
        if column not in columns:
            raise UsageError(
                f"{self._options.path.name} has no column {column!r}{_suggestion(column, columns)} "
                f"It has {', '.join(columns)}."
            )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"There is no time zone {name!r}: give one such as Europe/Berlin, or UTC.") from None


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f": did you mean {' or '.join(map(repr, near))}?" if near else "."
