"""The producer: messages to a Kafka broker, every one acknowledged or accounted for.

Belongs here: the Kafka client, its settings and its errors. What is sent, and when, is decided by the caller.
"""

from collections.abc import Callable, Iterable
from threading import Event
from types import MethodType

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from runtime.errors import PlatformError
from runtime.kafka.clients import client_config
from runtime.wording import counted
from wire.envelope import Message, Reading, wires

_CONNECT_TIMEOUT_S = 10.0
_DELIVERY_TIMEOUT_MS = 60_000
_QUEUE_MESSAGES = 100_000


class MessageProducer:
    """Sends messages, of which `count` were sent; what was not acknowledged is known by its number."""

    def __init__(self, bootstrap: str) -> None:
        """Raises PlatformError when no broker answers at `bootstrap` within 10 s."""
        self._bootstrap = bootstrap
        self.count = 0
        self._failed: dict[int, str] = {}
        self._producer = Producer(
            {
                **client_config(bootstrap),
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 20,
                "queue.buffering.max.messages": _QUEUE_MESSAGES,
                "message.max.bytes": 4_000_000,
                "message.timeout.ms": _DELIVERY_TIMEOUT_MS,
                # as Java's producers choose a partition, so that a device stays on one whatever sends for it
                "partitioner": "murmur2_random",
                # a report costs as much as a message: only of those that failed
                "delivery.report.only.error": True,
                # librdkafka writes each refused connection to stderr unless told not to
                "log_level": 0,
            }
        )
        try:
            # after one answer the broker may not have given this producer its id yet, for which the first messages
            # then wait half a second: one start in seven; after two, none of a hundred
            for _ in range(2):
                self._producer.list_topics(timeout=_CONNECT_TIMEOUT_S)
        except KafkaException as error:
            raise PlatformError(
                f"Kafka does not answer at {bootstrap}: check that it runs and that LAKEHOUSE_KAFKA_BOOTSTRAP is right."
            ) from error

    def send(self, message: Message) -> None:
        """Queue a message; the n-th has the number n, from 0. Waits while the queue is full.

        Raises PlatformError when the broker takes nothing any more.
        """
        self.send_all((message,))

    def send_all(self, messages: Iterable[Message | Reading], stop: Event | None = None) -> None:
        """Queue messages as `send` does; no more of them when `stop` is set while the queue is full."""
        produce: Callable[..., None] = self._producer.produce
        report = self._report
        for topic, key, headers, value in wires(messages):
            while True:
                # by place, not by name: names take a fifth of the time that a call takes
                try:
                    produce(topic, value, key, -1, MethodType(report, self.count), None, 0, headers)
                except BufferError:
                    self._producer.poll(0.1)
                    if self._failed:
                        raise self._error() from None
                    if stop is not None and stop.is_set():
                        return
                except KafkaException as error:
                    reason = error.args[0].str()
                    raise PlatformError(f"Kafka at {self._bootstrap} refused a message: {reason}.") from error
                else:
                    self.count += 1
                    break

    def poll(self) -> None:
        """Take in the reports that have come."""
        self._producer.poll(0)

    def flush(self) -> set[int]:
        """Wait until each message sent so far is acknowledged or has failed; returns the numbers of the failed."""
        # ends, as the delivery timeout turns every message into one or the other; in steps, as no signal reaches
        # Python within one
        while self._producer.flush(0.5):
            pass
        return set(self._failed)

    def check(self) -> None:
        """Raise PlatformError when a message could not be delivered."""
        if self._failed:
            raise self._error()

    def _report(self, number: int, error: KafkaError | None, message: KafkaMessage) -> None:
        if error is not None:
            self._failed[number] = error.str()

    def _error(self) -> PlatformError:
        first = next(iter(self._failed.values()))
        return PlatformError(
            f"Kafka at {self._bootstrap} did not take {counted(len(self._failed), 'message')} ({first}): check the "
            "broker, then send again; what arrived twice is recognised."
        )
