"""Messages: what the devices of one model send at their reporting times, with at most one fault each.

Belongs here: making the messages of many readings at once, and putting the fault that was drawn on each. Who reports
when, and the order of arrival, are in `stream`; values in `signals`, broken messages in `corruptions`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from device_sim.corruptions import CORRUPTIONS, Breaker
from device_sim.faults import Faults, Span
from device_sim.fleet import Device
from device_sim.noise import Floats, Times, keys_of, uniform
from device_sim.payloads import PayloadTemplate
from device_sim.signals import json_texts, time_texts
from ingestion.envelope import ID, SOURCE, TIME, Message, TelemetryEnvelope, source_of

_MINUTE_MS = 60_000
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(slots=True)
class Dispatch:
    """One message to be sent, and what is to become of it.

    `arrival_ms` is the simulated time of its arrival. `device_id`, `message_id` and `measured_ms` (None when ce_time is
    no time) say what its envelope says. `fate` is 'reading', a reason of `silver.rejected`, or 'lifecycle';
    `clock_status` is what is to be judged of the device's clock.
    """

    arrival_ms: int
    message: Message
    device_id: str
    message_id: str | None
    measured_ms: int | None
    model_id: str
    component: str | None
    fault: str = "none"
    fate: str = "reading"
    clock_status: str = "ok"

    def put(self, message: Message) -> None:
        """Send this message instead."""
        headers = dict(message.headers)
        message_id = headers.get(ID)
        self.message = message
        self.device_id = headers[SOURCE].decode().removeprefix(source_of(""))
        self.message_id = None if message_id is None else message_id.decode()
        self.measured_ms = _time_ms(headers.get(TIME, b""))


def lifecycle_dispatch(arrival_ms: int, message: Message, model_id: str) -> Dispatch:
    """A message of the registry."""
    dispatch = Dispatch(arrival_ms, message, "", None, None, model_id, None, "none", "lifecycle")
    dispatch.put(message)
    return dispatch


@dataclass(frozen=True)
class Rows:
    """Readings of one model: device index, time due, and what the device's clock is off by (ms)."""

    device: Indices
    times: Times
    shifts: Times

    def only(self, n: int) -> "Rows":
        """The n-th reading alone."""
        return Rows(self.device[n : n + 1], self.times[n : n + 1], self.shifts[n : n + 1])


class MessageKind:
    """The messages of one model's root, or of one of its components."""

    def __init__(self, devices: list[Device], component: str | None, faults: Faults, seed: int) -> None:
        model = devices[0].model
        ids = [device.device_id for device in devices]
        self._model_id, self._component, self._faults, self._seed = model.model_id, component, faults, seed
        self._ids = ids
        self._envelopes = [TelemetryEnvelope(device_id, component) for device_id in ids]
        self._intervals_ms = [device.reporting_interval_s * 1000 for device in devices]
        self._telemetry = [each for each in model.telemetry if each.component == component]
        self._template = PayloadTemplate(self._telemetry)
        self._breaker = Breaker(self._telemetry, self._template, model.quality.max_payload_bytes)
        self._value_keys = [keys_of(ids, seed, "value", each.metric_name) for each in self._telemetry]
        self._fault_keys = keys_of(ids, seed, "fault", component)
        self._delay_keys = keys_of(ids, seed, "delay", component)
        self._lot_keys = keys_of(ids, seed, "impossible", component)
        shares = {kind: share for kind, share in faults.reading_shares().items() if self._can(kind)}
        self._kinds = list(shares)
        self._thresholds = np.cumsum(np.array(list(shares.values()), dtype=np.float64))

    def lots(self, rows: Rows) -> Floats:
        """A number in [0, 1) a reading, by which the impossible ones are drawn."""
        if not self._breaker.can("out_of_range"):
            return np.ones(len(rows.device))
        return uniform(self._lot_keys[rows.device], rows.times)

    def dispatches(self, rows: Rows, impossible: Flags) -> list[Dispatch]:
        """The messages of these readings; delayed ones carry the later arrival."""
        columns = self._columns(rows, rows.times)
        payloads = self._template.fill(zip(*columns, strict=True))
        measured = rows.times + rows.shifts
        suffix = f"-{self._component}" if self._component else ""
        ids, envelopes, seed = self._ids, self._envelopes, self._seed
        component, model_id = self._component, self._model_id
        message_ids = [f"{seed}-{ms}{suffix}" for ms in measured.tolist()]
        made = [
            Dispatch(at, envelopes[i].message(name, time, payload), ids[i], name, ms, model_id, component)
            for i, at, name, ms, time, payload in zip(
                rows.device.tolist(),
                rows.times.tolist(),
                message_ids,
                measured.tolist(),
                time_texts(measured),
                payloads,
                strict=True,
            )
        ]
        self._set_clocks(made, rows.shifts)
        for n in np.flatnonzero(impossible).tolist():
            self._break(made[n], "impossible", "out_of_range", [column[n] for column in columns])
        drawn = np.searchsorted(self._thresholds, uniform(self._fault_keys[rows.device], rows.times), side="right")
        drawn[impossible | (rows.shifts != 0)] = len(self._kinds)
        faulty = np.flatnonzero(drawn < len(self._kinds))
        delays = uniform(self._delay_keys[rows.device[faulty]], rows.times[faulty])
        for n, delay in zip(faulty.tolist(), delays.tolist(), strict=True):
            row = [column[n] for column in columns]
            made += self._apply(self._kinds[drawn[n]], made[n], row, delay, rows.only(n))
        return made

    def _columns(self, rows: Rows, times: Times) -> list[list[str]]:
        return [
            json_texts(each, keys[rows.device], times)
            for each, keys in zip(self._telemetry, self._value_keys, strict=True)
        ]

    def _can(self, kind: str) -> bool:
        return self._breaker.can(kind.removeprefix("corrupt."))

    def _set_clocks(self, made: list[Dispatch], shifts: Times) -> None:
        for n in np.flatnonzero(shifts).tolist():
            status = "ahead" if shifts[n] > 0 else "behind"
            made[n].fault, made[n].clock_status = f"clock_{status}", status

    def _apply(self, kind: str, made: Dispatch, row: Sequence[str], delay: float, reading: Rows) -> list[Dispatch]:
        """Put one fault on a dispatch; returns the messages that come on top of it."""
        faults = self._faults
        match kind:
            case "late":
                made.fault = kind
                made.arrival_ms += _between(faults.late.minutes, delay, _MINUTE_MS)
            case "out_of_order":
                made.fault = kind
                interval_ms = self._intervals_ms[int(reading.device[0])]
                # half an interval more, so that it comes between two younger ones and not at the time of one
                made.arrival_ms += _between(faults.out_of_order.intervals, delay, interval_ms) + interval_ms // 2
            case "repeated":
                arrival = made.arrival_ms + _between(faults.repeated.minutes, delay, _MINUTE_MS)
                return [replace(made, arrival_ms=arrival, fault=kind, fate="duplicate")]
            case "conflict":
                arrival = made.arrival_ms + _between(faults.conflict.minutes, delay, _MINUTE_MS)
                message = replace(made.message, value=self._other_body(made.message.value, reading))
                return [replace(made, arrival_ms=arrival, message=message, fault=kind, fate="conflict")]
            case "unknown_telemetry":
                made.fault = kind
                made.message = replace(
                    made.message, value=_with_extra(made.message.value, faults.unknown_telemetry.name)
                )
            case "out_of_range":
                self._break(made, kind, kind, row)
            case _:
                self._break(made, kind, kind.removeprefix("corrupt."), row)
        return []

    def _break(self, made: Dispatch, fault: str, corruption: str, row: Sequence[str]) -> None:
        made.fault = fault
        if corruption == "out_of_range":
            made.fate = "out_of_range"
            made.put(replace(made.message, value=self._breaker.out_of_range(row)))
            return
        made.fate = CORRUPTIONS[corruption].reason
        made.put(CORRUPTIONS[corruption].apply(made.message, self._breaker, row))

    def _other_body(self, body: bytes, reading: Rows) -> bytes:
        """A good payload with other values; with other bytes at least, where a state lasts too long for that."""
        columns = self._columns(reading, reading.times + 1)
        other = self._template.fill(zip(*columns, strict=True))[0]
        return other if other != body else body[:-1] + b" }"


def _between(span: Span, share: float, unit_ms: int) -> int:
    return int((span[0] + (span[1] - span[0]) * share) * unit_ms)


def _with_extra(payload: bytes, name: str) -> bytes:
    return payload[:-1] + f',{json.dumps(name)}:"not declared"}}'.encode()


def _time_ms(time: bytes) -> int | None:
    try:
        return round(datetime.fromisoformat(time.decode()).timestamp() * 1000)
    except ValueError:
        return None
