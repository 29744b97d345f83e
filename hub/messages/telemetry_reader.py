"""Reading telemetry back, a partition at a time, for who receives it from the hub instead of from Kafka.

Belongs here: a consumer, where it begins, and what a partition holds. Who may receive, and how a record is written for
it, belong in `hub.amqp`.

Each reader has a thread: librdkafka waits in it while nothing comes. Only what is committed is read.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from runtime.errors import PlatformError, WireError
from runtime.kafka.clients import client_config
from wire.envelope import TELEMETRY_TOPIC

T = TypeVar("T")

_TIMEOUT_S = 10.0
_WAIT_S = 0.5
# the newest record is looked for among so many offsets: marks of transactions have offsets too
_TAIL = 200


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading begins: at an offset, or at the first record since a moment; with neither, at what comes next."""

    offset: int | None = None
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What a partition holds: its first offset, and offset and time of its newest record, which is before the first
    when there is none."""

    first: int
    last: int
    last_at_ms: int

    @property
    def is_empty(self) -> bool:
        """True when it holds nothing."""
        return self.last < self.first


class TelemetryReader:
    """A reader of one partition at a time. Its calls raise PlatformError when Kafka cannot be read."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._consumer: Consumer | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="telemetry-reader")

    async def partitions(self) -> list[int]:
        """The partitions that there are."""
        return await self._run(lambda consumer: _partitions(consumer))

    async def holding(self, partition: int) -> Holding:
        """What a partition holds now. Raises WireError for one that is not there."""
        return await self._run(lambda consumer: _holding(consumer, partition))

    async def begin(self, partition: int, position: Position) -> None:
        """Read this partition from there on. Raises WireError for one that is not there, or a place beyond its end."""
        await self._run(lambda consumer: _begin(consumer, partition, position))

    async def read(self, most: int) -> list[Message]:
        """The next records in their order, `most` of them at most; nothing when none came for half a second."""
        return await self._run(lambda consumer: _read(consumer, most))

    def close(self) -> None:
        """End once what is under way is done."""
        self._thread.submit(self._disconnect)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[Consumer], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    def _guarded(self, work: Callable[[Consumer], T]) -> T:
        try:
            if self._consumer is None:
                self._consumer = Consumer(_configuration(self._bootstrap))
            return work(self._consumer)
        except KafkaException as error:
            self._disconnect()
            raise PlatformError(f"Kafka at {self._bootstrap} cannot be read: {error.args[0].str()}.") from error

    def _disconnect(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


def _configuration(bootstrap: str) -> dict[str, Any]:
    return {
        **client_config(bootstrap),
        # no group is joined: positions are the receivers' to keep
        "group.id": "hub-endpoint",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        # who is slower than the retention goes on with the oldest that is left
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 100,
        "queued.max.messages.kbytes": 4096,
        "log_level": 0,
    }


def _partitions(consumer: Consumer) -> list[int]:
    return sorted(consumer.list_topics(TELEMETRY_TOPIC, timeout=_TIMEOUT_S).topics[TELEMETRY_TOPIC].partitions)


def _known(consumer: Consumer, partition: int) -> TopicPartition:
    if partition not in _partitions(consumer):
        raise WireError(f"There is no partition {partition}.")
    return TopicPartition(TELEMETRY_TOPIC, partition)


def _begin(consumer: Consumer, partition: int, position: Position) -> None:
    place = _known(consumer, partition)
    first, end = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
    at = end if position.offset is None else max(position.offset, first)
    if at > end:
        raise WireError(f"The offset {at - 1} is beyond the last one of partition {partition}, {end - 1}.")
    if position.since_ms is not None:
        (found,) = consumer.offsets_for_times(
            [TopicPartition(TELEMETRY_TOPIC, partition, max(position.since_ms, 0))], timeout=_TIMEOUT_S
        )
        at = end if found.offset < 0 else found.offset
    consumer.assign([TopicPartition(TELEMETRY_TOPIC, partition, at)])


def _read(consumer: Consumer, most: int) -> list[Message]:
    first = consumer.poll(_WAIT_S)
    found = [] if first is None else [first, *consumer.consume(most - 1, 0)]
    for message in found:
        if message.error() is not None:
            raise KafkaException(message.error())
    return found


def _holding(consumer: Consumer, partition: int) -> Holding:
    place = _known(consumer, partition)
    first, end = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
    if first == end:
        return Holding(first, first - 1, 0)
    consumer.assign([TopicPartition(TELEMETRY_TOPIC, partition, max(first, end - _TAIL))])
    newest: Message | None = None
    deadline = time.monotonic() + _TIMEOUT_S
    while consumer.position([place])[0].offset < end and time.monotonic() < deadline:
        found = _read(consumer, _TAIL)
        newest = found[-1] if found else newest
    consumer.unassign()
    if newest is None:
        return Holding(first, end - 1, 0)
    return Holding(first, newest.offset() or 0, newest.timestamp()[1])
