"""The schedule: which device is silent, in maintenance or has a wrong clock, and when.

Belongs here: the faults that last for a period, drawn for a fleet from the seed, and their lifecycle events. Faults of
single readings are in `stream`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from device_sim.faults import Faults, Span
from device_sim.fleet import Device
from device_sim.noise import uniform_of
from wire.envelope import MAINTENANCE_ENDED, MAINTENANCE_STARTED, Message, lifecycle_message, rfc3339

PeriodKind = Literal["outage", "maintenance", "clock_ahead", "clock_behind"]
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class DevicePeriod:
    """A device's fault from `start_ms` to before `end_ms`; `shift_ms` is what its clock is off by, 0 when silent."""

    kind: PeriodKind
    device_id: str
    start_ms: int
    end_ms: int
    shift_ms: int = 0

    def events(self) -> list[Message]:
        """The lifecycle messages that announce it: start and end of maintenance, none for other kinds."""
        if self.kind != "maintenance":
            return []
        return [
            _maintenance_message(self.device_id, MAINTENANCE_STARTED, self.start_ms),
            _maintenance_message(self.device_id, MAINTENANCE_ENDED, self.end_ms),
        ]


def build_schedule(fleet: list[Device], faults: Faults, end_ms: int, seed: int) -> list[DevicePeriod]:
    """The periods of all devices; a share above zero takes at least one device."""
    kinds: list[tuple[PeriodKind, float, Span, float]] = [
        ("outage", faults.outage.devices, faults.outage.hours, 0.0),
        ("maintenance", faults.maintenance.devices, faults.maintenance.hours, 0.0),
        ("clock_ahead", faults.clock_ahead.devices, faults.clock_ahead.hours, faults.clock_ahead.by_hours),
        ("clock_behind", faults.clock_behind.devices, faults.clock_behind.hours, -faults.clock_behind.by_hours),
    ]
    periods: list[DevicePeriod] = []
    with_wrong_clock: set[str] = set()
    for kind, share, hours, by_hours in kinds:
        # one clock cannot be ahead and behind at once
        candidates = [device for device in fleet if not (by_hours and device.device_id in with_wrong_clock)]
        chosen = _choose(candidates, share, len(fleet), seed, kind)
        if by_hours:
            with_wrong_clock.update(device.device_id for device in chosen)
        periods += [_period(kind, device, hours, int(by_hours * HOUR_MS), end_ms, seed) for device in chosen]
    return [period for period in periods if period.end_ms > period.start_ms]


def _choose(candidates: list[Device], share: float, count: int, seed: int, kind: str) -> list[Device]:
    if share == 0:
        return []
    ranked = sorted(candidates, key=lambda device: uniform_of(seed, kind, device.device_id))
    chosen = {device.device_id for device in ranked[: max(1, round(share * count))]}
    return [device for device in candidates if device.device_id in chosen]


def _period(kind: PeriodKind, device: Device, hours: Span, shift_ms: int, end_ms: int, seed: int) -> DevicePeriod:
    """A period inside the device's time in service, on whole seconds."""
    room_ms = max(0, end_ms - device.in_service_ms)
    drawn_hours = hours[0] + (hours[1] - hours[0]) * uniform_of(seed, kind, "length", device.device_id)
    length_ms = min(room_ms, int(drawn_hours * HOUR_MS)) // 1000 * 1000
    offset_ms = int((room_ms - length_ms) * uniform_of(seed, kind, "start", device.device_id)) // 1000 * 1000
    start_ms = device.in_service_ms + offset_ms
    return DevicePeriod(kind, device.device_id, start_ms, start_ms + length_ms, shift_ms)


def _maintenance_message(device_id: str, kind: str, at_ms: int) -> Message:
    time = rfc3339(datetime.fromtimestamp(at_ms / 1000, tz=UTC))
    return lifecycle_message(device_id, f"{kind.rsplit('.', 1)[1]}-{time}", kind, time)
