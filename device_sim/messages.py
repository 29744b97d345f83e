"""Messages: what the devices of one model send at their reporting times, with at most one fault each.

Belongs here: making the messages of many readings at once, and putting the fault that was drawn on each. Who reports
when, and the order of arrival, are in `stream`; values in `signals`, broken messages in `corruptions`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from device_sim.corruptions import CORRUPTIONS, Breaker
from device_sim.dispatches import Batch, Dispatch, Indices, reading_rows
from device_sim.faults import Faults, Span
from device_sim.fleet import Device
from device_sim.noise import Floats, Times, keys_of, uniform
from device_sim.payloads import PayloadTemplate
from device_sim.waveforms import counts_up, json_texts, time_texts
from lake.models.catalog import Telemetry
from wire.envelope import Message, Reading, TelemetryEnvelope, wires

_MINUTE_MS = 60_000
Flags = NDArray[np.bool_]


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
        self._model_id, self._component, self._faults = model.model_id, component, faults
        self._ids = pa.array(ids, pa.string())
        self._id_format = f"{seed}-%d{f'-{component}' if component else ''}".encode()
        self._envelopes = [TelemetryEnvelope(device_id, component) for device_id in ids]
        self._intervals_ms = [device.reporting_interval_s * 1000 for device in devices]
        self._telemetry = [each for each in model.telemetry if each.component == component]
        self._template = PayloadTemplate(self._telemetry)
        self._breaker = Breaker(self._telemetry, self._template, model.quality.max_payload_bytes)
        self._value_keys = [keys_of(ids, *_purpose(each, seed), each.metric_name) for each in self._telemetry]
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

    def batch(self, rows: Rows, impossible: Flags) -> Batch:
        """The messages of these readings; delayed ones carry the later arrival."""
        columns = self._columns(rows, rows.times)
        measured = rows.times + rows.shifts
        ids = [self._id_format % ms for ms in measured.tolist()]
        envelopes = map(self._envelopes.__getitem__, rows.device.tolist())
        times = map(str.encode, time_texts(measured))
        payloads = self._template.fill(zip(*columns, strict=True))
        readings: list[Message | Reading] = list(zip(envelopes, ids, times, payloads, strict=True))
        device_ids = self._ids.take(pa.array(rows.device))
        made = Batch(rows.times, readings, reading_rows(device_ids, ids, measured, self._component, self._model_id))
        drawn = np.searchsorted(self._thresholds, uniform(self._fault_keys[rows.device], rows.times), side="right")
        odd = np.flatnonzero(impossible | (rows.shifts != 0) | (drawn < len(self._kinds)))
        if not len(odd):
            return made
        delays = uniform(self._delay_keys[rows.device[odd]], rows.times[odd])
        changed: list[Dispatch] = []
        extra: list[Dispatch] = []
        whole = wires(readings[n] for n in odd.tolist())
        for n, wire, delay in zip(odd.tolist(), whole, delays.tolist(), strict=True):
            dispatch = Dispatch(
                int(rows.times[n]), Message(*wire), device_ids[n].as_py(), ids[n].decode(), int(measured[n]),
                self._model_id, self._component,
            )  # fmt: skip
            changed.append(dispatch)
            row = [column[n] for column in columns]
            if rows.shifts[n]:
                dispatch.clock_status = "ahead" if rows.shifts[n] > 0 else "behind"
                dispatch.fault = f"clock_{dispatch.clock_status}"
            elif impossible[n]:
                self._break(dispatch, "impossible", "out_of_range", row)
            else:
                extra += self._apply(self._kinds[drawn[n]], dispatch, row, delay, rows.only(n))
        return made.replaced(odd, changed + extra)

    def _columns(self, rows: Rows, times: Times) -> list[list[str]]:
        return [
            json_texts(each, keys[rows.device], times)
            for each, keys in zip(self._telemetry, self._value_keys, strict=True)
        ]

    def _can(self, kind: str) -> bool:
        return self._breaker.can(kind.removeprefix("corrupt."))

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


def _purpose(telemetry: Telemetry, seed: int) -> tuple[object, ...]:
    """What values are drawn for. A register is its device's, whatever the seed: a later run goes on where it stood."""
    return ("register",) if counts_up(telemetry) else (seed, "value")


def _between(span: Span, share: float, unit_ms: int) -> int:
    return int((span[0] + (span[1] - span[0]) * share) * unit_ms)


def _with_extra(payload: bytes, name: str) -> bytes:
    return payload[:-1] + f',{json.dumps(name)}:"not declared"}}'.encode()
