"""Our ends of an AMQP connection's sessions and links.

Belongs here: delivery ids, credit, and cutting messages into frames. What is done with them belongs in `amqp_session`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wire import amqp
from wire.amqp_message import AmqpMessage


@dataclass
class AmqpLink:
    """A link as we know it; `role` is ours. `write` sends a performative on its session's channel."""

    name: str
    handle: int
    role: bool
    address: str
    session: "SessionEnd"
    credit: int = 0
    delivery_count: int = 0
    pieces: bytearray = field(default_factory=bytearray)
    task: asyncio.Task[None] | None = None

    def send(self, message: AmqpMessage, settled: Callable[[Any], None] | None = None) -> None:
        """Send a message."""
        delivery_id = self.session.next_delivery
        self.session.next_delivery += 1
        self.credit -= 1
        self.delivery_count += 1
        if settled is not None:
            self.session.unsettled[delivery_id] = settled
        tag = delivery_id.to_bytes(4, "big")
        transfer = amqp.Transfer(self.handle, delivery_id, tag, 0, settled is None, False)
        self.session.write(transfer, message.encoded())


@dataclass
class SessionEnd:
    """Our end of an AMQP session."""

    channel: int
    send_frames: Callable[[bytes], None]
    largest: int
    next_incoming: int
    next_outgoing: int = 0
    next_delivery: int = 0
    links: dict[int, AmqpLink] = field(default_factory=dict)
    unsettled: dict[int, Callable[[Any], None]] = field(default_factory=dict)

    def write(self, performative: amqp.Performative, payload: bytes = b"") -> None:
        """Send a performative, a transfer in as many frames as the peer's largest asks for."""
        room = max(self.largest - 256, 256)
        while isinstance(performative, amqp.Transfer) and len(payload) > room:
            performative.more = True
            self.send_frames(amqp.frame(performative, self.channel, payload[:room]))
            self.next_outgoing += 1
            payload = payload[room:]
            performative.more = False
        self.next_outgoing += isinstance(performative, amqp.Transfer)
        self.send_frames(amqp.frame(performative, self.channel, payload))
