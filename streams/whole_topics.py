"""Whole topics: small topics that are read from their start and then followed.

Belongs here: reading until the end, and what came since. What the records mean belongs elsewhere.
"""

import json
import time
from collections.abc import Callable, Collection
from threading import Event

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from runtime.errors import PlatformError
from runtime.kafka.clients import client_config
from streams.kafka_places import KafkaPlaces
from streams.output_topics import STATE
from transforms.alert_rules import AlarmState

_TIMEOUT_S = 10.0
_GROUP = "lakehouse-streams-whole"
_MOST = 10_000
# the client waits so long also when all has come: a start reads four topics one after the other
_WAIT_S = 0.05


class WholeTopic:
    """A topic from `first_offset(partition)` on; committed records only."""

    def __init__(self, bootstrap: str, topic: str, first_offset: Callable[[int], int]) -> None:
        self._topic = topic
        self._consumer = Consumer(
            {
                **client_config(bootstrap),
                "group.id": _GROUP,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                # so long the broker keeps to itself that there is no more
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        self._places = KafkaPlaces(self._consumer, topic, _GROUP, "the hot path")
        partitions = self._places.partitions_or_error()
        self._open: set[int | None] = set(partitions)
        self._consumer.assign([TopicPartition(topic, p, first_offset(p)) for p in partitions])

    def to_the_end(self, stop: Event | None = None) -> list[Message]:
        """Everything that is there, or what came until `stop`. Raises PlatformError when the broker falls silent."""
        records: list[Message] = []
        waits_until = time.monotonic() + 3 * _TIMEOUT_S
        while self._open and not (stop is not None and stop.is_set()):
            found = self._taken(_WAIT_S)
            records += found
            if found:
                waits_until = time.monotonic() + 3 * _TIMEOUT_S
            if time.monotonic() > waits_until:
                raise PlatformError(f"Kafka does not answer when {self._topic} is read. Is the broker running?")
        return records

    def new(self, wait_s: float = 0.0) -> list[Message]:
        """What has come since; when there is nothing, it waits so long for the first record."""
        return self._taken(wait_s)

    def has_other_partitions(self) -> bool:
        """True when partitions were added: who follows the topic is to begin anew. It is asked now and then only."""
        return self._places.are_others()

    def close(self) -> None:
        """Let the broker know."""
        self._consumer.close()

    def _taken(self, wait_s: float) -> list[Message]:
        records = []
        for message in self._consumer.consume(_MOST, wait_s):
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._open.discard(message.partition())
            elif not error.retriable():
                raise PlatformError(f"Kafka refuses to have {self._topic} read: {error.str()}.")
        return records


def read_values(bootstrap: str, topic: str, stop: Event) -> list[bytes | str | None]:
    """The values of all committed records of a topic, in order, or of those until `stop`; None for what was deleted."""
    return [record.value() for record in _all_of(bootstrap, topic, stop)]


def read_states(bootstrap: str, partitions: Collection[int], stop: Event) -> dict[str, AlarmState]:
    """The states of rules that were kept, by their keys, of groups that were last seen in one of the partitions."""
    records = _all_of(bootstrap, STATE, stop)
    found = {message.key(): message.value() for message in records}
    states = {key.decode(): AlarmState(**json.loads(value)) for key, value in found.items() if key and value}
    return {key: state for key, state in states.items() if state.partition in partitions}


def _all_of(bootstrap: str, name: str, stop: Event) -> list[Message]:
    topic = WholeTopic(bootstrap, name, lambda _: 0)
    try:
        return topic.to_the_end(stop)
    finally:
        topic.close()
