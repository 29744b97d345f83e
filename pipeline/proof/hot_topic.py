"""The hot path's topic of windows, read on from where it was read before, and how far the hot path has come.

Belongs here: committed records as bytes, by partition and offset, and its commits. What they say is compared in
`hot_reconciliation`.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ingestion.kafka_offsets import COMMITTED_ONLY
from runtime.errors import PlatformError
from runtime.kafka.clients import client_config
from wire.envelope import TELEMETRY_TOPIC
from wire.hot_topics import GROUP, GROUP_ON_SPARK, WATERMARK, WINDOWS

_TIMEOUT_S = 10.0
_MOST = 10_000


@dataclass(frozen=True)
class HotRecords:
    """What was read, and the next offset of each partition."""

    values: list[bytes]
    offsets: Mapping[int, int]


def read_windows(bootstrap: str, since: Mapping[int, int]) -> HotRecords:
    """The committed records of `windows` from the offsets `since` to its present end; where a partition has none, or
    the broker let go of it, from the oldest that there is. Nothing when there is no such topic. Raises PlatformError.
    """
    consumer = Consumer(
        {
            **client_config(bootstrap),
            "group.id": "lakehouse-hot-reconciliation",
            "isolation.level": COMMITTED_ONLY,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )
    try:
        partitions = consumer.list_topics(timeout=_TIMEOUT_S).topics.get(WINDOWS)
        if partitions is None:
            return HotRecords([], {})
        consumer.assign([TopicPartition(WINDOWS, p, since.get(p, 0)) for p in partitions.partitions])
        return _to_the_end(consumer, set(partitions.partitions))
    except KafkaException as error:
        raise PlatformError(f"Kafka at {bootstrap} did not answer: {error.args[0]}. Is the broker running?") from error
    finally:
        consumer.close()


def reached_us(bootstrap: str) -> int:
    """The moment, in microseconds since 1970, up to which the hot path has read everything and told what it gave; 0 as
    long as some partition was never read. What it had told by then is there to be read. Raises PlatformError.
    """
    # the loop and the one on Spark may have run one after the other
    return max(_reached_us(bootstrap, GROUP), _reached_us(bootstrap, GROUP_ON_SPARK))


def _reached_us(bootstrap: str, group: str) -> int:
    consumer = Consumer(
        {**client_config(bootstrap), "group.id": group, "isolation.level": COMMITTED_ONLY, "log_level": 0}
    )
    try:
        topic = consumer.list_topics(timeout=_TIMEOUT_S).topics.get(TELEMETRY_TOPIC)
        if topic is None:
            return 0
        asked = [TopicPartition(TELEMETRY_TOPIC, partition) for partition in topic.partitions]
        found = consumer.committed(asked, timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise PlatformError(f"Kafka at {bootstrap} did not answer: {error.args[0]}. Is the broker running?") from error
    finally:
        consumer.close()
    return min((int(json.loads(each.metadata or "{}").get(WATERMARK, 0)) for each in found), default=0)


def _to_the_end(consumer: Consumer, open_: set[int]) -> HotRecords:
    values: list[bytes] = []
    offsets: dict[int, int] = {}
    waits_until = time.monotonic() + 3 * _TIMEOUT_S
    while open_:
        found = consumer.consume(_MOST, 0.5)
        for message in found:
            error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
            if error is None:
                values.append(message.value() or b"")
                offsets[partition] = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                open_.discard(partition)
                offsets[partition] = offset
            elif not error.retriable():
                raise PlatformError(f"Kafka refuses to have {WINDOWS} read: {error.str()}.")
        if found:
            waits_until = time.monotonic() + 3 * _TIMEOUT_S
        elif time.monotonic() > waits_until:
            raise PlatformError(f"Kafka does not answer when {WINDOWS} is read. Is the broker running?")
    return HotRecords(values, offsets)
