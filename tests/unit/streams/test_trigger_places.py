"""Where functions go on in their topic, and what they say of what Kafka let go of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from runtime.errors import LandingZoneError
from streams.functions import trigger_places
from streams.functions.trigger_places import TriggerPlaces


@dataclass
class Broker:
    """Stands for the client: one partition with the records from `low` to `high`, of which 10 were handled."""

    low: int = 0
    high: int = 20
    partitions: int = 1
    failure: KafkaError | None = None
    is_silent: bool = False
    assigned: dict[int, int] = field(default_factory=dict)

    def list_topics(self, topic: str, timeout: float) -> Any:
        if self.is_silent:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        there = SimpleNamespace(error=self.failure, partitions=dict.fromkeys(range(self.partitions)))
        return SimpleNamespace(topics={topic: there})

    def committed(self, asked: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition("orders", each.partition, -1001 if each.partition else 10) for each in asked]

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        return self.low, self.high

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.assigned = {each.partition: each.offset for each in places}


def places_of(broker: Any) -> TriggerPlaces:
    return TriggerPlaces(broker, "orders", "group")


def test_a_function_goes_on_where_it_was_and_begins_with_all_of_a_new_partition() -> None:
    """What was committed is not read again; of a partition without a commit nothing is left out."""
    broker = Broker(partitions=2)
    assert list(places_of(broker).assign()) == []
    assert broker.assigned == {0: 10, 1: OFFSET_BEGINNING}


def test_what_kafka_let_go_of_is_said_with_its_offsets() -> None:
    """Of the records 10 to 14, which retention has passed, the function says so and goes on with 15."""
    broker = Broker(low=15)
    (said,) = places_of(broker).assign()
    assert "the offsets 10 to 14 of orders, partition 0 (up to 5 records)" in said
    assert broker.assigned == {0: 15}


@pytest.mark.parametrize(("high", "is_right"), [(9, False), (10, True)])
def test_a_topic_that_was_made_anew_is_not_awaited_for_ever(high: int, is_right: bool) -> None:
    """A log that ends before what was handled is another one; one that ends there has nothing new."""
    broker = Broker(high=high)
    if is_right:
        assert list(places_of(broker).assign()) == []
        return
    with pytest.raises(LandingZoneError, match=r"ends at offset 9.*up to 10.*delete the consumer group group"):
        list(places_of(broker).assign())
    assert broker.assigned == {}


def test_a_topic_that_is_not_there_is_asked_for_again() -> None:
    """No partitions are no answer: what begins anew after a failure of Kafka does so here too."""
    with pytest.raises(KafkaException):
        list(places_of(Broker(failure=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))).assign())


def test_added_partitions_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only once there are other partitions is the topic read anew, not while Kafka says nothing."""
    monkeypatch.setattr(trigger_places, "_LOOK_S", 0.0)
    broker = Broker()
    places = places_of(broker)
    list(places.assign())
    assert not places.are_others()
    broker.is_silent, broker.partitions = True, 2
    assert not places.are_others()
    broker.is_silent = False
    assert places.are_others()
