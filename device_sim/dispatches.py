"""Dispatches: messages to be sent, with what is to become of each; one by one, or many as columns.

Belongs here: both forms, and the way from one to the other. What the messages are is decided in `messages`, their
order in `stream`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from device_sim.manifest import SCHEMA
from device_sim.noise import Times
from wire.envelope import ID, SOURCE, TELEMETRY_TOPIC, TIME, Message, Reading, source_of

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


@dataclass(frozen=True, slots=True)
class Batch:
    """Many dispatches, in order: their arrivals, their messages and their rows of the manifest.

    An object for each would take as long as sending it.
    """

    arrivals: Times
    messages: list[Message | Reading]
    rows: pa.RecordBatch

    def __len__(self) -> int:
        return len(self.messages)

    def part(self, start: int, end: int) -> "Batch":
        """Those from `start` to before `end`."""
        return Batch(self.arrivals[start:end], self.messages[start:end], self.rows.slice(start, end - start))

    def take(self, places: Indices) -> "Batch":
        """Those at `places`, in that order."""
        messages = list(map(self.messages.__getitem__, places.tolist()))
        return Batch(self.arrivals[places], messages, self.rows.take(pa.array(places)))

    def by_arrival(self) -> "Batch":
        """In order of arrival; what arrives at one moment stays in the order that it has."""
        return self.take(np.argsort(self.arrivals, kind="stable"))

    def replaced(self, places: Indices, dispatches: Sequence[Dispatch]) -> "Batch":
        """With the first of `dispatches` at `places`, and the rest of them at the end."""
        count = len(self)
        order = np.arange(count + len(dispatches) - len(places))
        order[count:] += len(places)
        order[places] = count + np.arange(len(places))
        return joined([self, batch_of(dispatches)]).take(order)


def batch_of(dispatches: Sequence[Dispatch]) -> Batch:
    """The same as columns."""
    columns: list[list[Any]] = [
        [each.message.topic for each in dispatches],
        [None if each.message.key is None else each.device_id for each in dispatches],
        [source_of(each.device_id) for each in dispatches],
        [each.message_id for each in dispatches],
        [None if each.measured_ms is None else each.measured_ms * 1000 for each in dispatches],
        [each.component for each in dispatches],
        [each.model_id for each in dispatches],
        [each.fault for each in dispatches],
        [each.fate for each in dispatches],
        [each.clock_status for each in dispatches],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return Batch(
        np.array([each.arrival_ms for each in dispatches], dtype=np.int64),
        [each.message for each in dispatches],
        pa.RecordBatch.from_arrays(arrays, schema=SCHEMA),
    )


def reading_rows(
    device_ids: pa.Array, message_ids: Sequence[bytes], measured_ms: Times, component: str | None, model_id: str
) -> pa.RecordBatch:
    """Rows of the manifest for good readings of one model."""
    count = len(message_ids)
    arrays = [
        pa.repeat(TELEMETRY_TOPIC, count),
        device_ids,
        pc.binary_join_element_wise(source_of(""), device_ids, ""),
        pa.array(message_ids, pa.string()),
        pa.array(measured_ms * 1000).cast(SCHEMA.field("measured_at").type),
        pa.repeat(pa.scalar(component, pa.string()), count),
        pa.repeat(model_id, count),
        pa.repeat("none", count),
        pa.repeat("reading", count),
        pa.repeat("ok", count),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def joined(batches: Sequence[Batch]) -> Batch:
    """One behind the other."""
    return Batch(
        np.concatenate([each.arrivals for each in batches]),
        list(chain.from_iterable(each.messages for each in batches)),
        pa.concat_batches([each.rows for each in batches]),
    )


def _time_ms(time: bytes) -> int | None:
    try:
        return round(datetime.fromisoformat(time.decode()).timestamp() * 1000)
    except ValueError:
        return None
