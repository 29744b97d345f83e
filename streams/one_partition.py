"""One partition: what the hot path makes of one Kafka partition, and its memory as values that can be kept elsewhere.

Belongs here: a batch where no process lives on from one to the next, and what the next one has to know. Where that is
kept, and who runs a batch, belongs in `spark_processor`. All is a function of the records and of the moments of the
batches: a batch that is run again gives the same.

The memory is kept in parts, so that a batch writes what it adds and not all that is open.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lake.code_version import check_versions
from lake.models.catalog import Model
from lake.storage.duckdb_connection import connect
from runtime.settings import Settings
from streams.declarations import Declarations
from streams.hot_registry import HotRegistry
from streams.judged_batches import JudgedBatches
from streams.results import Results
from transforms.alert_rules import AlarmState
from wire.envelope import Message

_US = 1_000_000
FIRST_US = 180 * _US
"""The very first batch has what came in the minutes before, so that open windows are whole."""
SKEW_US = 1 * _US
"""So far the landing zone's clock may be behind Spark's."""

Part = tuple[bytes, bytes]
"""What one batch added: readings and identities, as Arrow streams."""


@dataclass(frozen=True)
class Given:
    """What all partitions of a run have in common; `events` are those of the lifecycle topic that are known."""

    run: str
    versions: str
    models: Mapping[str, Model]
    types: tuple[str, ...]
    declared: Declarations
    events: bytes


@dataclass
class Memory:
    """What a batch has to know of those before it, but for the parts: these lie elsewhere, by the numbers in `parts`.

    `moment_us` is when the batch before was planned: everything that came until then has been read. `parts` and
    `events` say what is to be found by which number, a part with its newest event.
    """

    batch: int = 0
    moment_us: int = 0
    told_us: int = 0
    read_from: int | None = None
    parts: dict[int, int] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)
    waiting: dict[str, list[tuple[list[str | None], int, int]]] = field(default_factory=dict)
    alarms: dict[str, AlarmState] = field(default_factory=dict)

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> "Memory":
        """From JSON."""
        said = json.loads(text)
        said["parts"] = {int(number): newest_us for number, newest_us in said["parts"].items()}
        said["alarms"] = {key: AlarmState(**state) for key, state in said["alarms"].items()}
        return cls(**said)


@dataclass(frozen=True)
class Outcome:
    """What a batch tells, and what is to be kept of it: a part and lifecycle events by the number of the batch, if it
    has such; parts with the numbers `gone` are needed no more."""

    told: list[Message]
    part: Part | None
    events: bytes | None
    gone: list[int]


class OnePartition:
    """The tables and statements for one partition, in a DuckDB of its own, and up to which batch they know."""

    def __init__(self, given: Given, partition: int, memory: Memory, events_of: Callable[[int], bytes]) -> None:
        """`events_of` gives the events that are kept by a number; without any it begins with the given ones."""
        check_versions(given.versions)
        # of the lake nothing is read here
        connection = connect(Settings(home=Path("/"), lake_uri="/"), threads=1)
        self.memory = Memory()
        self._partition = partition
        self._judged = JudgedBatches(connection, given.models, given.types)
        self._registry = HotRegistry(connection, table_of(given.events if not memory.events else events_of(0)))
        self._results = Results(connection, given.declared, [partition], {})
        self._judged.prepare()
        self._results.prepare()
        self._judged.set_registry(*self._registry.facts())
        self.memory.events = [0]

    def begin(self, moment_us: int) -> bytes:
        """Begin with nothing; gives the events that are to be kept by the number 0."""
        self.memory.told_us = moment_us - FIRST_US
        return bytes_of(self._registry.events())

    def catch_up(self, memory: Memory, part_of: Callable[[int], Part], events_of: Callable[[int], bytes]) -> None:
        """Know what the batches up to `memory` knew; what was known before is not asked for again."""
        if memory.batch == self.memory.batch:
            return
        missing = [number for number in memory.parts if number not in self.memory.parts]
        self._judged.give_back((table_of(each[0]), table_of(each[1])) for each in map(part_of, missing))
        events = [number for number in memory.events if number not in self.memory.events]
        for number in events:
            self._registry.add_columns(table_of(events_of(number)))
        if events:
            self._judged.set_registry(*self._registry.facts())
        self._judged.forget(memory.told_us - self._results.kept_us)
        for name, window in self._results.windows.items():
            window.wait_for(memory.waiting.get(name, ()))
        self._results.alarms.resume(memory.alarms)
        self.memory = memory

    def take(self, records: pa.Table, events: pa.Table, moment_us: int) -> Outcome:
        """Judge a batch that was planned at `moment_us`; both tables are as `columns_of` gives them."""
        before = self.memory
        # of what came while this batch was planned it may have a part only
        watermark_us = max(before.told_us, before.moment_us - SKEW_US)
        number = before.batch + 1
        if events.num_rows:
            self._registry.add_columns(events)
            self._judged.set_registry(*self._registry.facts())
        self._judged.take_columns(records)
        read_from = before.read_from
        if read_from is None and records.num_rows:
            read_from = pc.min(records["offset"]).as_py()
        told = self._results.of_batch(watermark_us, before.told_us, {self._partition: read_from or 0})
        part, newest_us = self._part() if records.num_rows else (None, 0)
        oldest_us = watermark_us - self._results.kept_us
        self._judged.forget(oldest_us)
        parts = before.parts | ({number: newest_us} if part is not None else {})
        gone = [each for each, last_us in parts.items() if last_us < oldest_us]
        self.memory = Memory(
            number, moment_us, watermark_us, read_from,
            {each: last_us for each, last_us in parts.items() if each not in gone},
            before.events + [number] * bool(events.num_rows),
            {name: window.waiting() for name, window in self._results.windows.items()},
            dict(self._results.alarms.states()),
        )  # fmt: skip
        return Outcome(told, None if number in gone else part, bytes_of(events) if events.num_rows else None, gone)

    def _part(self) -> tuple[Part | None, int]:
        readings, identities = self._judged.taken()
        if not identities.num_rows:
            return None, 0
        newest_us: Any = pc.max(identities["event_at"]).cast(pa.int64()).as_py()
        return (bytes_of(readings), bytes_of(identities)), newest_us


def bytes_of(table: pa.Table) -> bytes:
    """A table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def table_of(stream: bytes) -> pa.Table:
    """The table in an Arrow stream."""
    return pa.ipc.open_stream(stream).read_all()
