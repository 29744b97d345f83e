"""Our ends of an AMQP connection's sessions and links, without a socket.

Belongs here: delivery ids, credit, windows, settling, and cutting messages into frames. Which end there is follows from
what a client sends, in `amqp_server`; what is done with messages belongs to who serves.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wire import amqp
from wire.amqp_types import Described

CREDIT = 100
WINDOW = 2048
MOST_BYTES = 1024 * 1024
Told = Callable[["Delivery", Any], None]
"""Is told an outcome that the peer gives for a delivery of ours."""


@dataclass(eq=False)
class Delivery:
    """A message on its way, either way; `data` of one that came, with its format. `told` is of one that was sent."""

    link: "Link"
    id: int
    tag: bytes
    is_settled: bool
    data: bytes = b""
    message_format: int = 0
    told: Told | None = None

    def settle(self, outcome: Any) -> None:
        """Tell the peer what became of it, and forget it."""
        session = self.link.session
        if self.link.role == amqp.SENDER:
            session.unsettled.pop(self.id, None)
        if not self.is_settled:
            self.is_settled = True
            session.write(amqp.Disposition(self.link.role, self.id, self.id, True, outcome, False))


@dataclass(eq=False)
class Link:
    """A link as we know it; `role` is ours, `asked` what its peer began it with, `context` its server's own."""

    session: "SessionEnd"
    asked: amqp.Attach
    address: str
    credit: int = 0
    delivery_count: int = 0
    is_attached: bool = False
    is_drained: bool = False
    context: Any = None
    pieces: bytearray = field(default_factory=bytearray)
    first_piece: amqp.Transfer | None = None

    @property
    def role(self) -> bool:
        """Ours."""
        return not self.asked.role

    @property
    def handle(self) -> int:
        """The same on both sides."""
        return self.asked.handle

    @property
    def reply_address(self) -> str:
        """Where its peer says that it receives answers."""
        return address_of(self.asked.target)

    @property
    def can_send(self) -> bool:
        """True when the peer takes another message."""
        return self.is_attached and self.role == amqp.SENDER and self.credit > 0 and self.session.room > 0

    def accept(self, source: Any = None, properties: dict[Any, Any] | None = None) -> None:
        """Take the link; one on which messages come is given credit."""
        asked, count = self.asked, None if self.role == amqp.RECEIVER else 0
        self.is_attached = True
        self.session.write(
            amqp.Attach(asked.name, asked.handle, self.role, asked.snd_settle_mode, asked.rcv_settle_mode,
                        source or asked.source, asked.target, None, None, count, MOST_BYTES, None, None, properties)
        )  # fmt: skip
        if self.role == amqp.RECEIVER:
            self.grant()

    def refuse(self, condition: str, reason: str) -> None:
        """Do not take the link, and say why."""
        asked, count = self.asked, None if self.role == amqp.RECEIVER else 0
        self.session.write(
            amqp.Attach(asked.name, asked.handle, self.role, asked.snd_settle_mode, asked.rcv_settle_mode, None, None,
                        None, None, count, MOST_BYTES)
        )  # fmt: skip
        self.detach(condition, reason)

    def detach(self, condition: str, reason: str) -> None:
        """End the link from here."""
        self.is_attached = False
        self.session.links.pop(self.handle, None)
        self.session.write(amqp.Detach(self.handle, True, amqp.error(condition, reason)))

    def grant(self) -> None:
        """Let the peer send again as much as at first."""
        self.credit = CREDIT
        self.flow()

    def flow(self) -> None:
        """Say how the link and its session stand."""
        self.session.flow(self.handle, self.delivery_count, self.credit, None, self.is_drained or None)

    def drained(self) -> None:
        """Give back the credit for which there is no message, once the peer has asked for that."""
        if self.is_drained:
            self.delivery_count, self.credit = self.delivery_count + max(self.credit, 0), 0
            self.flow()
            self.is_drained = False

    def send(self, data: bytes, told: Told | None = None, tag: bytes | None = None) -> Delivery:
        """Send a message in its bytes; without `told` it is settled as it is sent."""
        session = self.session
        delivery = Delivery(self, session.next_delivery, tag or b"", told is None, told=told)
        session.next_delivery += 1
        self.credit -= 1
        self.delivery_count += 1
        if told is not None:
            session.unsettled[delivery.id] = delivery
        given = delivery.tag or delivery.id.to_bytes(4, "big")
        session.write(amqp.Transfer(self.handle, delivery.id, given, 0, told is None, False), data)
        return delivery


@dataclass(eq=False)
class SessionEnd:
    """Our end of an AMQP session; `room` is how many frames the peer takes, `window` how many it still may send."""

    channel: int
    send_frames: Callable[[bytes], None]
    largest: int
    next_incoming: int
    room: int
    window: int = WINDOW
    next_outgoing: int = 0
    next_delivery: int = 0
    links: dict[int, Link] = field(default_factory=dict)
    unsettled: dict[int, Delivery] = field(default_factory=dict)

    def write(self, performative: amqp.Performative, payload: bytes = b"") -> None:
        """Send a performative, a transfer in as many frames as the peer's largest asks for."""
        room = max(self.largest - 256, 256)
        while isinstance(performative, amqp.Transfer) and len(payload) > room:
            performative.more = True
            self._write(performative, payload[:room])
            payload = payload[room:]
            performative.more = False
        self._write(performative, payload)

    def flow(self, *of_link: Any) -> None:
        """Say how the session stands, with what is said of a link; the peer may send a whole window from here."""
        self.window = WINDOW
        self.write(amqp.Flow(self.next_incoming, WINDOW, self.next_outgoing, WINDOW, *of_link))

    def frame_came(self) -> None:
        """A frame of a message: the window moves on before a peer that sends small ones has come to its end."""
        self.next_incoming += 1
        self.window -= 1
        if self.window < WINDOW // 2:
            self.flow()

    def _write(self, performative: amqp.Performative, payload: bytes) -> None:
        if isinstance(performative, amqp.Transfer):
            self.next_outgoing += 1
            self.room -= 1
        self.send_frames(amqp.frame(performative, self.channel, payload))


def address_of(terminus: Any) -> str:
    """The address of a source or target, without the host of a full one."""
    fields = terminus.value if isinstance(terminus, Described) and isinstance(terminus.value, list) else []
    text = str(fields[0]) if fields and isinstance(fields[0], str) else ""
    return "/" + text.split("://", 1)[1].partition("/")[2] if "://" in text else text
