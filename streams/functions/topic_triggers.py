"""Topic triggers: records of a topic to calls of a function, in order, each until it is done or given up.

Belongs here: reading, retries in their place, dead letters, and committing. Event hubs, Kafka topics and queues are all
topics of the lakehouse's Kafka.

A record's offset is committed after its call ended well or was given up, with what the call gave in the same
transaction. So a host that is killed calls again what it had not committed, and of the two calls one has outputs.
"""

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage

from ingestion.kafka_records import place_of
from runtime.errors import PlatformError
from runtime.kafka.clients import client_config
from runtime.kafka.record_headers import headers_of
from streams.functions.declared_functions import App, Function
from streams.functions.function_calls import Call, CallError, FunctionProcess
from streams.functions.function_outputs import FunctionProducer, dead_letter, given_up, poison_of
from streams.kafka_places import RESET, KafkaPlaces, is_gone
from wire.envelope import Message

Tell = Callable[[str], None]
_WAIT_S = 0.2
_MOST = 100
_COMMIT_EVERY_S = 0.2
_LONGEST_CALL_MS = 24 * 3600 * 1000


class TopicTrigger:
    """Calls one function for the records of its topic, one by one or in batches as it declares."""

    def __init__(self, bootstrap: str, app: App, function: Function, process: FunctionProcess, tell: Tell) -> None:
        self._bootstrap, self._app, self._function = bootstrap, app, function
        self._process, self.tell = process, tell
        self._is_many = function.trigger.get("cardinality") == "MANY"

    def run(self, stop: Event) -> None:
        """Until `stop`; what Kafka breaks off is begun anew from the last commit.

        Raises PlatformError when another host of the app has taken over, and LandingZoneError where the topic is
        another one than was read before.
        """
        while not stop.is_set():
            try:
                _Session(self._bootstrap, self._app, self._function, self).go_on(stop)
            except KafkaException as error:
                self.tell(f"{self._function.name}: Kafka broke off: {error}. Going on from the last commit.")
                stop.wait(1.0)

    def handle(self, records: Sequence[Mapping[str, Any]], stop: Event) -> tuple[dict[str, Any], int, str] | None:
        """Call until it is done: the outputs, attempts, and why it was given up, empty otherwise. None when `stop`
        came first."""
        retries = self._function.retries
        most = 2**31 if retries.count is None else retries.count + 1
        attempt = 1
        while True:
            try:
                return dict(self._process.call(Call(list(records), attempt, most)).outputs), attempt, ""
            except CallError as error:
                if stop.is_set():
                    return None
                delay_s = retries.delay_after(attempt)
                then = "it is given up" if delay_s is None else f"again in {delay_s:g} s"
                self.tell(f"{self._function.name}: attempt {attempt} failed, {then}: {error}")
                if delay_s is None:
                    return {}, attempt, str(error)
                if stop.wait(delay_s):
                    return None
                attempt += 1

    def batches(self, messages: Sequence[KafkaMessage]) -> list[list[KafkaMessage]]:
        """The records of one call each."""
        if self._is_many:
            return [list(messages)] if messages else []
        return [[message] for message in messages]


class _Session:
    """From one start to the next."""

    def __init__(self, bootstrap: str, app: App, function: Function, trigger: TopicTrigger) -> None:
        self._app, self._function, self._trigger, self._bootstrap = app, function, trigger, bootstrap
        named = str(function.trigger.get("consumerGroup") or "$Default")
        group = f"lakehouse-functions-{app.name}-{function.name}-{named}"
        # before offsets are read: it ends what another host had open
        self._producer = FunctionProducer(bootstrap, app, function)
        self._consumer = Consumer(
            {
                **client_config(bootstrap),
                "group.id": group,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                **RESET,
                "max.poll.interval.ms": _LONGEST_CALL_MS,
                "log_level": 0,
            }
        )
        self._places = KafkaPlaces(self._consumer, function.topic or "", group, f"the function {function.name}")

    def go_on(self, stop: Event) -> None:
        """Batch after batch until `stop`, or until the topic has other partitions: these are read from the start."""
        try:
            places, losses = self._places.next(self._bootstrap)
            for lost in losses:
                self._trigger.tell(f"{self._function.name}: {lost}")
            self._consumer.assign(places)
            self._trigger.tell(f"{self._function.name}: reads {self._function.topic}")
            while not (stop.is_set() or self._places.are_others()):
                self._take(self._consumer.consume(_MOST, _WAIT_S), stop)
        finally:
            self._consumer.close()

    def _take(self, found: Sequence[KafkaMessage], stop: Event) -> None:
        messages = []
        gone: KafkaError | None = None
        for message in found:
            error = message.error()
            if error is None:
                messages.append(message)
            elif is_gone(error):
                gone = error
            elif error.code() != KafkaError._PARTITION_EOF and not error.retriable():
                raise PlatformError(f"Kafka refuses to have {self._function.topic} read: {error.str()}.")
        pending: list[Message] = []
        ends: dict[int, int] = {}
        since = time.monotonic()
        for batch in self._trigger.batches(messages):
            records = [_record(message) for message in batch]
            handled = self._trigger.handle(records, stop)
            if handled is None:
                break
            outputs, attempts, error_text = handled
            pending += self._producer.messages(outputs)
            if error_text:
                pending += self._dead_letters(batch, records, attempts, error_text)
            ends |= {p: offset + 1 for p, offset in map(place_of, batch)}
            if time.monotonic() - since > _COMMIT_EVERY_S or stop.is_set():
                self._commit(pending, ends)
                pending, ends, since = [], {}, time.monotonic()
            if stop.is_set():
                break
        self._commit(pending, ends)
        if gone is not None:
            raise KafkaException(gone)  # who begins anew says what is lost

    def _commit(self, messages: Sequence[Message], ends: Mapping[int, int]) -> None:
        if ends:
            self._producer.commit(messages, self._places.commits(ends), self._consumer.consumer_group_metadata())

    def _dead_letters(self, batch: Sequence[KafkaMessage], records: Sequence[Mapping[str, Any]], attempts: int,
                      error: str) -> list[Message]:  # fmt: skip
        found = []
        for message, record in zip(batch, records, strict=True):
            said = given_up(self._app, self._function, record, attempts, error)
            headers = [(name, base64.b64decode(value)) for name, value in record["headers"]]
            value = _bytes(message.value())
            found.append(dead_letter(record, value, headers, said))
            if self._function.kind == "queueTrigger":
                found.append(dead_letter(record, value, headers, said, poison_of(self._function)))
        return found


def _record(message: KafkaMessage) -> dict[str, Any]:
    """A record as the function's process gets it."""
    key = message.key()
    partition, offset = place_of(message)
    headers: list[Any] = list(headers_of(message) or [])
    return {
        "topic": message.topic(),
        "partition": partition,
        "offset": offset,
        "timestamp_ms": message.timestamp()[1],
        "key": None if key is None else _bytes(key).decode("utf-8", "replace"),
        "headers": [(name, base64.b64encode(_bytes(value)).decode()) for name, value in headers],
        "value": base64.b64encode(_bytes(message.value())).decode(),
    }


def _bytes(value: bytes | str | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
