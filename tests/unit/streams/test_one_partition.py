"""One partition's memory: whoever takes up what was kept tells what a process that lived on would tell."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from ingestion.kafka_records import HEADERS, RECEIVED_US, columns_of
from lake.code_version import versions
from lake.models.catalog import BUILT_IN_MODELS, load_models
from streams.declarations import Declarations
from streams.one_partition import Given, Memory, OnePartition, Outcome, bytes_of
from tests.support.landing import reading, registered
from transforms.alert_rules import Rule
from transforms.windows import Window
from wire.envelope import Message

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
_US = 1_000_000
_WINDOWS = (
    Window("device_minutes", "tumbling", 60, ("device_id",), {"value_sum": "sum(value)"}),
    Window("visits", "session", 600, ("device_id",), {"n": "count(value)"}, gap_s=20),
    Window("steps", "each", 600, ("device_id",), {"step": "value - previous_value"}),
)
_RULES = (Rule("hot", condition="value > 25", for_s=5), Rule("silent", silence_s=90))
_EMPTY = columns_of(
    {name: [] for name in ("topic", "partition", "offset", RECEIVED_US, "key", "value", *HEADERS.values())}
)
_GIVEN = Given(
    "run", versions(), load_models([BUILT_IN_MODELS]), (),
    Declarations({window.name: window for window in _WINDOWS}, {rule.name: rule for rule in _RULES}), b"",
)  # fmt: skip


class Kept:
    """What is kept of a partition between batches, and the worker that has it."""

    def __init__(self) -> None:
        self.text = ""
        self.parts: dict[int, tuple[bytes, bytes]] = {}
        self.events: dict[int, bytes] = {}
        self.worker: OnePartition | None = None

    def run(
        self, given: Given, messages: list[tuple[int, Message]], moment_s: int, *, is_again: bool = False
    ) -> list[Message]:
        """A batch at a moment; `is_again` leaves no trace, as when its results are not committed."""
        moment_us = int(START.timestamp() + moment_s) * _US
        memory = Memory.of(self.text) if self.text else Memory()
        events_of = self.events.__getitem__
        if self.worker is None or self.worker.memory.batch > memory.batch:
            self.worker = OnePartition(given, 0, memory, events_of)
        if memory.batch:
            self.worker.catch_up(memory, self.parts.__getitem__, events_of)
        else:
            self.events[0] = self.worker.begin(moment_us)
        outcome = self.worker.take(records(messages, "telemetry"), records(messages, "lifecycle"), moment_us)
        if not is_again:
            self._keep(self.worker.memory, outcome)
        return outcome.told

    def _keep(self, memory: Memory, outcome: Outcome) -> None:
        self.text = memory.text()
        if outcome.part is not None:
            self.parts[memory.batch] = outcome.part
        if outcome.events is not None:
            self.events[memory.batch] = outcome.events
        for number in outcome.gone:
            self.parts.pop(number, None)


def records(messages: list[tuple[int, Message]], topic: str):  # type: ignore[no-untyped-def]
    found = [(offset, message, dict(message.headers)) for offset, message in messages if message.topic == topic]
    return columns_of(
        {
            "topic": [topic] * len(found), "partition": [0] * len(found), "offset": [offset for offset, _, _ in found],
            RECEIVED_US: [int(START.timestamp() + offset) * _US for offset, _, _ in found],
            "key": [message.key for _, message, _ in found], "value": [message.value for _, message, _ in found],
            **{column: [headers.get(name) for _, _, headers in found] for name, column in HEADERS.items()},
        }
    )  # fmt: skip


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def batches() -> list[tuple[int, list[tuple[int, Message]]]]:
    """Batches by the second at which they were planned, with a repeat, a late reading and two registrations."""
    return [
        (5, [(1, registered("a", at(-90))), (2, reading("a", "1", at(2), 20.0)), (3, reading("a", "2", at(3), 26.0))]),
        (10, [(8, reading("a", "1", at(2), 20.0)), (9, reading("a", "3", at(9), 27.0)), (9, reading("b", "1", at(9)))]),
        (12, [(11, registered("b", at(-90)))]),
        (40, [(38, reading("b", "2", at(38), 21.0)), (39, reading("a", "4", at(39), 20.0))]),
        (100, []),
        (101, []),
        (110, [(108, reading("a", "5", at(30), 19.0))]),
        (240, []),
        (241, []),
        (1300, [(1298, reading("b", "3", at(1298))), (1299, reading("a", "6", at(100)))]),
        (2000, []),
        (2001, [(2000, reading("a", "7", at(2000), 30.0))]),
        # its first was let go, though another of the same batch was not
        (2002, [(2001, reading("a", "6", at(100)))]),
    ]


@pytest.fixture(scope="module")
def given() -> Given:
    return replace(_GIVEN, events=bytes_of(no_events()))


def no_events() -> pa.Table:
    import duckdb

    from runtime.settings import Settings
    from streams.hot_registry import events_of_the_lake

    with duckdb.connect() as connection:
        return events_of_the_lake(connection, Settings(home=START, lake_uri="/nonexistent"))  # type: ignore[arg-type]


def test_who_takes_up_what_was_kept_tells_the_same(given: Given) -> None:
    """A worker that lives on, one that is new for each batch, two that take turns, and one that does each batch twice
    tell the same messages, byte by byte; what is not needed any more is not kept."""
    living, renewed, again = Kept(), Kept(), Kept()
    turns: list[OnePartition | None] = [None, None]
    taken = Kept()
    changes = 0
    for number, (moment_s, messages) in enumerate(batches()):
        told = living.run(given, messages, moment_s)
        changes += len(told)
        renewed.worker = None
        assert renewed.run(given, messages, moment_s) == told
        taken.worker = turns[number % 2]
        assert taken.run(given, messages, moment_s) == told
        turns[number % 2] = taken.worker
        assert again.run(given, messages, moment_s, is_again=True) == told
        assert again.run(given, messages, moment_s) == told
    assert changes > 15
    assert set(living.parts) == {10, 12}
    assert living.parts == renewed.parts == taken.parts == again.parts
