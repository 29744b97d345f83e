"""Landing: records to Kafka, and word to who waits for each when Kafka has it.

Belongs here: the producer, back pressure, and the low water below which everything is acknowledged. What a record
looks like belongs in `device_messages`; who is told, and what is done then, belongs to the sessions.

Everything happens on the event loop's thread: while records are outstanding the producer is asked every 2 ms which of
them were taken, and each session that has something to acknowledge writes once for all of them.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from types import MethodType
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from hub.messages.device_messages import ReceptionClock
from runtime.containment import Contained
from runtime.kafka.clients import client_config
from wire.envelope import Headers

POLL_S = 0.002
QUEUE_MESSAGES = 100_000
# full enough that sessions stop reading, and empty enough that they go on
_HIGH, _LOW = 0.8, 0.5
DELIVERY_TIMEOUT_MS = 120_000
LARGEST_RECORD = 1_000_000
_log = logging.getLogger(__name__)


class Waiter(Protocol):
    """Who sent a record and waits for word."""

    def landed(self, token: Any, error: str | None) -> None:
        """Kafka has the record that `token` names, or an error says why it never will."""

    def settle(self) -> None:
        """All word of this moment was given: answer now."""

    def fail(self, reason: str) -> None:
        """It could not take in what it was told: it ends."""

    def pause(self) -> None:
        """Kafka is behind: send no more for now."""

    def resume(self) -> None:
        """Kafka has caught up."""


def producer_configuration(bootstrap: str) -> dict[str, Any]:
    """librdkafka's settings for records that are acknowledged to a device only when every replica has them."""
    return {
        **client_config(bootstrap),
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "lz4",
        # a device with 20 messages in flight sends 20 in each of these and Kafka's own time
        "linger.ms": 5,
        "queue.buffering.max.messages": QUEUE_MESSAGES,
        "queue.buffering.max.kbytes": 256 * 1024,
        "message.max.bytes": LARGEST_RECORD,
        "message.timeout.ms": DELIVERY_TIMEOUT_MS,
        "reconnect.backoff.max.ms": 1000,
        # as Java's producers choose a partition, so that a device stays on one whatever sends for it
        "partitioner": "murmur2_random",
        # librdkafka writes each refused connection to stderr unless told not to
        "log_level": 0,
    }


class Landing:
    """The hub's producer. `outstanding` records were given to it and not yet taken by Kafka."""

    def __init__(self, bootstrap: str, loop: asyncio.AbstractEventLoop) -> None:
        self._producer = Producer(producer_configuration(bootstrap))
        self._produce: Callable[..., None] = self._producer.produce
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._settling: set[Waiter] = set()
        self._paused: set[Waiter] = set()
        self.outstanding = 0
        self.clock = ReceptionClock()
        self.landed_count = 0
        self.failed_count = 0
        # records of each second that are outstanding: [since when, how many]
        self._seconds: deque[list[int]] = deque([[_now_ms(), 0]])

    @property
    def is_full(self) -> bool:
        """True when nothing more should be given."""
        return self.outstanding >= _HIGH * QUEUE_MESSAGES

    def low_water_ms(self) -> int:
        """Records that were given before this moment are in Kafka, or nobody was told that they are."""
        while len(self._seconds) > 1 and not self._seconds[0][1]:
            self._seconds.popleft()
        since_ms, count = self._seconds[0]
        return since_ms if count else _now_ms()

    def give(
        self, waiter: Waiter, token: Any, topic: str, key: bytes, headers: Headers, value: bytes
    ) -> None:  # fmt: skip
        """Send a record; `waiter.landed(token, …)` is called when its fate is known, from a later turn of the loop."""
        second = self._seconds[-1]
        report = MethodType(self._report, (waiter, token, second))
        try:
            # by place, not by name: names take a fifth of the time that a call takes
            self._produce(topic, value, key, -1, report, None, 0, headers)
        except (BufferError, KafkaException) as error:
            self.outstanding += 1
            self._loop.call_soon(self._refused, (waiter, token), str(error))
            return
        self.outstanding += 1
        second[1] += 1
        if self._timer is None:
            self._timer = self._loop.call_later(POLL_S, self._poll)
        if self.is_full:
            self.wait_for_room(waiter)

    def wait_for_room(self, waiter: Waiter) -> None:
        """Have the waiter pause until Kafka has caught up."""
        if waiter not in self._paused:
            self._paused.add(waiter)
            waiter.pause()

    def forget(self, waiter: Waiter) -> None:
        """The waiter is gone; what it sent goes on its way."""
        self._paused.discard(waiter)

    async def close(self, timeout_s: float) -> int:
        """Wait until everything is acknowledged or the time is over; how many records still were not."""
        deadline = time.monotonic() + timeout_s
        while self.outstanding and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        if self._timer is not None:
            self._timer.cancel()
        return self.outstanding

    def _poll(self) -> None:
        self._producer.poll(0)
        settling, self._settling = self._settling, set()
        for waiter in settling:
            _tell(waiter, waiter.settle)
        if self._paused and self.outstanding <= _LOW * QUEUE_MESSAGES:
            paused, self._paused = self._paused, set()
            for waiter in paused:
                _tell(waiter, waiter.resume)
        if self.outstanding:
            self._timer = self._loop.call_later(POLL_S, self._poll)
        else:
            self._timer = None
        if (now_ms := _now_ms()) - self._seconds[-1][0] > 1000:
            self._seconds.append([now_ms, 0])

    def _report(self, place: tuple[Waiter, Any, list[int]], error: KafkaError | None, _message: object) -> None:
        # counted here: what `poll` returns counts errors and statistics too
        self.outstanding -= 1
        waiter, token, second = place
        second[1] -= 1
        if error is None:
            self.landed_count += 1
            _tell(waiter, waiter.landed, token, None)
        else:
            self.failed_count += 1
            _tell(waiter, waiter.landed, token, error.str())
        self._settling.add(waiter)

    def _refused(self, place: tuple[Waiter, Any], reason: str) -> None:
        self.outstanding -= 1
        self.failed_count += 1
        _tell(place[0], place[0].landed, place[1], reason)
        _tell(place[0], place[0].settle)


def _tell(waiter: Waiter, word: Callable[..., None], *what: object) -> None:
    """Give word to one waiter: whatever goes wrong there, the others hear theirs."""
    try:
        word(*what)
    except Exception as error:  # noqa: BLE001  as Contained, which would cost each message more
        _log.error("A connection could not take in what became of its messages", exc_info=error)
        with Contained(_log, "Closing a connection"):
            waiter.fail(str(error))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
