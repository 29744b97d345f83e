"""An AMQP connection to the hub: SASL, sessions, links and deliveries of the service side.

Belongs here: the protocol's order. What a message on a link does belongs in `amqp_links`.

Service clients send tokens on `$cbs` and cloud messages on a link to `…/messages/devicebound`, and receive feedback
from `…/messages/serviceBound/feedback`. Delivery ids count per session, and a disposition comes on its link's channel.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from hub.amqp.amqp_ends import AmqpLink, SessionEnd
from hub.amqp.amqp_links import CBS, Rights, put_token, send_feedback, send_to_device
from hub.links.link import Link
from hub.sessions.hub_parts import HubParts
from runtime.errors import LakehouseError, WireError
from wire import amqp
from wire.amqp_message import ACCEPTED, AmqpMessage, read_message
from wire.amqp_types import Described, Symbol

_CREDIT = 100
_WINDOW = 2048
_MOST_BYTES = 1024 * 1024
_OPEN_WITHIN_S = 30.0
_IDLE_MS = 240_000
_MECHANISMS = ("MSSBCBS", "ANONYMOUS", "PLAIN", "EXTERNAL")
_log = logging.getLogger(__name__)


class AmqpSession:
    """A `link.Session` that speaks AMQP with a service's client."""

    def __init__(self, parts: HubParts, link: Link) -> None:
        self._parts, self._link = parts, link
        self._reader = amqp.Reader()
        self._sessions: dict[int, SessionEnd] = {}
        self._rights = Rights()
        self._largest = 512
        self._is_open = True
        self._is_opened = False
        self._heard_s = self._said_s = time.monotonic()
        self._peer_idle_s = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        parts.sessions.arrived(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._heard_s = time.monotonic()
        try:
            for found in self._reader.feed(data):
                if isinstance(found, bytes):
                    self._header(found)
                elif found.performative is not None and self._is_open:
                    self._take(found)
        except WireError as error:
            self.cut(str(error))

    def connection_lost(self) -> None:
        """Nothing comes any more."""
        if self._is_open:
            self._is_open = False
            for task in tuple(self._tasks):
                task.cancel()
            self._parts.sessions.left(self)

    def cut(self, reason: str) -> None:
        """Close the connection with an error."""
        if self._is_open:
            _log.info("Closed an AMQP connection: %s", reason)
            if self._is_opened:
                self._write(amqp.frame(amqp.Close(amqp.error("amqp:connection:forced", reason))))
            self._link.close()
            self.connection_lost()

    def tick(self, now_s: float, wall_s: float) -> None:
        """A second has passed: end what is silent, say something when we were."""
        if now_s - self._heard_s > (_IDLE_MS / 1000 if self._is_opened else _OPEN_WITHIN_S):
            self.cut("nothing came")
        elif self._peer_idle_s and now_s - self._said_s > self._peer_idle_s / 2:
            self._write(amqp.frame(None))

    def _write(self, data: bytes) -> None:
        if self._is_open:
            self._said_s = time.monotonic()
            self._link.write(data)

    def _header(self, header: bytes) -> None:
        if header == amqp.SASL_HEADER:
            mechanisms = tuple(map(Symbol, _MECHANISMS))
            self._write(amqp.SASL_HEADER + amqp.frame(amqp.SaslMechanisms(mechanisms)))
        elif header == amqp.PLAIN_HEADER:
            self._write(amqp.PLAIN_HEADER)
        else:
            self._write(amqp.PLAIN_HEADER)
            raise WireError(f"The protocol header {header!r} is not spoken here.")

    def _take(self, frame: amqp.Frame) -> None:
        performative = frame.performative
        if isinstance(performative, amqp.SaslInit):
            # whoever comes proves who it is by tokens on $cbs
            self._write(amqp.frame(amqp.SaslOutcome(0)))
        elif isinstance(performative, amqp.Open):
            self._open(performative)
        elif isinstance(performative, amqp.Close):
            self._write(amqp.frame(amqp.Close()))
            self._link.close()
            self.connection_lost()
        elif isinstance(performative, amqp.Begin):
            self._begin(frame.channel, performative)
        else:
            session = self._sessions.get(frame.channel)
            if session is None:
                raise WireError("A frame on a channel on which no session began.")
            self._take_in(session, performative, frame.payload, frame.channel)

    def _open(self, peer: amqp.Open) -> None:
        self._is_opened = True
        self._largest = min(peer.max_frame_size or amqp.LARGEST_FRAME, amqp.LARGEST_FRAME)
        self._peer_idle_s = (peer.idle_time_out or 0) / 1000
        self._write(
            amqp.frame(amqp.Open(self._parts.instance, peer.hostname, amqp.LARGEST_FRAME, 255, _IDLE_MS))
        )  # fmt: skip

    def _begin(self, channel: int, peer: amqp.Begin) -> None:
        session = SessionEnd(channel, self._write, self._largest, peer.next_outgoing_id)
        self._sessions[channel] = session
        session.write(amqp.Begin(channel, 0, _WINDOW, _WINDOW, 255))

    def _take_in(self, session: SessionEnd, performative: Any, payload: bytes, channel: int) -> None:
        if isinstance(performative, amqp.Attach):
            self._attach(session, performative)
        elif isinstance(performative, amqp.Flow):
            self._flow(session, performative)
        elif isinstance(performative, amqp.Transfer):
            self._transfer(session, performative, payload)
        elif isinstance(performative, amqp.Disposition):
            for delivery in range(performative.first, min(performative.last or performative.first, 1 << 32) + 1):
                told = session.unsettled.pop(delivery, None)
                if told is not None:
                    told(performative.state)
                if not session.unsettled:
                    break
        elif isinstance(performative, amqp.Detach):
            self._detach(session, performative)
        elif isinstance(performative, amqp.End):
            for link in tuple(session.links.values()):
                self._forget(session, link)
            session.write(amqp.End())
            del self._sessions[channel]
        else:
            raise WireError("A performative that no client sends within a session.")

    def _attach(self, session: SessionEnd, peer: amqp.Attach) -> None:
        terminus = peer.target if peer.role == amqp.SENDER else peer.source
        link = AmqpLink(peer.name, peer.handle, not peer.role, _address(terminus), session)
        is_known = link.address == CBS or (
            link.address.endswith("/messages/devicebound")
            if link.role == amqp.RECEIVER
            else link.address.lower().endswith("/messages/servicebound/feedback")
        )
        session.links[peer.handle] = link
        source, target = (peer.source, peer.target) if is_known else (None, None)
        count = None if link.role == amqp.RECEIVER else 0
        session.write(
            amqp.Attach(peer.name, peer.handle, link.role, peer.snd_settle_mode, 0, source, target, None, None, count,
                        _MOST_BYTES)
        )  # fmt: skip
        if not is_known:
            reason = amqp.error("amqp:not-found", f"There is no {link.address!r} here.")
            session.write(amqp.Detach(peer.handle, True, reason))
            del session.links[peer.handle]
        elif link.role == amqp.RECEIVER:
            self._grant(link)
        elif link.address != CBS:
            link.task = self._start(send_feedback(self._parts, self._rights, link))

    def _grant(self, link: AmqpLink) -> None:
        link.credit = _CREDIT
        session = link.session
        session.write(
            amqp.Flow(session.next_incoming, _WINDOW, session.next_outgoing, _WINDOW, link.handle, link.delivery_count,
                      _CREDIT)
        )  # fmt: skip

    def _flow(self, session: SessionEnd, peer: amqp.Flow) -> None:
        link = session.links.get(peer.handle) if peer.handle is not None else None
        if link is not None and link.role == amqp.SENDER and peer.link_credit is not None:
            link.credit = (peer.delivery_count or 0) + peer.link_credit - link.delivery_count
            if peer.drain:
                link.delivery_count, link.credit = link.delivery_count + max(link.credit, 0), 0
        if peer.echo or (peer.drain and link is not None):
            handle = None if link is None else link.handle
            count, credit = (None, None) if link is None else (link.delivery_count, link.credit)
            session.write(
                amqp.Flow(session.next_incoming, _WINDOW, session.next_outgoing, _WINDOW, handle, count, credit)
            )  # fmt: skip

    def _transfer(self, session: SessionEnd, transfer: amqp.Transfer, payload: bytes) -> None:
        link = session.links.get(transfer.handle)
        if link is None or link.role != amqp.RECEIVER:
            raise WireError("A transfer on a link on which nothing may be sent.")
        session.next_incoming += 1
        link.pieces += payload
        if len(link.pieces) > _MOST_BYTES:
            raise WireError(f"A message of more than {_MOST_BYTES:,} bytes.")
        if transfer.more:
            return
        data = bytes(link.pieces)
        link.pieces.clear()
        link.delivery_count += 1
        link.credit -= 1
        if transfer.aborted:
            return
        self._start(self._judge(link, transfer, read_message(data)))
        if link.credit < _CREDIT // 2:
            self._grant(link)

    async def _judge(self, link: AmqpLink, transfer: amqp.Transfer, message: AmqpMessage) -> None:
        is_token = link.address == CBS
        outcome = ACCEPTED if is_token else await send_to_device(self._parts, self._rights, message)
        if not transfer.settled and transfer.delivery_id is not None:
            delivery = transfer.delivery_id
            link.session.write(amqp.Disposition(amqp.RECEIVER, delivery, delivery, True, outcome, False))
        if is_token:
            # after the disposition: uamqp takes an answer for a failure that comes before it knows its question sent
            answer = put_token(self._parts, self._rights, message)
            for other in link.session.links.values():
                if other.address == CBS and other.role == amqp.SENDER:
                    other.send(answer)

    def _detach(self, session: SessionEnd, peer: amqp.Detach) -> None:
        link = session.links.get(peer.handle)
        if link is not None:
            self._forget(session, link)
            session.write(amqp.Detach(peer.handle, True))

    def _forget(self, session: SessionEnd, link: AmqpLink) -> None:
        session.links.pop(link.handle, None)
        if link.task is not None:
            link.task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, LakehouseError):
                _log.error("An AMQP connection failed", exc_info=error)
            self.cut(str(error))


def _address(terminus: Any) -> str:
    """The address of a source or target, without the host of a full one."""
    fields = terminus.value if isinstance(terminus, Described) and isinstance(terminus.value, list) else []
    text = str(fields[0]) if fields and isinstance(fields[0], str) else ""
    if "://" in text:
        text = "/" + text.split("://", 1)[1].partition("/")[2]
    return CBS if text.strip("/") == CBS else text
