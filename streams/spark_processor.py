"""Spark processor: a partition of the hot path as a stateful operator of Structured Streaming, run by its tasks.

Belongs here: where the memory of a partition lies in Spark's state, and rows in and out. What a batch does belongs in
`one_partition`; the query belongs in `spark_job`.

Spark commits state with a batch or not at all, and hands a batch that it runs again the state that it had and the
moment at which it was planned. A Python worker lives through many tasks, so what one made of the state it keeps, and
only what other workers added meanwhile is read.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle

from ingestion.kafka_records import HEADERS, RECEIVED_US, columns_of
from streams.one_partition import Given, Memory, OnePartition, Outcome, Part
from wire.envelope import LIFECYCLE_TOPIC, Message

SHARE = "share"
"""The column by which rows go to a partition of the hot path; a lifecycle event goes to each."""
INPUT = ("topic", "partition", "offset", RECEIVED_US, "key", "value", *HEADERS.values())
OUTPUT = ", ".join(["topic string", "key binary", "value binary", *(f"{name} string" for name in HEADERS.values())])
_NONE = columns_of({name: [] for name in INPUT})

_known: dict[int, OnePartition] = {}
_run = ""


class PartitionProcessor(StatefulProcessor):
    """Batches of the partitions, each with its memory in Spark's state."""

    def __init__(self, given: Given) -> None:
        self._given = given

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Name the state."""
        self._handle = handle
        self._memory = handle.getValueState("memory", "memory string")
        self._parts = handle.getMapState("parts", "number bigint", "readings binary, identities binary")
        self._events = handle.getMapState("events", "number bigint", "events binary")

    def handleInputRows(self, key: Any, rows: Iterator[Any], timerValues: Any) -> Iterator[pd.DataFrame]:  # noqa: N802, N803
        """A batch with records."""
        found = pd.concat(list(rows), ignore_index=True)
        is_event = found["topic"] == LIFECYCLE_TOPIC
        moment_ms = timerValues.getCurrentProcessingTimeInMs()
        if not self._memory.exists():
            self._handle.registerTimer(moment_ms + 1)
        yield self._taken(int(key[0]), _table(found[~is_event]), _table(found[is_event]), moment_ms)

    def handleExpiredTimer(self, key: Any, timerValues: Any, expiredTimerInfo: Any) -> Iterator[pd.DataFrame]:  # noqa: N802, N803
        """The passing of time, in each batch: records of this partition may have come in it or not."""
        moment_ms = timerValues.getCurrentProcessingTimeInMs()
        self._handle.registerTimer(moment_ms + 1)
        yield self._taken(int(key[0]), _NONE, _NONE, moment_ms)

    def close(self) -> None:
        """There is nothing to close: what was opened serves the next task."""

    def _taken(self, partition: int, records: pa.Table, events: pa.Table, moment_ms: int) -> pd.DataFrame:
        moment_us = moment_ms * 1000
        found = self._memory.get()
        memory = Memory() if found is None else Memory.of(found[0])
        if memory.moment_us == moment_us:
            return _frame([])
        ours = self._opened(partition, memory, moment_us)
        outcome = ours.take(records, events, moment_us)
        self._keep(ours.memory, outcome)
        _known[partition] = ours
        return _frame(outcome.told)

    def _opened(self, partition: int, memory: Memory, moment_us: int) -> OnePartition:
        """The tables of a partition, with what its memory says."""
        global _run
        if _run != self._given.run:
            _known.clear()
            _run = self._given.run
        # not known until it is whole again
        ours = _known.pop(partition, None) if memory.batch else None
        if ours is None or ours.memory.batch > memory.batch:
            ours = OnePartition(self._given, partition, memory, self._events_of)
        if memory.batch:
            ours.catch_up(memory, self._part_of, self._events_of)
        else:
            self._events.updateValue((0,), (ours.begin(moment_us),))
        return ours

    def _keep(self, memory: Memory, outcome: Outcome) -> None:
        number = (memory.batch,)
        if outcome.part is not None:
            self._parts.updateValue(number, outcome.part)
        if outcome.events is not None:
            self._events.updateValue(number, (outcome.events,))
        for gone in outcome.gone:
            if gone != memory.batch:
                self._parts.removeKey((gone,))
        self._memory.update((memory.text(),))

    def _part_of(self, number: int) -> Part:
        readings, identities = self._parts.getValue((number,)) or (b"", b"")
        return bytes(readings), bytes(identities)

    def _events_of(self, number: int) -> bytes:
        (events,) = self._events.getValue((number,)) or (b"",)
        return bytes(events)


def _table(rows: pd.DataFrame) -> pa.Table:
    return columns_of({name: rows[name].tolist() for name in INPUT})


def _frame(told: list[Message]) -> pd.DataFrame:
    rows = [[m.topic, m.key, m.value, *map(_headers(m).get, HEADERS)] for m in told]
    return pd.DataFrame(rows, columns=["topic", "key", "value", *HEADERS.values()])


def _headers(message: Message) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers}
