"""An AMQP connection to the hub: the service side's links, each with what is done on it.

Belongs here: which links there are, and time. What is done on a link belongs in `amqp_links` and `endpoint_links`; the
protocol's order is in `wire.amqp_server`.

Service clients send tokens on `$cbs` and cloud messages on a link to `…/messages/devicebound`, and receive feedback
from `…/messages/serviceBound/feedback`. Clients of Event Hubs ask `$management` and receive from the built-in endpoint.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

from hub.amqp.amqp_links import Rights, put_token, send_feedback, send_to_device
from hub.amqp.endpoint_links import MANAGEMENT, EventSender, answer_management, is_endpoint
from hub.links.link import Link as Connection
from hub.messages.telemetry_reader import TelemetryReader
from hub.sessions.hub_parts import HubParts
from runtime.containment import Contained
from runtime.errors import LakehouseError
from wire import amqp
from wire.amqp_ends import Delivery, Link
from wire.amqp_message import ACCEPTED, AmqpMessage, read_message
from wire.amqp_server import CBS, IDLE_MS, KNOWN_WITHIN_S, AmqpServer

_OPEN_WITHIN_S = 30.0
_log = logging.getLogger(__name__)


class AmqpSession:
    """A `link.Session` that speaks AMQP with a service's client."""

    def __init__(self, parts: HubParts, connection: Connection) -> None:
        self._parts, self._connection = parts, connection
        self._server = AmqpServer(parts.instance, self, self._write, self._ended)
        self._rights = Rights()
        self._began_s = self._heard_s = self._said_s = time.monotonic()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reader: TelemetryReader | None = None
        parts.sessions.arrived(self)

    # what the connection tells

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._heard_s = time.monotonic()
        try:
            self._server.feed(data)
        except Exception as error:  # noqa: BLE001  whatever it is ends this connection, and no other
            self._failed(error)

    def connection_lost(self) -> None:
        """Nothing comes any more."""
        # each is done, last first, whatever becomes of the others
        with Contained(_log, "The end of an AMQP connection"), ExitStack() as rest:
            rest.callback(self._parts.sessions.left, self)
            if self._reader is not None:
                rest.callback(self._reader.close)
                self._reader = None
            for task in tuple(self._tasks):
                rest.callback(task.cancel)
            self._server.lost()

    def cut(self, reason: str) -> None:
        """Close the connection with an error."""
        if self._server.is_open:
            _log.info("Closed an AMQP connection: %s", reason)
            with Contained(_log, "Telling an AMQP connection why it ends") as contained:
                self._server.cut(reason)
            if contained.has_failed:
                self._ended()

    def tick(self, now_s: float, wall_s: float) -> None:
        """A second has passed: end what is silent, say something when we were."""
        peer_idle_s = self._server.peer_idle_s
        if not self._server.is_opened and now_s - self._began_s > _OPEN_WITHIN_S:
            self.cut("no open came")
        elif now_s - self._heard_s > IDLE_MS / 1000:
            self.cut("nothing came")
        elif not self._server.is_known and now_s - self._began_s > KNOWN_WITHIN_S:
            self.cut("no token came")
        elif not self._rights.still_hold(self._parts, wall_s):
            self.cut("its token holds no longer")
        elif peer_idle_s and now_s - self._said_s > peer_idle_s / 2:
            self._server.keep_alive()

    def _write(self, data: bytes) -> None:
        self._said_s = time.monotonic()
        self._connection.write(data)

    def _ended(self) -> None:
        self._connection.close()
        self.connection_lost()

    # what the client does

    def signs_in(self, name: str, password: str) -> bool:
        """Whoever comes proves who it is by tokens on $cbs."""
        return True

    def attaches(self, link: Link) -> None:
        """Take links that there are."""
        address, is_ours_to_send = link.address, link.role == amqp.SENDER
        is_feedback = address.lower().endswith("/messages/servicebound/feedback")
        if _is_question(link) or (not is_ours_to_send and address.endswith("/messages/devicebound")):
            link.accept()
        elif is_ours_to_send and is_feedback:
            link.accept()
            link.context = self._start(send_feedback(self._parts, self._rights, link))
        elif is_ours_to_send and is_endpoint(address):
            link.context = EventSender(self._parts, self._rights, link)
            self._start(link.context.run())
        else:
            link.refuse("amqp:not-found", f"There is no {address!r} here.")

    def sends(self, delivery: Delivery) -> None:
        """A token, a question, or a message for a device."""
        self._start(self._judge(delivery, read_message(delivery.data)))

    def wants(self, link: Link) -> None:
        """Feedback is looked for anyway; credit that is asked back goes back."""
        if isinstance(link.context, EventSender):
            link.context.wake()
        else:
            link.drained()

    def detaches(self, link: Link) -> None:
        """Nothing is sent on it any more."""
        if link.context is not None:
            link.context.cancel()

    async def _judge(self, delivery: Delivery, message: AmqpMessage) -> None:
        is_question = _is_question(delivery.link)
        delivery.settle(ACCEPTED if is_question else await send_to_device(self._parts, self._rights, message))
        if is_question:
            # after the disposition: uamqp takes an answer for a failure that comes before it knows its question sent
            answer = (await self._answer(delivery.link.address, message)).encoded()
            for other in tuple(delivery.link.session.links.values()):
                if other.address == delivery.link.address and other.role == amqp.SENDER:
                    other.send(answer)

    async def _answer(self, address: str, message: AmqpMessage) -> AmqpMessage:
        if address == CBS:
            answer = put_token(self._parts, self._rights, message)
            self._server.is_known = self._server.is_known or bool(self._rights.held)
            return answer
        self._reader = self._reader or self._parts.endpoint.reader()
        return await answer_management(self._rights, self._reader, message)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, LakehouseError):
            _log.error("An AMQP connection failed", exc_info=error)
        self.cut(str(error))


def _is_question(link: Link) -> bool:
    """True for links on which something is asked and answered."""
    return link.address in (CBS, MANAGEMENT)
