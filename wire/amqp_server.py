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
MOST_CHANNELS = MOST_HANDLES = 255
KNOWN_WITHIN_S = 60.0
"""A connection on which nobody has proved who he is for so long is cut by its owner, however lively it is."""

_MOST_LINKS, _MOST_LINKS_UNKNOWN = 1024, 8
# of messages that have not come whole, on all links
_MOST_KEPT, _MOST_KEPT_UNKNOWN = 4 * MOST_BYTES, 128 * 1024
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
    """One connection. `write` takes bytes to be sent, `close` ends the connection once they are.

    Until the owner sets `is_known`, since its client has proved who it is, little is kept for it.
    """

    def __init__(self, name: str, service: Service, write: Callable[[bytes], None], close: Callable[[], None]) -> None:
        self._name, self._service, self._write, self._close = name, service, write, close
        self._reader = amqp.Reader()
        self._sessions: dict[int, SessionEnd] = {}
        self._largest = 512
        self.is_known = False
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
        if isinstance(performative, amqp.SaslInit | amqp.Open) == self.is_opened:
            raise WireError("Open comes first, and once; a sign-in comes before it.")
        if isinstance(performative, amqp.SaslInit):
            self._sign_in(performative)
        elif isinstance(performative, amqp.Open):
            self._open(performative)
        elif isinstance(performative, amqp.Close):
            self._write(amqp.frame(amqp.Close()))
            self._end()
        elif isinstance(performative, amqp.Begin):
            self._begin(frame.channel, performative)
        else:
            found = self._sessions.get(frame.channel)
            if found is None:
                raise WireError("A frame on a channel on which no session began.")
            self._take_in(found, performative, frame.payload)

    def _sign_in(self, init: amqp.SaslInit) -> None:
        is_let_in = True
        if init.mechanism == "PLAIN":
            parts = (init.initial_response or b"").split(b"\0")
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
        self._write(amqp.frame(amqp.Open(self._name, peer.hostname, amqp.LARGEST_FRAME, MOST_CHANNELS, IDLE_MS)))

    def _begin(self, channel: int, peer: amqp.Begin) -> None:
        if channel > MOST_CHANNELS or channel in self._sessions:
            raise WireError(f"A session begins on channel {channel}, which is beyond {MOST_CHANNELS} or in use.")
        session = SessionEnd(channel, self._write, self._largest, peer.next_outgoing_id, peer.incoming_window)
        self._sessions[channel] = session
        session.write(amqp.Begin(channel, 0, WINDOW, WINDOW, MOST_HANDLES))

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
        if peer.handle in session.links or peer.handle > MOST_HANDLES:
            raise WireError(f"A link begins under handle {peer.handle}, which is beyond {MOST_HANDLES} or in use.")
        most = _MOST_LINKS if self.is_known else _MOST_LINKS_UNKNOWN
        if sum(len(each.links) for each in self._sessions.values()) >= most:
            raise WireError(f"A connection has more than {most} links.")
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
                session.flow()
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
        if link.credit <= 0:
            raise WireError("A transfer for which there is no credit.")
        session.frame_came()
        first = link.first_piece = link.first_piece or transfer
        link.pieces += payload
        if len(link.pieces) > MOST_BYTES:
            raise WireError(f"A message of more than {MOST_BYTES:,} bytes.")
        if transfer.more:
            most = _MOST_KEPT if self.is_known else _MOST_KEPT_UNKNOWN
            if sum(len(each.pieces) for each in self.links()) > most:
                raise WireError(f"Messages that have not come whole have more than {most:,} bytes.")
            return
        data, link.first_piece = bytes(link.pieces), None
        link.pieces.clear()
        link.delivery_count += 1
        link.credit -= 1
        if not transfer.aborted:
            self._came(link, first, transfer, data)
        if link.is_attached and link.credit < CREDIT // 2:
            link.grant()

    def _came(self, link: Link, first: amqp.Transfer, last: amqp.Transfer, data: bytes) -> None:
        # a delivery's id, tag and format may stand in its first piece alone
        delivery_id = first.delivery_id if first.delivery_id is not None else last.delivery_id
        is_settled = bool(last.settled or first.settled) or delivery_id is None
        self._service.sends(
            Delivery(link, delivery_id or 0, first.delivery_tag or b"", is_settled, data, first.message_format or 0)
        )

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
