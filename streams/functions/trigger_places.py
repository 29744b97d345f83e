"""Trigger places: where a function goes on in each partition of its topic, and what Kafka let go of before it came.

Belongs here: what is asked of Kafka before records are read, and whether there are other partitions since. Reading and
calling belong in `topic_triggers`.
"""

import time
from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from runtime.errors import LandingZoneError

_TIMEOUT_S = 10.0
_LOOK_S = 5.0


class TriggerPlaces:
    """The partitions of a topic as the consumer of a group finds them."""

    def __init__(self, consumer: Consumer, topic: str, group: str) -> None:
        self._consumer, self._topic, self._group = consumer, topic, group
        self._known: set[int] = set()
        self._looked_at = 0.0

    def assign(self) -> Iterator[str]:
        """Have the consumer read on where the group has committed, and from the beginning where it has not; says what
        is lost. Raises LandingZoneError where a partition ends before what was committed, and KafkaException, also
        where the topic is not there now."""
        metadata = self._consumer.list_topics(self._topic, timeout=_TIMEOUT_S).topics[self._topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        self._known, self._looked_at = set(metadata.partitions), time.monotonic()
        asked = [TopicPartition(self._topic, p) for p in sorted(self._known)]
        places = []
        for each in self._consumer.committed(asked, timeout=_TIMEOUT_S):
            begin = each.offset if each.offset >= 0 else OFFSET_BEGINNING
            if each.offset >= 0:
                low, high = self._consumer.get_watermark_offsets(each, timeout=_TIMEOUT_S)
                if each.offset > high:
                    raise self._made_anew(each, high)
                if each.offset < low:
                    begin = low
                    yield _said_of_loss(each, low)
            places.append(TopicPartition(self._topic, each.partition, begin))
        self._consumer.assign(places)

    def are_others(self) -> bool:
        """True when the topic has other partitions than were assigned; it is asked now and then only."""
        if time.monotonic() - self._looked_at < _LOOK_S:
            return False
        self._looked_at = time.monotonic()
        try:
            found = self._consumer.list_topics(self._topic, timeout=1.0).topics[self._topic]
        except KafkaException:
            return False  # it does not answer: nothing is known
        return found.error is None and set(found.partitions) != self._known

    def _made_anew(self, committed: TopicPartition, high: int) -> LandingZoneError:
        return LandingZoneError(
            f"Kafka topic {self._topic}, partition {committed.partition}, ends at offset {high}, but the function has "
            f"read it up to {committed.offset}: it was created anew, or its broker has lost records. To begin anew "
            f"with what is there, end the functions and delete the consumer group {self._group}."
        )


def _said_of_loss(committed: TopicPartition, low: int) -> str:
    return (
        f"Lost: the offsets {committed.offset} to {low - 1} of {committed.topic}, partition {committed.partition} (up "
        f"to {low - committed.offset} records) were gone from Kafka before the function was called for them. It goes "
        "on without them."
    )
