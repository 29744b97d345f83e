"""Random histories of a few devices, and what a plain reading of the rules says must come of them.

Belongs here: the messages of a history, and the oracle, which knows the rules and nothing of the lake's code: it goes
through all messages once, in the order in which each device sent them. Running a history is the test's.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import fsum
from typing import Literal

from tests.support.kinds_oracle import Reading
from tests.support.landing import THERMOSTAT, registered
from wire.envelope import UPDATED, Message, TelemetryEnvelope, lifecycle_message, rfc3339

Kind = Literal["reading", "repeat", "conflict", "broken", "ahead", "far", "behind", "early", "new_model"]
NEW_MODEL = "dtmi:lakehouse:thermostat;2"
PROBE = "dtmi:example:probe;1"
"""A model of a table of its own that shares the thermostats' temperature and has nothing else."""
HOUR = timedelta(hours=1)
_MEASURED = {
    THERMOSTAT: {"temperature", "humidity"}, PROBE: {"temperature"}, NEW_MODEL: {"temperature", "humidity", "battery"},
}  # fmt: skip
_AHEAD = timedelta(seconds=300)
Key = tuple[str, str, datetime]


@dataclass(frozen=True)
class Sent:
    """A message of telemetry: `values` by metric, None when the payload is broken."""

    device: str
    message_id: str
    measured_at: datetime
    values: Mapping[str, float] | None
    model: str | None = None


@dataclass
class Figures:
    """What gold must say of a device's hour."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    readings: dict[str, list[Reading]] = field(default_factory=lambda: defaultdict(list))
    received: int = 0
    flagged: int = 0
    duplicates: int = 0
    rejected: int = 0
    measured: set[datetime] = field(default_factory=set)

    def metrics(self) -> dict[str, tuple[int, float, float, float]]:
        """Count, least, greatest and mean a metric."""
        return {name: (len(v), min(v), max(v), fsum(v) / len(v)) for name, v in self.values.items()}


class History:
    """Messages of four devices from `start` on; the last device is not registered before `register_last`."""

    devices = ("d-0", "d-1", "d-2", "d-3")

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.sent: list[Sent] = []
        self.sites: dict[str, list[tuple[datetime, str]]] = {d: [(start, "north")] for d in self.devices[:3]}
        self.models: dict[str, list[tuple[datetime, str]]] = {d: [(start, THERMOSTAT)] for d in self.devices}
        self.in_service = dict.fromkeys(self.devices, start)
        self._second = 0

    def registrations(self) -> list[Message]:
        """The registry at the beginning."""
        return [registered(device, self.start) for device in self.devices[:3]]

    def register_last(self) -> list[Message]:
        """Register the device that was not; nothing when it is by now."""
        device = self.devices[3]
        if device in self.sites:
            return []
        self.sites[device] = [(self.start, "north")]
        return [registered(device, self.start)]

    def move(self, device: int, hour: int, site: str) -> list[Message]:
        """A device is said to stand at another site since some time in `hour`, which may be long ago."""
        name, since = self.devices[device % 3], self._moment(hour)
        self.sites[name].append((since, site))
        return [lifecycle_message(name, f"move-{self._second}", UPDATED, rfc3339(since), {"site_id": site})]

    def assign(self, device: int, hour: int, model: str) -> list[Message]:
        """A device is said to be of another model since some time in `hour`, which may be long ago."""
        name, since = self.devices[device % 3], self._moment(hour)
        self.models[name].append((since, model))
        return [lifecycle_message(name, f"model-{self._second}", UPDATED, rfc3339(since), {"model_id": model})]

    def correct(self, device: int) -> list[Message]:
        """A device is said to have come into service eight hours before the others; nothing when that is known."""
        name, since = self.devices[device % 3], self.start - 8 * HOUR
        if self.in_service[name] == since:
            return []
        self.in_service[name] = since
        self.sites[name].append((since, "north"))
        self.models[name].append((since, THERMOSTAT))
        return [registered(name, since)]

    def telemetry(self, device: int, hour: int, kind: Kind) -> Message:
        """A message that counts in `hour`, or repeats or contradicts the device's last reading."""
        name, moment = self.devices[device], self._moment(hour)
        made = Sent(
            name, f"m-{self._second}", moment, {"temperature": self._second / 7, "humidity": 40.0 + self._second % 3}
        )
        earlier = [each for each in self.sent if each.device == name and each.values is not None]
        if kind in ("repeat", "conflict") and earlier:
            made = earlier[-1]
            if kind == "conflict":
                made = Sent(name, made.message_id, made.measured_at, {"temperature": -5.0}, made.model)
        elif kind == "broken":
            made = Sent(name, made.message_id, moment, None)
        elif kind == "ahead":
            made = Sent(name, made.message_id, moment.replace(year=2099), made.values)
        elif kind == "far":
            made = Sent(name, made.message_id, moment + timedelta(days=100), made.values)
        elif kind == "early":
            made = Sent(name, made.message_id, moment - 7 * HOUR, made.values)
        elif kind == "behind":
            made = Sent(name, made.message_id, moment.replace(year=2015), made.values)
        elif kind == "new_model":
            made = Sent(
                name, made.message_id, moment, {"temperature": 1.5, "battery": 80.0 - self._second % 4}, NEW_MODEL
            )
        self.sent.append(made)
        return _message(made)

    def _moment(self, hour: int) -> datetime:
        """A time in `hour` that nothing else has."""
        self._second += 1
        return self.start + hour * HOUR + timedelta(seconds=self._second)


def _message(sent: Sent) -> Message:
    body = "{" if sent.values is None else str(dict(sent.values)).replace("'", '"')
    envelope = TelemetryEnvelope(sent.device, dataschema=sent.model) if sent.model else TelemetryEnvelope(sent.device)
    return envelope.message(sent.message_id, rfc3339(sent.measured_at), body.encode())


def expected(history: History, received: Mapping[str, Iterable[datetime]]) -> dict[tuple[str, datetime], Figures]:
    """The figures of every device in the registry and every hour in which something of it counts.

    `received` are the broker's times of each device's messages, in the order of sending.
    """
    clocks = {device: iter(times) for device, times in received.items()}
    first: dict[Key, Sent] = {}
    figures: dict[tuple[str, datetime], Figures] = defaultdict(Figures)
    for number, sent in enumerate(history.sent):
        received_at = next(clocks[sent.device])
        if sent.device not in history.sites:
            continue
        is_right = history.in_service[sent.device] <= sent.measured_at <= received_at + _AHEAD
        event_at = sent.measured_at if is_right else received_at
        hour = figures[sent.device, event_at.replace(minute=0, second=0, microsecond=0)]
        key = (sent.device, sent.message_id, sent.measured_at)
        if sent.values is None:
            hour.rejected += 1
        elif key in first:
            hour.duplicates += 1
        else:
            first[key] = sent
            hour.received += 1
            hour.flagged += not is_right
            if is_right:
                hour.measured.add(sent.measured_at)
            declared = _MEASURED[sent.model or _held_at(history.models[sent.device], sent.measured_at)]
            for metric in declared & sent.values.keys():
                hour.values[metric].append(sent.values[metric])
                hour.readings[metric].append(Reading(sent.device, event_at, number, sent.values[metric]))
    return figures


def _held_at(since: list[tuple[datetime, str]], moment: datetime) -> str:
    """What held at a moment; before the first, the first."""
    known = sorted(since)
    return ([each for at, each in known if at <= moment] or [known[0][1]])[-1]


def site_at(history: History, device: str, hour: datetime) -> str | None:
    """Where the device stood at the start of the hour; None before it was in service."""
    placed = [(since, site) for since, site in history.sites[device] if since <= hour]
    return max(placed)[1] if placed else None
