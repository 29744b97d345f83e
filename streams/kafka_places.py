"""Kafka places: where a reader goes on in each partition of its topic, and what Kafka let go of before it came.

Belongs here: what is asked of Kafka before records are read and beside it, and what is said of a loss. Reading belongs
elsewhere.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ingestion.landing_topics import topic_id
from runtime.errors import LandingZoneError, PlatformError

_TIMEOUT_S = 10.0
_LOOK_S = 5.0

TOPIC_ID = "topic_id"
"""In what is committed with an offset: the id of the topic that was read."""

RESET = {"auto.offset.reset": "error"}
"""Of a consumer that begins where it says: when Kafka lets go of what it would read next, `is_gone` says so, and it
begins anew, by which the loss is said. Any other policy passes over it without a word."""


def is_gone(error: KafkaError) -> bool:
    """True when Kafka has not got what a consumer with `RESET` would read next."""
    return error.code() == KafkaError._AUTO_OFFSET_RESET


def said_with(committed: TopicPartition) -> dict[str, Any]:
    """What a commit says beside its offset."""
    said: dict[str, Any] = json.loads(committed.metadata or "{}")
    return said


class KafkaPlaces:
    """The partitions of a topic as the consumer of a group finds them; `who` reads, as messages call it."""

    def __init__(self, consumer: Consumer, topic: str, group: str, who: str) -> None:
        self._consumer, self._topic, self._group, self._who = consumer, topic, group, who
        self._known: set[int] = set()
        self._topic_id = ""
        self._looked_at = time.monotonic()

    def partitions(self) -> list[int]:
        """The partitions of the topic. Raises KafkaException, also where the topic is not there now."""
        metadata = self._consumer.list_topics(self._topic, timeout=_TIMEOUT_S).topics[self._topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        self._known, self._looked_at = set(metadata.partitions), time.monotonic()
        return sorted(self._known)

    def partitions_or_error(self) -> list[int]:
        """As `partitions`, for who does not begin anew by itself. Raises PlatformError or LandingZoneError."""
        try:
            return self.partitions()
        except KafkaException as error:
            if error.args[0].code() > 0:  # the broker's word; what is below is the client's
                raise LandingZoneError(f"Kafka has no topic {self._topic}: {error.args[0]}.") from error
            raise PlatformError(f"Kafka did not answer: {error.args[0]}. Is the broker running?") from error

    def are_others(self) -> bool:
        """True when the topic has other partitions than `partitions` said; it is asked now and then only."""
        if time.monotonic() - self._looked_at < _LOOK_S:
            return False
        self._looked_at = time.monotonic()
        try:
            found = self._consumer.list_topics(self._topic, timeout=1.0).topics[self._topic]
        except KafkaException:
            return False  # it does not answer: nothing is known
        return found.error is None and set(found.partitions) != self._known

    def committed(self, partitions: Sequence[int]) -> list[TopicPartition]:
        """What the group has committed; a negative offset where it has not."""
        asked = [TopicPartition(self._topic, partition) for partition in partitions]
        return self._consumer.committed(asked, timeout=_TIMEOUT_S)

    def ends(self, partition: int) -> tuple[int, int]:
        """The offsets of the oldest record, and behind the newest one."""
        return self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=_TIMEOUT_S)

    def ends_around(self, committed: TopicPartition) -> tuple[int, int]:
        """As `ends`. Raises LandingZoneError where the partition ends before what was committed."""
        low, high = self.ends(committed.partition)
        if committed.offset > high:
            raise LandingZoneError(
                f"Kafka topic {self._topic}, partition {committed.partition}, ends at offset {high}, but {self._who} "
                f"had read it up to {committed.offset}: it was created anew, or its broker has lost records. Point the "
                f"lakehouse at the broker that it began with; to begin anew, end {self._who} and delete the consumer "
                f"group {self._group}."
            )
        return low, high

    def check_id(self, bootstrap: str, committed: Sequence[TopicPartition]) -> str:
        """The id of the topic (`landing_topics.topic_id`), which is to be committed with each offset; the last that is
        known where Kafka says none. Raises LandingZoneError when it was another one that was read: also a topic that
        was made anew grows past what was read of the one before. Raises KafkaException."""
        kept = {said_with(each).get(TOPIC_ID, "") for each in committed} - {""}
        try:
            now = topic_id(bootstrap, self._topic) or next(iter(kept), "")
        except PlatformError as error:
            # who asks goes on when the broker answers again
            raise error.__cause__ or error from error
        for before in kept - {now}:
            raise LandingZoneError(
                f"Kafka topic {self._topic} was created anew since {self._who} read it: its id is {now}, and was "
                f"{before}. Point the lakehouse at the broker that it began with; to begin anew, end {self._who} and "
                f"delete the consumer group {self._group}."
            )
        self._topic_id = now
        return now

    def commits(self, ends: Mapping[int, int]) -> list[TopicPartition]:
        """What is to be committed when everything before these offsets was handled."""
        said = json.dumps({TOPIC_ID: self._topic_id})
        return [TopicPartition(self._topic, partition, end, metadata=said) for partition, end in ends.items()]

    def next(self, bootstrap: str, *, is_from_now: bool = False) -> tuple[list[TopicPartition], list[str]]:
        """Where to read on, and sentences about what is lost: behind what the group has committed, and from the start
        of a partition of which it has nothing; `is_from_now` means from its end while the group has nothing at all.
        Raises as `partitions`, `check_id` and `ends_around`."""
        committed = self.committed(self.partitions())
        self.check_id(bootstrap, committed)
        is_from_now = is_from_now and all(each.offset < 0 for each in committed)
        places, losses = [], []
        for each in committed:
            low, high = self.ends_around(each)
            if 0 <= each.offset < low:
                losses.append(self.said_of_loss(each.partition, each.offset, low))
            places.append(TopicPartition(self._topic, each.partition, high if is_from_now else max(low, each.offset)))
        return places, losses

    def said_of_loss(self, partition: int, start: int, end: int) -> str:
        """A sentence about the offsets from `start` to before `end`."""
        return (
            f"Lost: the offsets {start} to {end - 1} of {self._topic}, partition {partition} (up to {end - start} "
            f"records) were gone from Kafka before {self._who} came to them, or came back to them. It goes on without "
            "them."
        )
