"""The stream: every message of a fleet in the order of its arrival, with what is expected of it.

Belongs here: who reports when, and the order that delays make of it all. The messages themselves are made in
`messages`, the periods drawn in `schedule`; sending belongs in `producer`.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from device_sim.dispatches import Batch, Dispatch, batch_of, joined, lifecycle_dispatch
from device_sim.faults import Faults
from device_sim.fleet import Device
from device_sim.impossible import ImpossibleHour
from device_sim.messages import Flags, MessageKind, Rows
from device_sim.schedule import DevicePeriod
from lake.models.catalog import Model

_HOUR_MS = 3_600_000
_MESSAGES_A_WINDOW = 20_000


def batches(
    fleet: Sequence[Device],
    schedule: Sequence[DevicePeriod],
    faults: Faults,
    span_ms: tuple[int, int],
    seed: int,
    impossible: ImpossibleHour | None = None,
) -> Iterator[Batch]:
    """All messages of readings due in `span_ms` (from, to before) and of lifecycle events, by arrival.

    Memory follows what is under way, not the length of the run.
    """
    groups = [_Group(devices, schedule, faults, seed, impossible) for devices in by_model(fleet)]
    pending = batch_of(_lifecycle_dispatches(fleet, schedule))
    start_ms, end_ms = span_ms
    window_ms = _window_ms(fleet)
    for window_start in range(start_ms, end_ms, window_ms):
        window_end = min(window_start + window_ms, end_ms)
        made = [batch for group in groups for batch in group.batches(window_start, window_end)]
        pending = joined([pending, *made]).by_arrival()
        ready = int(np.searchsorted(pending.arrivals, window_end))
        yield pending.part(0, ready)
        pending = pending.part(ready, len(pending))
    yield pending


def reading_count(fleet: Sequence[Device], span_ms: tuple[int, int]) -> int:
    """Messages that a fleet without faults sends; the measure of progress."""
    total = 0
    for device in fleet:
        due_ms, interval_ms = max(0, span_ms[1] - device.in_service_ms), device.reporting_interval_s * 1000
        total += -(-due_ms // interval_ms) * len(message_kinds(device.model))
    return total


def message_kinds(model: Model) -> list[str | None]:
    """What a device of this model sends at each reporting time: a message for its root (None), one a component."""
    return sorted({each.component for each in model.telemetry}, key=lambda name: name or "")


def by_model(fleet: Sequence[Device]) -> list[list[Device]]:
    """The devices of each model, in order of first appearance."""
    groups: dict[str, list[Device]] = {}
    for device in fleet:
        groups.setdefault(device.model.model_id, []).append(device)
    return list(groups.values())


class _Group:
    """The devices of one model."""

    def __init__(
        self,
        devices: list[Device],
        schedule: Sequence[DevicePeriod],
        faults: Faults,
        seed: int,
        impossible: ImpossibleHour | None,
    ) -> None:
        position = {device.device_id: i for i, device in enumerate(devices)}
        self._periods = [(position[p.device_id], p) for p in schedule if p.device_id in position]
        self._in_service = np.array([device.in_service_ms for device in devices], dtype=np.int64)
        self._intervals = np.array([device.reporting_interval_s * 1000 for device in devices], dtype=np.int64)
        self._streams = [MessageKind(devices, kind, faults, seed) for kind in message_kinds(devices[0].model)]
        applies = impossible is not None and devices[0].model.model_id in impossible.model_ids
        self._impossible = impossible if applies else None

    def batches(self, start_ms: int, end_ms: int) -> list[Batch]:
        rows = self._rows(start_ms, end_ms)
        return [each.batch(rows, self._impossible_rows(each, rows, start_ms, end_ms)) for each in self._streams]

    def _rows(self, start_ms: int, end_ms: int) -> Rows:
        first = np.maximum(0, -(-(start_ms - self._in_service) // self._intervals))
        counts = np.maximum(0, -(-(end_ms - self._in_service) // self._intervals) - first)
        device = np.repeat(np.arange(len(counts)), counts)
        nth = np.arange(len(device)) - np.repeat(np.cumsum(counts) - counts, counts)
        times = self._in_service[device] + (first[device] + nth) * self._intervals[device]
        sent = np.ones(len(device), dtype=bool)
        shifts = np.zeros(len(device), dtype=np.int64)
        for i, period in self._periods:
            if period.start_ms < end_ms and start_ms < period.end_ms:
                inside = (device == i) & (times >= period.start_ms) & (times < period.end_ms)
                shifts[inside] = period.shift_ms
                if period.shift_ms == 0:
                    sent &= ~inside
        return Rows(device[sent], times[sent], shifts[sent])

    def _impossible_rows(self, stream: MessageKind, rows: Rows, start_ms: int, end_ms: int) -> Flags:
        hour = self._impossible
        if hour is None or end_ms <= hour.start_ms or hour.end_ms <= start_ms:
            return np.zeros(len(rows.device), dtype=bool)
        whole = self._rows(hour.start_ms, hour.end_ms)
        threshold = hour.threshold(stream.lots(whole)[whole.shifts == 0])
        in_hour = (rows.times >= hour.start_ms) & (rows.times < hour.end_ms) & (rows.shifts == 0)
        return np.asarray(in_hour & (stream.lots(rows) < threshold), dtype=bool)


def _lifecycle_dispatches(fleet: Sequence[Device], schedule: Sequence[DevicePeriod]) -> list[Dispatch]:
    models = {device.device_id: device.model.model_id for device in fleet}
    return [
        lifecycle_dispatch(at, message, models[period.device_id])
        for period in schedule
        for at, message in zip((period.start_ms, period.end_ms), period.events(), strict=False)
    ]


def _window_ms(fleet: Sequence[Device]) -> int:
    """An hour, or less for a fleet whose hour would not fit well in memory; whole seconds."""
    a_second = sum(len(message_kinds(device.model)) / device.reporting_interval_s for device in fleet)
    return min(_HOUR_MS, max(1, int(_MESSAGES_A_WINDOW / a_second)) * 1000)
