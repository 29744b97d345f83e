"""What a topic holds for a reader of committed records: bounds, open transactions, and how many records lie between.

Belongs here: asking the broker, and nothing else. Which offsets bronze reads next is decided in `bronze_ingest`.

Offsets are not records: each end of a transaction takes one, and so does every record of a transaction that was
aborted. A reader of committed records sees neither, and nothing at or after the first record of a transaction that is
still open: that offset is the partition's last stable offset (Kafka's `isolation.level`, KIP-98).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from runtime.errors import LandingZoneError, PlatformError
from runtime.kafka.clients import client_config

COMMITTED_ONLY = "read_committed"
"""Kafka's `isolation.level` of everything here that reads."""
COUNTED_OFFSETS = 10_000
"""Up to as many offsets are read to tell how many of them are records; reading more would take longer than it is
worth."""
TRANSACTIONS_WAIT_S = 75.0
"""How long who runs a tick by hand waits: Kafka ends the transaction of a producer that died after its
`transaction.timeout.ms`, 60 s unless it says otherwise, and looks for those every 10 s."""

_BROKER_TIMEOUT_S = 10.0
_LOOK_AGAIN_S = 0.5
_OLDEST = OffsetSpec.earliest()
_NEWEST = OffsetSpec.latest()

Span = tuple[int, int]
"""Offsets from (inclusive), to (exclusive)."""


def broker_offsets(bootstrap: str, topic: str) -> dict[int, Span]:
    """Per partition the oldest offset that the broker still has and its last stable offset.

    Raises PlatformError when the broker does not answer, LandingZoneError when there is no such topic.
    """
    admin, partitions = _partitions(bootstrap, topic)
    oldest = _ask(admin, bootstrap, partitions, _OLDEST)
    stable = _ask(admin, bootstrap, partitions, _NEWEST)
    return {partition: (oldest[partition], max(stable[partition], oldest[partition])) for partition in sorted(oldest)}


def open_transactions(bootstrap: str, topic: str) -> dict[int, Span]:
    """The partitions with a transaction that is still open: their last stable offset, and their end.

    Raises as `broker_offsets` does.
    """
    admin, partitions = _partitions(bootstrap, topic)
    # asked first, so that what a transaction brings between the two questions is not taken for one that is open
    ends = _ask(admin, bootstrap, partitions, _NEWEST, IsolationLevel.READ_UNCOMMITTED)
    stable = _ask(admin, bootstrap, partitions, _NEWEST)
    return {partition: (stable[partition], end) for partition, end in sorted(ends.items()) if stable[partition] < end}


def settle(bootstrap: str, topic: str, wait_s: float, say: Callable[[str], None]) -> list[str]:
    """Wait until the transactions that are open now have ended, `wait_s` seconds at most, and say so.

    Those that begin meanwhile are not waited for, nor is a topic that is not there yet. Returns what is open still, in
    words; raises PlatformError.
    """
    try:
        waited_for = found = open_transactions(bootstrap, topic)
    except LandingZoneError:
        return []
    deadline = time.monotonic() + wait_s
    if found and wait_s > 0:
        say(f"waiting up to {wait_s:.0f} s for {_described(topic, found)}")
    # Kafka tells nobody that a transaction has ended without a record
    while found and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
        now = open_transactions(bootstrap, topic)
        found = {p: now[p] for p, (_, end) in waited_for.items() if p in now and now[p][0] < end}
    return [f"left for a later tick: {_described(topic, found)} and what follows it"] if found else []


@dataclass(frozen=True)
class Count:
    """How many records there are by partition; where it is not exact, how many there are at most."""

    records: Mapping[int, int]
    is_exact: bool

    @property
    def total(self) -> int:
        """Of all partitions."""
        return sum(self.records.values())


def records_in(bootstrap: str, topic: str, spans: Mapping[int, Span]) -> Count:
    """How many committed records lie in spans that end at or before the last stable offset.

    Many are not read to be counted: the answer is then how many offsets there are. Raises PlatformError.
    """
    widths = {partition: max(0, end - start) for partition, (start, end) in spans.items()}
    if sum(widths.values()) > COUNTED_OFFSETS:
        return Count(widths, is_exact=False)
    return Count(widths | count_records(bootstrap, topic, spans), is_exact=True)


def count_records(bootstrap: str, topic: str, spans: Mapping[int, Span]) -> dict[int, int]:
    """The same, by reading them all. Raises PlatformError."""
    spans = {partition: span for partition, span in spans.items() if span[0] < span[1]}
    counts = dict.fromkeys(spans, 0)
    if not spans:
        return counts
    consumer = Consumer(
        {
            **client_config(bootstrap),
            "group.id": "lakehouse-count",
            "enable.auto.commit": False,
            "isolation.level": COMMITTED_ONLY,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, start) for partition, (start, _) in spans.items()])
        left = set(spans)
        deadline = time.monotonic() + _BROKER_TIMEOUT_S
        while left:
            message = consumer.poll(max(0.0, deadline - time.monotonic()))
            if message is None:
                raise PlatformError(f"Kafka at {bootstrap} did not show the records of {topic} within 10 s.")
            partition, offset, error = message.partition(), message.offset(), message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise PlatformError(f"Kafka at {bootstrap} did not show the records of {topic}: {error.str()}.")
            if error is not None or (offset is not None and offset >= spans[partition or 0][1]):
                left.discard(partition or 0)
            elif partition in left:
                counts[partition] += 1
        return counts
    finally:
        consumer.close()


def _described(topic: str, found: Mapping[int, Span]) -> str:
    """In words, with places that an operator can look up."""
    places = ", ".join(f"partition {partition} from offset {stable}" for partition, (stable, _) in found.items())
    return f"an open transaction in the topic {topic} ({places})"


def _partitions(bootstrap: str, topic: str) -> tuple[AdminClient, list[TopicPartition]]:
    admin = AdminClient({**client_config(bootstrap), "log_level": 0})
    try:
        metadata = admin.list_topics(topic, timeout=_BROKER_TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise _silent(bootstrap, error) from error
    if metadata.error is not None:
        raise LandingZoneError(f"Kafka at {bootstrap} has no topic {topic!r}: {metadata.error}.")
    return admin, [TopicPartition(topic, partition) for partition in metadata.partitions]


def _ask(
    admin: AdminClient,
    bootstrap: str,
    partitions: list[TopicPartition],
    which: OffsetSpec,
    isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
) -> dict[int, int]:
    try:
        asked = admin.list_offsets(
            dict.fromkeys(partitions, which), isolation_level=isolation, request_timeout=_BROKER_TIMEOUT_S
        )
        return {place.partition: answer.result().offset for place, answer in asked.items()}
    except KafkaException as error:
        raise _silent(bootstrap, error) from error


def _silent(bootstrap: str, error: KafkaException) -> PlatformError:
    return PlatformError(f"Kafka at {bootstrap} did not answer: {error.args[0]}. Is the broker running and reachable?")
