"""Spark progress: up to when the hot path on Spark has told everything, for who compares it with gold.

Belongs here: reading that off the query's batches and committing it in Kafka, as the loop commits it. Spark itself goes
on from its checkpoint and does not look there.
"""

import json
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from pyspark.sql.streaming.query import StreamingQuery

from runtime.errors import PlatformError
from runtime.kafka.clients import client_config
from streams.one_partition import SKEW_US
from wire.envelope import TELEMETRY_TOPIC
from wire.hot_topics import GROUP_ON_SPARK, WATERMARK


class SparkProgress:
    """What was committed of a query's progress. Closed by whoever made it."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = Consumer(
            {**client_config(bootstrap), "group.id": GROUP_ON_SPARK, "enable.auto.commit": False, "log_level": 0}
        )
        self._last: tuple[int, int] | None = None

    def commit(self, query: StreamingQuery) -> None:
        """Commit what the batches since the last time have told: what came until the one before was begun. Raises
        PlatformError."""
        progress: Any = query.lastProgress
        if progress is None or (self._last is not None and progress["batchId"] <= self._last[0]):
            return
        before, self._last = self._last, (progress["batchId"], _us(progress["timestamp"]))
        if before is None:
            return
        said = json.dumps({WATERMARK: before[1] - SKEW_US})
        ends = progress["sources"][0]["endOffset"]
        found = (json.loads(ends) if isinstance(ends, str) else ends)[TELEMETRY_TOPIC]
        offsets = [TopicPartition(TELEMETRY_TOPIC, int(p), offset, metadata=said) for p, offset in found.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise PlatformError(f"Kafka does not commit: {error.args[0].str()}") from error

    def close(self) -> None:
        """Let the broker know."""
        self._consumer.close()


def _us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)
