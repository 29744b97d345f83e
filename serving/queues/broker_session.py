"""A client's connection to the broker: its links, and what comes and goes on them.

Belongs here: who may, which link is to what, and outcomes. Operations on `$management` are in `management_calls`, the
protocol's order is in `wire.amqp_server`, the queues themselves in `queue_messages`.
"""

import asyncio
import logging
import sqlite3
import time
from typing import Any, cast

from runtime.errors import WireError
from serving.queues import queue_sessions
from serving.queues.management_calls import Asked, answer
from serving.queues.outlets import QueueOutlet, session_asked, session_source, ticks_of
from serving.queues.queue_broker import Broker, Waiter
from serving.queues.queue_entities import DEAD_LETTERS, TOPIC, find, path_of
from serving.queues.queue_errors import (
    NOT_ALLOWED,
    NOT_FOUND,
    TIMEOUT,
    UNAUTHORIZED,
    QueueError,
)  # fmt: skip
from serving.queues.queue_rights import QueueRights
from serving.queues.queue_sending import send
from serving.queues.queue_sessions import HeldSession
from wire import amqp
from wire.amqp_ends import Delivery, Link
from wire.amqp_message import ACCEPTED, BATCH, AmqpMessage, batched, read_message, rejected
from wire.amqp_server import CBS, IDLE_MS, KNOWN_WITHIN_S, AmqpServer
from wire.amqp_types import Int, Symbol

MANAGEMENT = "/$management"
_OPEN_WITHIN_S = 30.0
_SESSION_WAIT_MS = 60_000
_log = logging.getLogger(__name__)


class BrokerSession(asyncio.Protocol):
    """One connection."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._server = AmqpServer("lakehouse-queues", self, self._say, self._close)
        self._transport = cast(asyncio.Transport, None)
        self._kept_back = bytearray()
        self._rights = QueueRights(broker.key)
        self._is_paused = self._is_closing = False
        self._began_s = self._heard_s = self._said_s = time.monotonic()

    # what the socket tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._broker.arrived(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._heard_s = time.monotonic()
        self._broker.speaks(self)
        try:
            self._server.feed(data)
        except sqlite3.Error as error:
            self.fail(f"the queues could not be written: {error}")
        except Exception as error:  # noqa: BLE001  whatever it is ends this connection, and no other
            _log.error("A connection to the queues failed", exc_info=error)
            self.fail(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._broker.speaks(self)
        self._server.lost()
        self._broker.left(self)

    def pause_writing(self) -> None:
        """The client reads more slowly than it asks."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_paused = False
        for link in self._server.links():
            self.wants(link)

    # what the broker tells

    @property
    def is_paused(self) -> bool:
        """True while nothing more should be sent."""
        return self._is_paused

    def flush(self) -> None:
        """Send what was kept back."""
        if self._kept_back and not self._transport.is_closing():
            self._said_s = time.monotonic()
            self._transport.write(bytes(self._kept_back))
        self._kept_back.clear()
        if self._is_closing:
            self._transport.close()

    def fail(self, reason: str) -> None:
        """Forget what was kept back, and end."""
        _log.error("Closed a connection: %s", reason)
        self._kept_back.clear()
        self._transport.abort()

    def tick(self) -> None:
        """End what is silent, or whose tokens have expired; say something when we were."""
        now = time.monotonic()
        try:
            self._end_expired()
        except sqlite3.Error as error:
            self.fail(f"the queues could not be written: {error}")
        if now - self._heard_s > (IDLE_MS / 1000 if self._server.is_opened else _OPEN_WITHIN_S):
            self._server.cut("nothing came")
        elif not self._server.is_known and now - self._began_s > KNOWN_WITHIN_S:
            self._server.cut("nobody signed in")
        elif self._server.peer_idle_s and now - self._said_s > self._server.peer_idle_s / 2:
            self._server.keep_alive()

    def _end_expired(self) -> None:
        now_s = time.time()
        self._server.is_known = self._rights.hold(now_s)
        for link in self._server.links():
            if link.address != CBS and not self._rights.allow(link.address, now_s):
                link.detach(UNAUTHORIZED, f"ExpiredToken: the token for {link.address!r} has expired.")
                self.detaches(link)

    def end(self, reason: str) -> None:
        """The broker ends."""
        self._server.cut(reason)

    def _say(self, data: bytes) -> None:
        self._kept_back += data
        self._broker.speaks(self)

    def _close(self) -> None:
        self._is_closing = True
        self._broker.speaks(self)

    # what the client does

    def signs_in(self, name: str, password: str) -> bool:
        """By the name and the key of the policy that a connection string has."""
        self._server.is_known = self._rights.sign_in(name, password)
        return self._server.is_known

    def attaches(self, link: Link) -> None:
        """A link to `$cbs`, to the management of an entity, or to an entity itself."""
        if link.address == CBS:
            link.accept()
            return
        try:
            if not self._rights.allow(link.address, time.time()):
                raise QueueError(
                    UNAUTHORIZED, f"No token for {link.address!r} signed by the key of the connection string has come."
                )
            self._attach(link)
        except QueueError as error:
            link.refuse(error.condition, str(error))

    def _attach(self, link: Link) -> None:
        path = path_of(link.address)
        entity = path.removesuffix(MANAGEMENT)
        store = self._broker.store
        if find(store, entity) is None:
            with store.unit():
                self._broker.declared(store, entity)
        found = find(store, entity)
        if found is None or (found.kind == TOPIC and entity != found.path):
            raise QueueError(NOT_FOUND, f"There is no {link.address!r}: `lakehouse queues list` says what there is.")
        if path.endswith(MANAGEMENT) or link.role == amqp.RECEIVER:
            link.accept()
            return
        if found.kind == TOPIC:
            raise QueueError(NOT_ALLOWED, f"{found.name} is a topic: receive from one of its subscriptions.")
        is_asked, session = session_asked(link)
        if is_asked != (found.options.has_sessions and not path.endswith(DEAD_LETTERS)):
            said = "has sessions: receive one of them" if found.options.has_sessions else "has no sessions"
            raise QueueError(NOT_ALLOWED, f"{found.name} {said}.")
        if not is_asked:
            link.context = QueueOutlet(self, self._broker, link, path)
            link.accept()
        elif session is not None:
            with store.unit():
                held = queue_sessions.hold(store, path, session)
            self._take_session(link, held)
        else:
            wait_ms = (link.asked.properties or {}).get(Symbol("com.microsoft:timeout")) or _SESSION_WAIT_MS
            self._broker.wait_for_session(
                Waiter(path, store.now() + int(wait_ms), lambda held: self._take_session(link, held),
                       lambda: link.session.links.get(link.handle) is link)
            )  # fmt: skip

    def _take_session(self, link: Link, held: HeldSession | None) -> None:
        self._broker.speaks(self)
        if link.session.links.get(link.handle) is not link:
            return
        if held is None:
            link.refuse(TIMEOUT, "No session has a message that nobody else works on.")
            return
        link.context = QueueOutlet(self, self._broker, link, held.queue, held)
        until = {Symbol("com.microsoft:locked-until-utc"): ticks_of(held.until_ms)}
        link.accept(session_source(link, held.session), until)

    def sends(self, delivery: Delivery) -> None:
        """A token, a question to the management, or messages for an entity."""
        link = delivery.link
        if link.address == CBS:
            delivery.settle(ACCEPTED)
            self._answer(link, self._take_token(read_message(delivery.data)))
        elif path_of(link.address).endswith(MANAGEMENT):
            delivery.settle(ACCEPTED)
            message = read_message(delivery.data)
            self._answer(
                link, answer(self._broker.store, self._asked(link), message), message.properties.get("reply_to")
            )
        else:
            delivery.settle(self._put(link, delivery))

    def _put(self, link: Link, delivery: Delivery) -> Any:
        try:
            messages = batched(delivery.data) if delivery.message_format == BATCH else [delivery.data]
            with self._broker.store.unit():
                for each in messages:
                    send(self._broker.store, link.address, each)
        except QueueError as error:
            return rejected(error.condition, str(error))
        except WireError as error:
            return rejected("amqp:decode-error", str(error))
        return ACCEPTED

    def _asked(self, link: Link) -> Asked:
        path = path_of(link.address).removesuffix(MANAGEMENT)
        held = {
            each.context.held_session.session: each.context
            for each in self._server.links()
            if isinstance(each.context, QueueOutlet) and each.context.queue == path and each.context.held_session
        }
        return Asked(path, held)

    def _answer(self, link: Link, message: AmqpMessage, reply_to: Any = None) -> None:
        """On the link back that its client began beside the one of the question."""
        back = [
            each for each in link.session.links.values() if each.role == amqp.SENDER and each.address == link.address
        ]
        named = [each for each in back if reply_to is not None and each.reply_address == reply_to]
        for each in (named or back)[:1]:
            each.send(message.encoded())

    def _take_token(self, message: AmqpMessage) -> AmqpMessage:
        status, description = 202, "Accepted"
        try:
            text = message.value if isinstance(message.value, str) else message.content.decode("utf-8", "replace")
            self._rights.take(text, time.time())
            self._server.is_known = True
        except WireError as error:
            status, description = 401, str(error)
        return AmqpMessage(
            properties={"correlation_id": message.properties.get("message_id")},
            application={"status-code": Int(status), "status-description": description},
        )

    def wants(self, link: Link) -> None:
        """Messages, or its credit back."""
        if isinstance(link.context, QueueOutlet):
            self._broker.wants(link.context)
            self._broker.speaks(self)
        else:
            link.drained()

    def detaches(self, link: Link) -> None:
        """What it held stays held until the locks run out; a session is free at once."""
        if isinstance(link.context, QueueOutlet):
            self._broker.forget(link.context)
