"""The consumer of the hot path: which records come next, and up to when everything was read.

Belongs here: assignment, where to begin, and the watermark. Only committed records are read. The position, from where
to read again after a restart, and the watermark travel with each commit of offsets. What Kafka has let go of since, or
never had, is said.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from ingestion.kafka_records import place_of
from runtime.errors import PlatformError
from runtime.kafka.clients import client_config
from streams.kafka_places import RESET, TOPIC_ID, KafkaPlaces, is_gone, said_with
from wire.hot_topics import WATERMARK

_TIMEOUT_S = 10.0
_US = 1_000_000
_ASK_S = 0.5
_FIRST_US = 180 * _US


@dataclass(frozen=True)
class Resumption:
    """Where a run begins: what lies from `replay_from` to `told_until` was told, up to the moment `watermark_us`.

    `lost` says what Kafka let go of before it was read, or could be read again.
    """

    told_until: int
    replay_from: int
    watermark_us: int
    lost: str = ""


class HotConsumer:
    """Reads partitions of one topic in order; the broker's clock may be `skew_us` behind `clock_us`, this machine's."""

    def __init__(self, bootstrap: str, topic: str, group: str, clock_us: Callable[[], int], skew_us: int) -> None:
        self._topic, self._group, self._clock_us, self._skew_us = topic, group, clock_us, skew_us
        self._bootstrap, self._topic_id = bootstrap, ""
        self._consumer = Consumer(
            {
                **client_config(bootstrap),
                "group.id": group,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                **RESET,
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        self._places = KafkaPlaces(self._consumer, topic, group, "the hot path")
        self._ends: dict[int, int] = {}
        self._watermarks: dict[int, int] = {}
        self._resumed: dict[int, int] = {}
        self._positions: dict[int, int] = {}
        self._asked_at = 0.0
        self._is_gone = False
        self.read_from: dict[int, int] = {}
        """The offset a partition from which on all was read; what lies before it is left to the lake."""

    def partitions(self) -> list[int]:
        """The partitions of the topic. Raises PlatformError or LandingZoneError."""
        return self._places.partitions_or_error()

    def has_other_partitions(self) -> bool:
        """True when the topic has other partitions than `partitions` said; it is asked now and then only."""
        return self._places.are_others()

    def begin(self, partitions: Sequence[int]) -> dict[int, Resumption]:
        """Assign the partitions. The very first start reads what came in the minutes before, so that open windows are
        whole; what is older is left to the lake. Raises LandingZoneError where a log ends before what was read, or the
        topic is another one of the same name."""
        committed = self._places.committed(partitions)
        self._topic_id = self._places.check_id(self._bootstrap, committed)
        reached = [said_with(each).get(WATERMARK, 0) for each in committed if each.offset >= 0]
        found: dict[int, Resumption] = {}
        for each in committed:
            low, high = self._places.ends_around(each)
            if each.offset >= 0:
                found[each.partition] = self._resumed_at(each, low)
            elif reached:  # it was added since: all that it has is new
                found[each.partition] = Resumption(low, low, min(reached))
                self.read_from[each.partition] = low
            else:
                found[each.partition] = self._first_start(each.partition, high)
        self._resumed = {p: r.watermark_us for p, r in found.items()}
        self.go_to({p: r.replay_from for p, r in found.items()})
        return found

    def _first_start(self, partition: int, high: int) -> Resumption:
        since_us = self._clock_us() - _FIRST_US
        at = TopicPartition(self._topic, partition, since_us // 1000)
        (first,) = self._consumer.offsets_for_times([at], timeout=_TIMEOUT_S)
        begin = first.offset if first.offset >= 0 else high
        self.read_from[partition] = begin
        return Resumption(begin, begin, since_us)

    def _resumed_at(self, committed: TopicPartition, low: int) -> Resumption:
        said, partition, until = said_with(committed), committed.partition, committed.offset
        replay = min(said.get("replay_from", until), until)
        self.read_from[partition] = said.get("read_from", 0)
        if low <= replay:
            return Resumption(until, replay, said.get(WATERMARK, 0))
        self.read_from[partition] = low
        gone_from = until if until < low else replay
        return Resumption(max(low, until), low, said.get(WATERMARK, 0),
                          self._places.said_of_loss(partition, gone_from, low))  # fmt: skip

    def go_to(self, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets, up to which everything was told at `begin`.

        What was read beyond them comes again: a watermark that stayed would call windows final that lack it.
        """
        self._ends.clear()
        self._watermarks = dict(self._resumed)
        self._positions = dict(offsets)
        self._consumer.assign([TopicPartition(self._topic, p, offset) for p, offset in offsets.items()])

    def poll(self, most: int, wait_s: float) -> list[Message]:
        """The next records, few or none. Raises PlatformError when Kafka refuses, or has let go of what comes next: who
        begins anew says what is lost, and from where on all was read."""
        if self._is_gone:
            raise PlatformError(f"it has let go of what comes next in {self._topic}")
        records = []
        for message in self._consumer.consume(most, wait_s):
            error = message.error()
            if error is None:
                partition, offset = place_of(message)
                self._positions[partition] = offset + 1
                received_us = message.timestamp()[1] * 1000
                self._watermarks[partition] = max(self._watermarks[partition], received_us)
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                partition, offset = place_of(message)
                self._ends[partition] = offset
                self._positions[partition] = max(self._positions[partition], offset)
            elif is_gone(error):
                self._is_gone = True  # what was read before it counts
            elif not error.retriable():
                raise PlatformError(f"Kafka refuses to be read: {error.str()}.")
        self._advance_idle()
        return records

    def watermark_us(self) -> int:
        """The moment, by the landing zone's clock, up to which every partition was read."""
        return min(self._watermarks.values())

    def commits(self, replay_from: dict[int, int], watermark_us: int) -> list[TopicPartition]:
        """The offsets to commit, with what a restart needs; `replay_from` lacks partitions of which nothing is kept."""
        return [
            TopicPartition(
                self._topic, p, offset,
                metadata=json.dumps({
                    "replay_from": min(replay_from.get(p, offset), offset), WATERMARK: watermark_us,
                    "read_from": self.read_from.get(p, 0), TOPIC_ID: self._topic_id,
                }),
            )
            for p, offset in self._positions.items()
        ]  # fmt: skip

    def positions(self) -> dict[int, int]:
        """The next offset of each partition."""
        return dict(self._positions)

    def group_metadata(self) -> object:
        """What a transaction needs to commit offsets."""
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        """Let the broker know."""
        self._consumer.close()

    def _advance_idle(self) -> None:
        """A partition whose end the broker confirms was read up to the moment before it was asked."""
        if time.monotonic() - self._asked_at < _ASK_S:
            return
        self._asked_at = time.monotonic()
        if not self._ends:
            return
        # all at once: a question waits until the broker has answered what it was asked before, which is to give records
        asked = [TopicPartition(self._topic, partition, OFFSET_END) for partition in self._ends]
        asked_us = self._clock_us() - self._skew_us
        try:
            found = self._consumer.offsets_for_times(asked, timeout=1.0)
        except KafkaException:
            return  # it does not answer: nothing is known, so no time passes
        for each in found:
            if each.error is None and each.offset == self._ends[each.partition]:
                self._watermarks[each.partition] = max(self._watermarks[each.partition], asked_us)
