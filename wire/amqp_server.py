"""An AMQP 1.0 server without a socket: a client's bytes in, what it asks for as calls, our bytes out.

Belongs here: the protocol's order. Sockets and time belong to the owner, what messages mean to the `Service`.

Delivery ids count per session, and a disposition comes on its link's channel.
"""

from collections.abc import Callable
from typing import Any, Protocol

from runtime.errors import WireError
from wire import amqp
from wire.amqp_ends import CREDIT, MOST_BYTES, WINDOW, Delivery, Link, SessionEnd, address_of
from wire.amqp_message import outcome_of
from wire.amqp_types import Symbol

CBS = "$cbs"
IDLE_MS = 240_000
_MECHANISMS = ("MSSBCBS", "ANONYMOUS", "PLAIN", "EXTERNAL")


class Service(Protocol):
    """What a client reaches: each call is something that it did."""

    def signs_in(self, name: str, password: str) -> bool:
        """A name and password by SASL; one that fails ends the connection. Others prove who they are on $cbs."""

    def attaches(self, link: Link) -> None:
        """It begins a link: `accept` or `refuse` it, now or later."""

    def sends(self, delivery: Delivery) -> None:
        """A whole message has come."""

    def wants(self, link: Link) -> None:
        """It takes messages on a link on which we send, or wants its credit back (`drained`)."""

    def detaches(self, link: Link) -> None:
        """The link is over."""


class AmqpServer:
    """One connection. `write` takes bytes to be sent, `close` ends the connection once they are."""

    def __init__(self, name: str, service: Service, write: Callable[[bytes], None], close: Callable[[], None]) -> None:
        self._name, self._service, self._write, self._close = name, service, write, close
        self._reader = amqp.Reader()
        self._sessions: dict[int, SessionEnd] = {}
        self._largest = 512
        self.is_open = True
        self.is_opened = False
        self.peer_idle_s = 0.0

    def feed(self, data: bytes) -> None:
        """Bytes have come; those that are no AMQP end the connection."""
        try:
            for found in self._reader.feed(data):
                if isinstance(found, bytes):
                    self._header(found)
                elif found.performative is not None and self.is_open:
                    self._take(found)
        except WireError as error:
            self.cut(str(error))

    def cut(self, reason: str) -> None:
        """End the connection with an error."""
        if self.is_open:
            if self.is_opened:
                self._write(amqp.frame(amqp.Close(amqp.error("amqp:connection:forced", reason))))
            self._end()

    def lost(self) -> None:
        """The connection is gone: all its links are over."""
        if self.is_open:
            self.is_open = False
            for session in self._sessions.values():
                self._forget_all(session)
            self._sessions.clear()

    def keep_alive(self) -> None:
        """Say something, so that the peer knows that we are there."""
        self._write(amqp.frame(None))

    def links(self) -> list[Link]:
        """All links there are."""
        return [link for session in self._sessions.values() for link in session.links.values()]

    def _end(self) -> None:
        self.lost()
        self._close()

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
            self._sign_in(performative)
        elif isinstance(performative, amqp.Open):
            self._open(performative)
        elif isinstance(performative, amqp.Close):
            self._write(amqp.frame(amqp.Close()))
            self._end()
        elif isinstance(performative, amqp.Begin):
            session = SessionEnd(
                frame.channel, self._write, self._largest, performative.next_outgoing_id, performative.incoming_window
            )
            self._sessions[frame.channel] = session
            session.write(amqp.Begin(frame.channel, 0, WINDOW, WINDOW, 255))
        else:
            found = self._sessions.get(frame.channel)
            if found is None:
                raise WireError("A frame on a channel on which no session began.")
            self._take_in(found, performative, frame.payload)

    def _sign_in(self, init: amqp.SaslInit) -> None:
        is_let_in = True
        if init.mechanism == "PLAIN":
            parts = bytes(init.initial_response or b"").split(b"\0")
            name, password = (
                each.decode("utf-8", "replace") for each in (parts[-2:] if len(parts) == 3 else (b"", b""))
            )
            is_let_in = self._service.signs_in(name, password)
        self._write(amqp.frame(amqp.SaslOutcome(0 if is_let_in else 1)))
        if not is_let_in:
            self._end()

    def _open(self, peer: amqp.Open) -> None:
        self.is_opened = True
        self._largest = min(peer.max_frame_size or amqp.LARGEST_FRAME, amqp.LARGEST_FRAME)
        self.peer_idle_s = (peer.idle_time_out or 0) / 1000
        self._write(amqp.frame(amqp.Open(self._name, peer.hostname, amqp.LARGEST_FRAME, 255, IDLE_MS)))

    def _take_in(self, session: SessionEnd, performative: Any, payload: bytes) -> None:
        if isinstance(performative, amqp.Attach):
            self._attach(session, performative)
        elif isinstance(performative, amqp.Flow):
            self._flow(session, performative)
        elif isinstance(performative, amqp.Transfer):
            self._transfer(session, performative, payload)
        elif isinstance(performative, amqp.Disposition):
            self._disposition(session, performative)
        elif isinstance(performative, amqp.Detach):
            link = session.links.pop(performative.handle, None)
            if link is not None:
                session.write(amqp.Detach(performative.handle, True))
                self._over(link)
        elif isinstance(performative, amqp.End):
            self._forget_all(session)
            session.write(amqp.End())
            del self._sessions[session.channel]
        else:
            raise WireError("A performative that no client sends within a session.")

    def _attach(self, session: SessionEnd, peer: amqp.Attach) -> None:
        if peer.handle in session.links:
            raise WireError("A link begins under the handle of another.")
        address = address_of(peer.target if peer.role == amqp.SENDER else peer.source)
        link = session.links[peer.handle] = Link(session, peer, CBS if address.strip("/") == CBS else address)
        self._service.attaches(link)

    def _flow(self, session: SessionEnd, peer: amqp.Flow) -> None:
        session.room = (peer.next_incoming_id or 0) + peer.incoming_window - session.next_outgoing
        link = session.links.get(peer.handle) if peer.handle is not None else None
        if link is not None and link.role == amqp.SENDER and peer.link_credit is not None:
            link.credit = (peer.delivery_count or 0) + peer.link_credit - link.delivery_count
            link.is_drained = bool(peer.drain)
        if link is None:
            if peer.echo:
                session.write(amqp.Flow(session.next_incoming, WINDOW, session.next_outgoing, WINDOW))
            for each in session.links.values():
                if each.can_send:
                    self._service.wants(each)
        elif link.role == amqp.SENDER:
            if peer.echo and not link.is_drained:
                link.flow()
            self._service.wants(link)
        elif peer.echo:
            link.flow()

    def _transfer(self, session: SessionEnd, transfer: amqp.Transfer, payload: bytes) -> None:
        link = session.links.get(transfer.handle)
        if link is None or link.role != amqp.RECEIVER:
            raise WireError("A transfer on a link on which nothing may be sent.")
        session.next_incoming += 1
        first = link.first_piece = link.first_piece or transfer
        link.pieces += payload
        if len(link.pieces) > MOST_BYTES:
            raise WireError(f"A message of more than {MOST_BYTES:,} bytes.")
        if transfer.more:
            return
        data, link.first_piece = bytes(link.pieces), None
        link.pieces.clear()
        link.delivery_count += 1
        link.credit -= 1
        if transfer.aborted:
            return
        # a delivery's id, tag and format may stand in its first piece alone
        delivery_id = first.delivery_id if first.delivery_id is not None else transfer.delivery_id
        is_settled = bool(transfer.settled or first.settled) or delivery_id is None
        self._service.sends(
            Delivery(link, delivery_id or 0, first.delivery_tag or b"", is_settled, data, first.message_format or 0)
        )
        if link.is_attached and link.credit < CREDIT // 2:
            link.grant()

    def _disposition(self, session: SessionEnd, peer: amqp.Disposition) -> None:
        if peer.role == amqp.SENDER:
            return
        last = peer.first if peer.last is None else peer.last
        told_of = range(peer.first, min(last, session.next_delivery) + 1)
        for delivery_id in told_of if len(told_of) < len(session.unsettled) else tuple(session.unsettled):
            delivery = session.unsettled.get(delivery_id)
            if delivery is None or delivery_id not in told_of:
                continue
            if peer.settled:
                del session.unsettled[delivery_id]
                delivery.is_settled = True
            if delivery.told is not None and outcome_of(peer.state) != "received":
                delivery.told(delivery, peer.state)

    def _forget_all(self, session: SessionEnd) -> None:
        links, session.links = session.links, {}
        for link in links.values():
            self._over(link)

    def _over(self, link: Link) -> None:
        for delivery_id in [each for each, delivery in link.session.unsettled.items() if delivery.link is link]:
            del link.session.unsettled[delivery_id]
        link.is_attached = False
        self._service.detaches(link)
