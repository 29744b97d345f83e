"""The consumer of the hot path: up to when it says that everything was read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from confluent_kafka import KafkaError, TopicPartition

from streams import hot_consumer
from streams.hot_consumer import HotConsumer
from wire.hot_topics import WATERMARK

_US = 1_000_000
NOW_S, END = 4000, 20


@dataclass
class Record:
    """As the client gives it; record `n` came to the landing zone in second 100 + n."""

    number: int
    failure: KafkaError | None = None

    def error(self) -> KafkaError | None:
        return self.failure

    def partition(self) -> int:
        return 0

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

    def committed(self, _: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        said = {"replay_from": 5, WATERMARK: 109 * _US}
        return [TopicPartition("telemetry", 0, 10, metadata=json.dumps(said))]

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, END

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.position = places[0].offset
        self.assigned.append(self.position)

    def consume(self, most: int, wait_s: float) -> list[Record]:
        if self.is_slow:
            return []
        found = [Record(number) for number in range(self.position, END)]
        self.position = END
        return [*found, Record(END, KafkaError(KafkaError._PARTITION_EOF))]


def test_what_is_read_again_after_a_restart_was_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catching up reads past what was told; who goes back to there knows of nothing behind it, until it comes."""
    broker = Broker()
    monkeypatch.setattr(hot_consumer, "Consumer", lambda configuration: broker)
    consumer = HotConsumer("broker:9092", "telemetry", "group", lambda: NOW_S * _US, _US)
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
