"""Function outputs: messages and dead letters to Kafka, committed with the offsets of what they come from.

Belongs here: the producer of a function, the topics that an app names, and what a dead letter looks like.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from ingestion.landing_topics import ensure_topics
from runtime.errors import LandingZoneError, PlatformError
from runtime.kafka.clients import client_config
from runtime.kafka.record_headers import headers_of
from streams.functions.declared_functions import App, Function
from streams.output_topics import ensure_output_topics
from streams.whole_topics import WholeTopic
from wire.envelope import Message

DEAD_LETTERS = "function-dead-letters"
_MARK = "lakehouse-"
_TIMEOUT_S = 10.0
_COMMIT_S = 30.0


@dataclass(frozen=True)
class DeadLetter:
    """A record that a function was given up for: `app/function`, `topic:partition:offset`, how often it was tried, the
    last error, and when, as seconds since 1970."""

    function: str
    record: str
    attempts: int
    error: str
    given_up_at: float


def ensure_function_topics(bootstrap: str, app: App) -> None:
    """Create the topics that the app names and nobody has made. Raises PlatformError or LandingZoneError."""
    ensure_topics(bootstrap)
    ensure_output_topics(bootstrap)
    names = {DEAD_LETTERS}
    for function in app.functions:
        names |= {*function.outputs.values(), *([function.topic] if function.topic else [])}
        names |= {poison_of(function)} if function.kind == "queueTrigger" else set()
    admin = AdminClient({**client_config(bootstrap), "log_level": 0})
    missing = sorted(names - _topics(admin))
    made = admin.create_topics([NewTopic(n, 1, -1) for n in missing], operation_timeout=_TIMEOUT_S) if missing else {}
    for name, future in made.items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise LandingZoneError(f"Kafka does not make the topic {name}: {error.args[0].str()}.") from error


def _topics(admin: AdminClient) -> set[str]:
    try:
        return set(admin.list_topics(timeout=_TIMEOUT_S).topics)
    except KafkaException as error:
        raise PlatformError(f"Kafka did not answer: {error.args[0]}. Is the broker running?") from error


def poison_of(function: Function) -> str:
    """Where messages of a queue go that a function was given up for, besides the dead letters."""
    return f"{function.topic}-poison"


class FunctionProducer:
    """Writes what a function gave, all of it or nothing. A second host of the same app ends the first one's."""

    def __init__(self, bootstrap: str, app: App, function: Function) -> None:
        self._function, self._app = function, app
        self._options = {
            **client_config(bootstrap),
            "transactional.id": f"lakehouse-functions-{app.name}-{function.name}",
            "linger.ms": 0,
            "log_level": 0,
        }
        self._producer: Producer | None = self._opened()

    def _opened(self) -> Producer:
        producer = Producer(self._options)
        producer.init_transactions(_COMMIT_S)
        return producer

    def messages(self, outputs: Mapping[str, Sequence[bytes]]) -> list[Message]:
        """What a call gave, as messages of the topics that its outputs name."""
        return [Message(self._function.outputs[n], b"", [], body) for n, each in outputs.items() for body in each]

    def commit(self, messages: Sequence[Message], offsets: Sequence[TopicPartition] = (), group: Any = None) -> None:
        """Write in one transaction. Raises KafkaException, after which nothing of it is there, and PlatformError when
        another host has taken over."""
        producer = self._producer or self._opened()
        # what breaks in the middle leaves a producer that is good for nothing
        self._producer = None
        try:
            producer.begin_transaction()
            for message in messages:
                _produce(producer, message)
            if offsets:
                producer.send_offsets_to_transaction(list(offsets), group, _COMMIT_S)
            _end(producer)
        except KafkaException as error:
            if error.args[0].code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED):
                raise PlatformError(f"Another host of the app {self._app.name} has taken over.") from error
            raise
        self._producer = producer


def _end(producer: Producer) -> None:
    while True:
        try:
            producer.commit_transaction(_COMMIT_S)
            return
        except KafkaException as error:
            # it is not known whether the broker has it: asking again gives the same answer
            if not error.args[0].retriable():
                raise


def _produce(producer: Producer, message: Message) -> None:
    while True:
        try:
            producer.produce(message.topic, message.value, message.key or None, headers=list(message.headers))
            return
        except BufferError:
            producer.poll(0.1)


def dead_letter(record: Mapping[str, Any], value: bytes, headers: Sequence[tuple[str, bytes]], said: DeadLetter,
                topic: str = DEAD_LETTERS) -> Message:  # fmt: skip
    """The record as it came, with headers that say what became of it."""
    marks = [(f"{_MARK}{name}", str(each).encode()) for name, each in asdict(said).items()]
    return Message(topic, (record["key"] or "").encode(), [*headers, *marks], value)


def read_dead_letters(bootstrap: str) -> list[tuple[DeadLetter, bytes]]:
    """All dead letters with the values of their records, oldest first."""
    if DEAD_LETTERS not in _topics(AdminClient({**client_config(bootstrap), "log_level": 0})):
        return []
    topic = WholeTopic(bootstrap, DEAD_LETTERS, lambda _: 0)
    try:
        records = topic.to_the_end()
    finally:
        topic.close()
    found = []
    for record in records:
        headers: list[Any] = list(headers_of(record) or [])
        told = {str(name): _text(each) for name, each in headers}
        said = {name: told.get(f"{_MARK}{name}", "") for name in DeadLetter.__dataclass_fields__}
        letter = DeadLetter(said["function"], said["record"], int(said["attempts"]), said["error"],
                            float(said["given_up_at"]))  # fmt: skip
        value = record.value()
        found.append((letter, value.encode() if isinstance(value, str) else value or b""))
    return found


def given_up(app: App, function: Function, record: Mapping[str, Any], attempts: int, error: str) -> DeadLetter:
    """What is said of a record now."""
    place = f"{record['topic']}:{record['partition']}:{record['offset']}"
    return DeadLetter(f"{app.name}/{function.name}", place, attempts, error, round(time.time(), 3))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
