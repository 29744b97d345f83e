"""Sending an alert to a queue: a client of AMQP for one message.

Belongs here: connecting, sending, and what the broker's answer means for another attempt. What a queue is belongs to
who serves it; frames belong in `wire.amqp`.

The message id is the identity of the alert's revision, by which the queue knows a repeat.
"""

import socket
from collections.abc import Iterator
from typing import Any

from runtime.errors import WireError
from runtime.guarded_http import RefusedError
from wire import amqp
from wire.amqp_message import AmqpMessage, outcome_of
from wire.amqp_types import Described, Symbol, Ulong

_KEY_NAME = "RootManageSharedAccessKey"
_REFUSED = ("amqp:not-allowed", "amqp:unauthorized-access", "com.microsoft:argument-error")
_CHUNK = 65_536


class QueueClosedError(OSError):
    """The broker did not take the message, and may take it later."""


def send_to_queue(address: tuple[str, int], key: str, queue: str, message: AmqpMessage, timeout_s: float) -> None:
    """Send a message and wait until it is on disk there. Raises OSError, or RefusedError for what no other attempt
    will change."""
    with socket.create_connection(address, timeout=timeout_s) as connection:
        frames = _frames(connection)
        answer = f"\0{_KEY_NAME}\0{key}".encode()
        connection.sendall(amqp.SASL_HEADER + amqp.frame(amqp.SaslInit("PLAIN", answer, address[0])))
        if _next(frames, amqp.SaslOutcome).code != 0:
            raise RefusedError("the queues do not know the key of this home")
        target = Described(Ulong(0x29), [queue, *[None] * 6])
        source = Described(Ulong(0x28), ["lakehouse-actions", *[None] * 10])
        attach = amqp.Attach("alert", 0, amqp.SENDER, amqp.SETTLED_LATER, 0, source, target, None, None, 0)
        begun = (amqp.Open("lakehouse-actions", address[0], amqp.LARGEST_FRAME), amqp.Begin(None, 0, 100, 100), attach)
        connection.sendall(amqp.PLAIN_HEADER + b"".join(map(amqp.frame, begun)))
        _next(frames, amqp.Flow)
        connection.sendall(amqp.frame(amqp.Transfer(0, 0, b"alert", 0, False, False), 0, message.encoded()))
        state = _next(frames, amqp.Disposition).state
        if outcome_of(state) != "accepted":
            _refuse(state.value[0] if isinstance(state, Described) and state.value else None)
        connection.sendall(amqp.frame(amqp.Close()))


def _frames(connection: socket.socket) -> Iterator[Any]:
    reader = amqp.Reader()
    while data := connection.recv(_CHUNK):
        try:
            for found in reader.feed(data):
                if isinstance(found, amqp.Frame) and found.performative is not None:
                    yield found.performative
        except WireError as error:
            raise QueueClosedError(f"the queues speak no AMQP: {error}") from error
    raise QueueClosedError("the queues closed the connection")


def _next(frames: Iterator[Any], kind: type) -> Any:
    """The next performative of a kind; what ends link or connection meanwhile is an error."""
    for found in frames:
        if isinstance(found, kind):
            return found
        if isinstance(found, amqp.Detach | amqp.End | amqp.Close):
            _refuse(found.error)
    raise QueueClosedError("the queues closed the connection")


def _refuse(error: Any) -> None:
    said = error.value if isinstance(error, Described) and isinstance(error.value, list) else []
    condition, text = (str(said[0]), str(said[1])) if len(said) > 1 else ("", "the queues refuse the message")
    if Symbol(condition) in _REFUSED:
        raise RefusedError(text)
    raise QueueClosedError(text)
