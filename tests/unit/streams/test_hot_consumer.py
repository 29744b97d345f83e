"""The consumer of the hot path: up to when it says that all was read, and what it says of what it cannot read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_END, KafkaError, TopicPartition

from runtime.errors import LandingZoneError, PlatformError
from streams import hot_consumer, kafka_places
from streams.hot_consumer import HotConsumer, Resumption
from wire.hot_topics import WATERMARK

_US = 1_000_000
NOW_S, END = 4000, 20


@dataclass
class Record:
    """As the client gives it; record `n` came to the landing zone in second 100 + n."""

    number: int
    failure: KafkaError | None = None
    of: int = 0

    def error(self) -> KafkaError | None:
        return self.failure

    def partition(self) -> int:
        return self.of

    def offset(self) -> int:
        return self.number

    def timestamp(self) -> tuple[int, int]:
        return 1, (100 + self.number) * 1000


@dataclass
class Broker:
    """Stands for the client: twenty records, of which the first ten were told, and a restart that reads from 5 on."""

    position: int = 0
    is_slow: bool = False
    assigned: list[int] = field(default_factory=list)
    committed_id: str = "first"
    asked: list[list[int]] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    low: int = 0
    high: int = END
    partitions: int = 1
    last: int = KafkaError._PARTITION_EOF

    def list_topics(self, topic: str, timeout: float) -> Any:
        there = SimpleNamespace(error=None, partitions=dict.fromkeys(range(self.partitions)))
        return SimpleNamespace(topics={topic: there})

    def committed(self, asked: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        said = {"replay_from": 5, WATERMARK: 109 * _US, "topic_id": self.committed_id}
        added = [TopicPartition("telemetry", each.partition, -1001) for each in asked[1:]]
        return [TopicPartition("telemetry", 0, 10, metadata=json.dumps(said)), *added]

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        return self.low, self.high

    def offsets_for_times(self, asked: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        self.asked.append([each.partition for each in asked])
        assert all(each.offset == OFFSET_END for each in asked)
        return [TopicPartition("telemetry", each.partition, self.ends.get(each.partition, END)) for each in asked]

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.position = places[0].offset
        self.assigned.append(self.position)

    def consume(self, most: int, wait_s: float) -> list[Record]:
        if self.is_slow:
            return []
        found = [Record(number) for number in range(self.position, END)]
        self.position = END
        return [*found, *(Record(END, KafkaError(self.last), each) for each in range(self.partitions))]


def reader_of(broker: Broker, monkeypatch: pytest.MonkeyPatch, topic_id: str = "first") -> HotConsumer:
    monkeypatch.setattr(kafka_places, "topic_id", lambda *_: topic_id)
    monkeypatch.setattr(hot_consumer, "Consumer", lambda configuration: broker)
    return HotConsumer("broker:9092", "telemetry", "group", lambda: NOW_S * _US, _US)


def test_what_is_read_again_after_a_restart_was_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catching up reads past what was told; who goes back to there knows of nothing behind it, until it comes."""
    broker = Broker()
    consumer = reader_of(broker, monkeypatch)
    (resumed,) = consumer.begin([0]).values()
    assert (resumed.replay_from, resumed.told_until) == (5, 10)
    consumer.poll(100, 1.0)
    assert consumer.positions() == {0: END}
    assert consumer.watermark_us() > 119 * _US

    consumer.go_to({0: resumed.told_until})
    assert broker.assigned == [5, 10]
    broker.is_slow = True
    assert consumer.poll(100, 0.25) == []
    assert consumer.watermark_us() == 109 * _US

    broker.is_slow = False
    assert len(consumer.poll(100, 0.25)) == 10
    assert consumer.watermark_us() >= 119 * _US


def test_the_ends_of_all_partitions_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question waits until the broker is done with the one before, so eight would hold up a batch for half a
    second; time passes when none has more than was read."""
    broker = Broker(partitions=8)
    consumer = reader_of(broker, monkeypatch)
    consumer.begin(range(8))
    consumer.poll(100, 1.0)
    assert broker.asked == [list(range(8))]
    assert consumer.watermark_us() == (NOW_S - 1) * _US


def test_no_time_passes_in_a_partition_that_has_more_than_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three partitions one has a record that has not come yet: all wait for it."""
    broker = Broker(partitions=3, ends={1: END + 1})
    consumer = reader_of(broker, monkeypatch)
    consumer.begin(range(3))
    consumer.poll(100, 1.0)
    assert consumer.watermark_us() == 109 * _US


@pytest.mark.parametrize(("low", "resumed", "read_from"), [
    (5, Resumption(10, 5, 109 * _US), 0),
    (8, Resumption(10, 8, 109 * _US, "5 to 7"), 8),
    (10, Resumption(10, 10, 109 * _US, "5 to 9"), 10),
    (15, Resumption(15, 15, 109 * _US, "10 to 14"), 15),
])  # fmt: skip
def test_what_kafka_let_go_of_is_said(
    low: int, resumed: Resumption, read_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten records that were read, five of them to be read again, and more: it goes on from what is there, and says
    which are gone and from where on all was read."""
    consumer = reader_of(Broker(low=low), monkeypatch)
    (found,) = consumer.begin([0]).values()
    assert replace(found, lost="") == replace(resumed, lost="")
    assert resumed.lost in found.lost
    assert bool(resumed.lost) == bool(found.lost)
    assert consumer.positions() == {0: resumed.replay_from}
    assert consumer.read_from == {0: read_from}


def test_a_log_that_ends_before_what_was_read_is_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that was created anew would never come to the offset that was committed."""
    with pytest.raises(LandingZoneError, match=r"partition 0, ends at offset 3, but .* up to 10.* group group"):
        reader_of(Broker(high=3), monkeypatch).begin([0])


@pytest.mark.parametrize(("before", "now", "is_other"), [
    ("first", "second", True), ("first", "first", False), ("", "second", False), ("first", "", False),
    ("", "", False),
])  # fmt: skip
def test_a_topic_that_was_made_anew_and_has_grown_is_noticed(
    before: str, now: str, is_other: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has more records than were read of the one before, so that only its id tells; where Kafka says none, or an
    earlier release kept none, nothing is refused. The last that is known is kept with each commit."""
    consumer = reader_of(Broker(committed_id=before), monkeypatch, now)
    if is_other:
        with pytest.raises(LandingZoneError, match=r"created anew.* is second, and was first.* group group"):
            consumer.begin([0])
        return
    consumer.begin([0])
    (commit,) = consumer.commits({}, 0)
    assert json.loads(commit.metadata or "")["topic_id"] == (now or before)


def test_a_partition_that_was_added_is_noticed_and_read_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for now and then; what was read until then holds for the new one too."""
    broker = Broker(low=2)
    consumer = reader_of(broker, monkeypatch)
    assert consumer.partitions() == [0]
    monkeypatch.setattr(kafka_places, "_LOOK_S", 0.0)
    assert not consumer.has_other_partitions()
    broker.partitions = 2
    assert consumer.has_other_partitions()
    assert consumer.partitions() == [0, 1]
    assert consumer.begin([0, 1])[1] == Resumption(2, 2, 109 * _US)
    assert not consumer.has_other_partitions()


def test_what_kafka_lets_go_of_meanwhile_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before the gap is given, and no time passes behind it; then a new beginning is asked for, which
    says what is lost."""
    broker = Broker(last=KafkaError._AUTO_OFFSET_RESET)
    consumer = reader_of(broker, monkeypatch)
    consumer.begin([0])
    assert [record.offset() for record in consumer.poll(100, 1.0)] == list(range(5, END))
    assert consumer.watermark_us() == (100 + END - 1) * _US
    with pytest.raises(PlatformError, match="let go of what comes next in telemetry"):
        consumer.poll(100, 1.0)
