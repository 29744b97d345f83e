"""The repeat window: which messages of a client's former connections are in Kafka already.

Belongs here: reading the tail of a topic back, and remembering it for the many who ask at once after a cut. When a
message is a repeat is the session's to say: it was sent with DUP, and the window of its former connection has it.

A client sends again, by the same packet id and bytes, what was not acknowledged when its connection ended. So only
records since then can be meant: the tail is read from that time on, once for all clients of a partition.
"""

import re
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from hub.messages.device_messages import DELIVERY
from runtime.errors import PlatformError
from runtime.kafka.clients import client_config
from runtime.kafka.record_headers import headers_of

Mark = tuple[int, bytes]
"""Packet id and digest of a message."""


@dataclass(frozen=True, slots=True)
class Window:
    """What was found of one epoch: the marks of the messages, by the topic that has them."""

    epoch: int = 0
    marks: Mapping[str, frozenset[Mark]] = field(default_factory=dict)

    def topics_with(self, mark: Mark) -> frozenset[str]:
        """The topics that have a message."""
        return frozenset(topic for topic, marks in self.marks.items() if mark in marks)


_TIMEOUT_S = 30.0
_MARK = re.compile(rb"([0-9]{1,18})-([0-9]{1,5})-([0-9a-f]+)")
# what nobody asked for since then is read again by the next who does
_KEPT_S = 60.0


@dataclass(slots=True)
class _Tail:
    """What was read of a partition: from one offset to another, by client and epoch."""

    first_offset: int
    next_offset: int
    found: dict[tuple[bytes, int], set[Mark]] = field(default_factory=dict)
    used_at: float = 0.0


class RepeatWindows:
    """Finds windows in a thread of its own; one at a time, since one reading serves many."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._consumer: Consumer | None = None
        self._tails: dict[tuple[str, int], _Tail] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="repeat-window")

    def find(self, topics: Iterable[str], key: bytes, epochs: tuple[int, ...], since_ms: int) -> "Future[Window]":
        """What the client with this Kafka key sent in `epochs` and Kafka has, of records since `since_ms`.

        The newest epoch of which anything landed counts alone: a client that goes on in a new connection has told by
        its first new packets that the older ones are settled. Raises PlatformError when Kafka cannot be read.
        """
        return self._thread.submit(self._find, tuple(topics), key, epochs, since_ms)

    def close(self) -> None:
        """End the thread."""
        self._thread.submit(self._disconnect)
        self._thread.shutdown()

    def _find(self, topics: tuple[str, ...], key: bytes, epochs: tuple[int, ...], since_ms: int) -> Window:
        found: dict[str, dict[int, frozenset[Mark]]] = {}
        try:
            for topic in topics:
                partitions = self._open().list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
                tail = self._read(topic, partition_of(key, len(partitions)), since_ms)
                found[topic] = {epoch: frozenset(tail.found.get((key, epoch), ())) for epoch in epochs}
        except KafkaException as error:
            self._disconnect()
            raise PlatformError(f"Kafka at {self._bootstrap} cannot be read: {error.args[0].str()}.") from error
        newest = max((epoch for of_topic in found.values() for epoch, marks in of_topic.items() if marks), default=0)
        return Window(newest, {topic: of_topic.get(newest, frozenset()) for topic, of_topic in found.items()})

    def _open(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(
                {
                    **client_config(self._bootstrap),
                    "group.id": "hub-repeat-window",
                    "enable.auto.commit": False,
                    "isolation.level": "read_committed",
                    # where Kafka let go of what comes next, the oldest that is left does
                    "auto.offset.reset": "earliest",
                    "fetch.wait.max.ms": 20,
                    "log_level": 0,
                }
            )
        return self._consumer

    def _disconnect(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _read(self, topic: str, partition: int, since_ms: int) -> _Tail:
        """The tail of a partition from `since_ms` to its end at this moment."""
        consumer, place = self._open(), (topic, partition)
        now = time.monotonic()
        self._tails = {kept: tail for kept, tail in self._tails.items() if now - tail.used_at < _KEPT_S}
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S)
        (from_time,) = consumer.offsets_for_times([TopicPartition(topic, partition, since_ms)], timeout=_TIMEOUT_S)
        first = end if from_time.offset in (OFFSET_END, -1) else from_time.offset
        tail = self._tails.get(place)
        if tail is None or first < tail.first_offset:
            tail = self._tails[place] = _Tail(first, first)
        tail.used_at = now
        if tail.next_offset < end:
            self._scan(consumer, topic, partition, tail, end)
        return tail

    def _scan(self, consumer: Consumer, topic: str, partition: int, tail: _Tail, end: int) -> None:
        consumer.assign([TopicPartition(topic, partition, tail.next_offset)])
        deadline = time.monotonic() + _TIMEOUT_S
        while tail.next_offset < end:
            for message in consumer.consume(5000, timeout=0.05):
                if message.error() is not None:
                    raise KafkaException(message.error())
                _note(tail, message)
            # control records are not given out: the position says that they are behind
            (position,) = consumer.position([TopicPartition(topic, partition)])
            tail.next_offset = max(tail.next_offset, position.offset)
            if time.monotonic() > deadline:
                raise PlatformError(f"Kafka at {self._bootstrap} gave no records of {topic} within {_TIMEOUT_S:.0f} s.")
        consumer.unassign()


def _note(tail: _Tail, message: Any) -> None:
    tail.next_offset = message.offset() + 1
    mark, key = dict(headers_of(message) or ()).get(DELIVERY), message.key()
    if mark is not None and key is not None:
        # the topic is open to others: what no hub wrote marks nothing
        written = _MARK.fullmatch(mark)
        if written is not None:
            tail.found.setdefault((key, int(written[1])), set()).add((int(written[2]), written[3]))


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Java's producers, and librdkafka's `murmur2_random`, choose for a key."""
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    """MurmurHash2 by Austin Appleby, with Kafka's seed."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = ((h ^ int.from_bytes(rest, "little")) * m) & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15
