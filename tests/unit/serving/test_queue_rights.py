"""A token lets a client of the queues to what it is for, and until it expires."""

import asyncio
import time
from base64 import b64encode
from pathlib import Path

import pytest

from runtime.errors import WireError
from serving.queues import queue_entities
from serving.queues.broker_session import BrokerSession
from serving.queues.queue_administration import KEY_NAME
from serving.queues.queue_broker import Broker
from serving.queues.queue_entities import EntityOptions
from serving.queues.queue_rights import QueueRights
from serving.queues.queue_store import QueueStore
from wire import amqp, sas
from wire.amqp_message import AmqpMessage
from wire.amqp_types import Described, Symbol, Ulong

KEY = "the key"
NOW_S = 1_800_000_000


def token(resource: str, until_s: float, name: str = KEY_NAME, key: str = KEY) -> str:
    """As a client of Service Bus makes it."""
    return sas.sign(b64encode(key.encode()).decode(), resource, int(until_s), name)


def test_a_token_is_for_its_entity_and_what_is_part_of_it() -> None:
    """By segment, in any case, with any scheme; the namespace's own is for everything."""
    rights = QueueRights(KEY)
    rights.take(token("sb://host/a", NOW_S + 10), NOW_S)
    assert rights.allow("A", NOW_S)
    assert rights.allow("/a/$management", NOW_S)
    assert rights.allow("a/Subscriptions/s", NOW_S)
    assert not rights.allow("ab", NOW_S)
    assert not rights.allow("b", NOW_S)
    rights.take(token("amqp://host:5672/", NOW_S + 5), NOW_S)
    assert rights.allow("b", NOW_S)
    assert not rights.allow("b", NOW_S + 5)
    assert rights.allow("a", NOW_S + 5)
    assert not rights.hold(NOW_S + 10)


@pytest.mark.parametrize(
    "text",
    [token("sb://h/a", NOW_S), token("sb://h/a", NOW_S + 9, "other"), token("sb://h/a", NOW_S + 9, KEY_NAME, "k")],
)
def test_a_token_that_proves_nothing_is_refused(text: str) -> None:
    """Expired, of another policy, or signed by another key."""
    rights = QueueRights(KEY)
    with pytest.raises(WireError):
        rights.take(text, NOW_S)
    assert not rights.hold(NOW_S)


def test_a_sign_in_is_for_everything() -> None:
    """By the name and key of the connection string, which has no expiry."""
    rights = QueueRights(KEY)
    assert not rights.sign_in(KEY_NAME, "wrong")
    assert not rights.allow("a", NOW_S)
    assert rights.sign_in(KEY_NAME, KEY)
    assert rights.allow("a", NOW_S * 2)


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.reader, self.found = amqp.Reader(), list[amqp.Performative]()
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        frames = [each for each in self.reader.feed(bytes(data)) if isinstance(each, amqp.Frame)]
        self.found += [each.performative for each in frames if each.performative is not None]

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


def attach(handle: int, address: str, role: bool) -> bytes:
    terminus = Described(Ulong(0x28), [address])
    return amqp.frame(amqp.Attach(address, handle, role, 0, 0, terminus, terminus, None, None, 0))


def test_a_link_ends_with_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to another queue is refused; the queue's own is detached when its token has expired, then all is cut."""

    async def run() -> None:
        store = QueueStore(tmp_path / "queues.db")
        with store.unit():
            for name in ("a", "b"):
                queue_entities.create(store, name, EntityOptions())
        store.commit()
        session, transport = BrokerSession(Broker(store, KEY, lambda *_: None)), Transport()
        session.connection_made(transport)
        begun_s = time.time()
        put = AmqpMessage(value=token("sb://h/a", begun_s + 30), application={"operation": "put-token"}).encoded()
        session.data_received(
            amqp.PLAIN_HEADER + amqp.frame(amqp.Open("c")) + amqp.frame(amqp.Begin(None, 0, 100, 100))
            + attach(0, "$cbs", amqp.SENDER) + amqp.frame(amqp.Transfer(0, 0, b"t", 0, True), 0, put)
            + attach(1, "a", amqp.SENDER) + attach(2, "b", amqp.SENDER) + attach(3, "a", amqp.RECEIVER)
        )  # fmt: skip
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [each.handle for each in transport.found if isinstance(each, amqp.Detach)] == [2]
        session.tick()
        await asyncio.sleep(0)
        assert len([each for each in transport.found if isinstance(each, amqp.Detach)]) == 1
        monkeypatch.setattr(time, "time", lambda: begun_s + 31)
        session.tick()
        await asyncio.sleep(0)
        detached = [each for each in transport.found if isinstance(each, amqp.Detach)]
        assert [each.handle for each in detached] == [2, 1, 3]
        assert all(each.error.value[0] == Symbol("amqp:unauthorized-access") for each in detached)
        moment_s = time.monotonic() + 61
        monkeypatch.setattr(time, "monotonic", lambda: moment_s)
        session.tick()
        await asyncio.sleep(0)
        assert transport.is_closed
        store.close()

    asyncio.run(run())
