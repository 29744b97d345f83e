"""The broker of queues: what one client did or one queue is keeps nobody else from being served."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.queues import queue_entities, queue_sending
from serving.queues.queue_broker import Broker
from serving.queues.queue_entities import DEAD_LETTERS, EntityOptions
from serving.queues.queue_errors import QueueError
from serving.queues.queue_messages import Held, Receiving, peek
from serving.queues.queue_sessions import HeldSession
from serving.queues.queue_store import QueueStore
from serving.queues.queue_upkeep import NOT_PUT_IN
from wire.amqp_message import AmqpMessage, read_message

MESSAGE = AmqpMessage(b"x", properties={"message_id": "1"}).encoded()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QueueStore]:
    made = QueueStore(tmp_path / "queues.db")
    yield made
    made.close()


class Receiver:
    """An outlet that notes what it is given, and why it ends."""

    held_session: HeldSession | None = None
    room = 1

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.given: list[Held] = []
        self.ended_by: list[QueueError] = []

    def receiving(self) -> Receiving:
        return Receiving(self.queue)

    def give(self, held: Held) -> None:
        self.given.append(held)
        self.room = 0

    def nothing_more(self) -> None: ...

    def refused(self, error: QueueError) -> None:
        self.ended_by.append(error)

    def session_is_lost(self) -> None: ...


class Peer:
    """A connection; one that `fails` does so at each tick."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails, self.ticks, self.ended_by = fails, 0, ""

    def flush(self) -> None: ...

    def end(self, reason: str) -> None: ...

    def fail(self, reason: str) -> None:
        self.ended_by = reason

    def tick(self) -> None:
        self.ticks += 1
        assert not self.fails


async def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "It did not come to be."
        await asyncio.sleep(0.01)


def test_a_scheduled_message_that_cannot_be_put_in_is_set_aside(store: QueueStore) -> None:
    """It is a dead letter where a client can read it, and the broker goes on with the queues of the others."""

    async def scenario() -> None:
        with store.unit():
            queue_entities.create(store, "t", EntityOptions(), queue_entities.TOPIC)
            queue_entities.create_subscription(store, "t", "s", EntityOptions(has_sessions=True))
            queue_entities.create(store, "q", EntityOptions())
            at_ms = store.now() + 1000  # both are put in before the first is due
            queue_sending.send(store, "t", MESSAGE, at_ms=at_ms)
            queue_sending.send(store, "q", MESSAGE, at_ms=at_ms + 1)
        store.commit()
        broker, receiver = Broker(store, "key", lambda _store, _path: None), Receiver("q")
        broker.wants(receiver)
        ticking = asyncio.create_task(broker.keep_time())
        await until(lambda: receiver.given or ticking.done())
        assert receiver.given
        (subscription,) = queue_entities.subscriptions_of(store, "t")
        dead = store.db.execute("SELECT queue FROM messages WHERE queue LIKE ?", (f"t%{DEAD_LETTERS}",)).fetchall()
        assert [each["queue"] for each in dead] == [subscription.path + DEAD_LETTERS]
        (held,) = peek(store, subscription.path + DEAD_LETTERS, 0, 10)
        assert read_message(held.data).application["DeadLetterReason"] == NOT_PUT_IN
        ticking.cancel()

    asyncio.run(scenario())


def test_a_queue_that_is_deleted_ends_its_receivers_alone(store: QueueStore, tmp_path: Path) -> None:
    """Another process deletes it: who receives from it is told, who receives from another is served."""

    async def scenario() -> None:
        with store.unit():
            queue_entities.create(store, "gone", EntityOptions())
            queue_entities.create(store, "q", EntityOptions())
        store.commit()
        broker, left, other = Broker(store, "key", lambda _store, _path: None), Receiver("gone"), Receiver("q")
        for each in (left, other):
            broker.wants(each)
        ticking = asyncio.create_task(broker.keep_time())
        elsewhere = QueueStore(tmp_path / "queues.db")
        with elsewhere.unit():
            queue_entities.delete(elsewhere, "gone")
            queue_sending.send(elsewhere, "q", MESSAGE)
        elsewhere.commit()
        elsewhere.close()
        await until(lambda: (left.ended_by and other.given) or ticking.done())
        assert left.ended_by
        assert other.given
        ticking.cancel()

    asyncio.run(scenario())


def test_a_connection_that_fails_at_a_tick_is_ended_and_the_others_are_ticked(store: QueueStore) -> None:
    """The broker's own ticking goes on."""

    async def scenario() -> None:
        broker, bad, good = Broker(store, "key", lambda _store, _path: None), Peer(fails=True), Peer()
        for peer in (bad, good):
            broker.arrived(peer)
        ticking = asyncio.create_task(broker.keep_time())
        await until(lambda: good.ticks > 1 or ticking.done())
        assert not ticking.done()
        assert bad.ended_by
        ticking.cancel()

    asyncio.run(scenario())
