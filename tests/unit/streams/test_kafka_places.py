"""Where readers go on in their topic, and what they say of what Kafka let go of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from runtime.errors import LandingZoneError, PlatformError
from streams import kafka_places, whole_topics
from streams.dispatcher import _Dispatcher
from streams.functions import topic_triggers
from streams.functions.topic_triggers import TopicTrigger
from streams.kafka_places import KafkaPlaces
from streams.whole_topics import WholeTopic


@dataclass
class Broker:
    """Stands for the client: partitions with the records `low` to `high`, of the first of which 10 were handled."""

    low: int = 0
    high: int = 20
    partitions: int = 1
    failure: KafkaError | None = None
    is_silent: bool = False
    has_begun: bool = True
    said: str = ""
    assigned: dict[int, int] = field(default_factory=dict)

    def list_topics(self, topic: str, timeout: float) -> Any:
        if self.is_silent:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        there = SimpleNamespace(error=self.failure, partitions=dict.fromkeys(range(self.partitions)))
        return SimpleNamespace(topics={topic: there})

    def committed(self, asked: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [
            TopicPartition("orders", each.partition, 10, metadata=self.said)
            if self.has_begun and not each.partition
            else TopicPartition("orders", each.partition, -1001)
            for each in asked
        ]

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.assigned = {each.partition: each.offset for each in places}

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        return self.low, self.high


class Losing(Broker):
    """Lets go of what comes before record 15 once 10 and 11 were read."""

    done = 10

    def committed(self, asked: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition("orders", each.partition, self.done) for each in asked]

    def consume(self, most: int, wait_s: float) -> list[Any]:
        found = [record(offset) for offset in ((10, 11) if self.assigned[0] == 10 else (self.assigned[0],))]
        self.low = 15
        return [*found, SimpleNamespace(error=lambda: KafkaError(KafkaError._AUTO_OFFSET_RESET))]

    def commit(self, offsets: Sequence[TopicPartition]) -> None:
        self.done, self.said = offsets[0].offset, offsets[0].metadata or ""

    def consumer_group_metadata(self) -> None:
        """None is needed."""

    def close(self) -> None:
        """Nothing is open."""


def record(offset: int) -> Any:
    said: dict[str, Any] = {"error": None, "topic": "orders", "partition": 0, "offset": offset, "timestamp": (1, 0),
                            "key": None, "headers": [], "value": b"{}"}  # fmt: skip
    return SimpleNamespace(**{name: lambda each=each: each for name, each in said.items()})


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """The id that Kafka gives the topic."""
    now: dict[str, str | None] = {"id": "first"}
    monkeypatch.setattr(kafka_places, "topic_id", lambda *_: now["id"])
    return now


def places_of(broker: Any) -> KafkaPlaces:
    return KafkaPlaces(broker, "orders", "group", "the function")


def next_of(broker: Any, *, is_from_now: bool = False) -> tuple[dict[int, int], list[str]]:
    places, losses = places_of(broker).next("broker:9092", is_from_now=is_from_now)
    return {each.partition: each.offset for each in places}, losses


@pytest.mark.parametrize(("has_begun", "is_from_now", "places"), [
    (True, False, {0: 10, 1: 3}), (True, True, {0: 10, 1: 3}),
    (False, False, {0: 3, 1: 3}), (False, True, {0: 20, 1: 20}),
])  # fmt: skip
def test_a_reader_goes_on_where_it_was_and_begins_with_all_of_a_new_partition(
    has_begun: bool, is_from_now: bool, places: dict[int, int]
) -> None:
    """What was committed is not read again; of a partition that was added nothing is left out, also by who began with
    what came from then on."""
    assert next_of(Broker(low=3, partitions=2, has_begun=has_begun), is_from_now=is_from_now) == (places, [])


def test_what_kafka_let_go_of_is_said_with_its_offsets() -> None:
    """Of the records 10 to 14, which retention has passed, the function says so and goes on with 15."""
    places, (said,) = next_of(Broker(low=15))
    assert "the offsets 10 to 14 of orders, partition 0 (up to 5 records)" in said
    assert places == {0: 15}


@pytest.mark.parametrize(("high", "is_right"), [(9, False), (10, True)])
def test_a_topic_that_was_made_anew_is_not_awaited_for_ever(high: int, is_right: bool) -> None:
    """A log that ends before what was handled is another one; one that ends there has nothing new."""
    broker = Broker(high=high)
    if is_right:
        assert next_of(broker) == ({0: 10}, [])
        return
    with pytest.raises(LandingZoneError, match=r"ends at offset 9.*up to 10.*delete the consumer group group"):
        next_of(broker)


@pytest.mark.parametrize(("before", "of_now", "kept"), [
    ("first", "second", None), ("first", "first", "first"), (None, "second", "second"), ("first", None, "first"),
    (None, None, ""),
])  # fmt: skip
def test_a_topic_of_the_same_name_is_another_one(
    before: str | None, of_now: str | None, kept: str | None, now: dict[str, str | None]
) -> None:
    """It has more records than were handled of the one before, so that only its id tells. The id is committed with
    each offset; where Kafka says none, or an earlier release kept none, nothing is refused."""
    now["id"] = of_now
    places = places_of(Broker(said=json.dumps({"topic_id": before}) if before else ""))
    if kept is None:
        with pytest.raises(LandingZoneError, match=r"created anew.* is second, and was first.* group group"):
            places.next("broker:9092")
        return
    places.next("broker:9092")
    (commit,) = places.commits({3: 7})
    assert (commit.partition, commit.offset, json.loads(commit.metadata or "")) == (3, 7, {"topic_id": kept})


def test_a_broker_that_does_not_say_the_id_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when it does not say the partitions: who reads begins anew."""

    def refuse(*_: str) -> None:
        raise PlatformError("no answer") from KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr(kafka_places, "topic_id", refuse)
    with pytest.raises(KafkaException):
        places_of(Broker()).next("broker:9092")


def test_a_topic_that_is_not_there_is_asked_for_again() -> None:
    """No partitions are no answer: what begins anew after a failure of Kafka does so here too."""
    with pytest.raises(KafkaException):
        next_of(Broker(failure=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))


def test_added_partitions_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only once there are other partitions is the topic read anew, not while Kafka says nothing."""
    monkeypatch.setattr(kafka_places, "_LOOK_S", 0.0)
    broker = Broker()
    places = places_of(broker)
    places.partitions()
    assert not places.are_others()
    broker.is_silent, broker.partitions = True, 2
    assert not places.are_others()
    broker.is_silent = False
    assert places.are_others()


def test_added_partitions_of_a_topic_that_is_followed_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who follows a whole topic, as the hot path the registry's events, is told to begin anew."""
    monkeypatch.setattr(kafka_places, "_LOOK_S", 0.0)
    broker = Broker()
    monkeypatch.setattr(whole_topics, "Consumer", lambda configuration: broker)
    topic = WholeTopic("broker:9092", "lifecycle", lambda partition: 7)
    assert broker.assigned == {0: 7}
    assert not topic.has_other_partitions()
    broker.partitions = 2
    assert topic.has_other_partitions()


def test_a_function_says_what_kafka_lets_go_of_while_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records 10 and 11 came before retention passed the function; it is called for both, says that 12 to 14 are lost,
    and goes on with 15."""
    broker, stop, said, called = Losing(low=0), Event(), list[str](), list[int]()
    producer = SimpleNamespace(messages=lambda outputs: [], commit=lambda _, offsets, __: broker.commit(offsets))
    monkeypatch.setattr(topic_triggers, "Consumer", lambda configuration: broker)
    monkeypatch.setattr(topic_triggers, "FunctionProducer", lambda *_: producer)

    def handle(records: Sequence[Mapping[str, Any]], stop: Event) -> tuple[dict[str, Any], int, str]:
        called.extend(record["offset"] for record in records)
        if called[-1] == 15:
            stop.set()
        return {}, 1, ""

    function: Any = SimpleNamespace(name="pick", topic="orders", trigger={}, kind="kafkaTrigger")
    app: Any = SimpleNamespace(name="app")
    trigger = TopicTrigger("broker:9092", app, function, SimpleNamespace(), said.append)  # type: ignore[arg-type]
    monkeypatch.setattr(trigger, "handle", handle)
    trigger.run(stop)
    assert called == [10, 11, 15]
    assert broker.done == 16
    assert json.loads(broker.said) == {"topic_id": "first"}
    (lost,) = (each for each in said if "Lost" in each)
    assert "the offsets 12 to 14 of orders, partition 0 (up to 3 records)" in lost


def test_actions_keep_the_topics_id_with_each_offset() -> None:
    """Where they begin, and behind the alerts that they have read."""
    committed = list[tuple[int, str | None]]()
    dispatcher: Any = object.__new__(_Dispatcher)
    dispatcher._bootstrap, dispatcher._entries = "broker:9092", {}
    dispatcher._alerts = Broker()
    dispatcher._places = places_of(dispatcher._alerts)
    dispatcher._commit = lambda _, places: committed.extend((each.offset, each.metadata) for each in places)
    dispatcher.begin(print, is_first=True)
    dispatcher._take_alerts([record(10), record(11)])
    assert committed == [(10, '{"topic_id": "first"}'), (12, '{"topic_id": "first"}')]
