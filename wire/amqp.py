"""AMQP 1.0 without a socket: bytes in, frames out, for a server and for a client.

Belongs here: the performatives as values, and frames. Types belong in `amqp_types`, messages in `amqp_message`; who
answers what to whom belongs in the peers of the hub and of the queues.

Source: OASIS AMQP Version 1.0, parts 2 and 5. Every field of a performative is always written, the absent ones as
null: clients are known that look for a field by its place without asking how many there are.
"""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

from runtime.errors import WireError
from wire.amqp_types import WIDTHS, Described, Symbol, Ubyte, Uint, Ulong, Ushort, decode, encode

PLAIN_HEADER, SASL_HEADER = b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00"
SENDER, RECEIVER = False, True
"""A link's role; `role` in a performative is true for a receiver."""

SETTLED_LATER, SETTLED_AT_ONCE, MIXED = Ubyte(0), Ubyte(1), Ubyte(2)
LARGEST_FRAME = 65_536

Fields = dict[Symbol, Any]


class Performative:
    """A performative: its fields in the order of the standard, each with the type that it is written as."""

    CODE: ClassVar[int]

    def encoded(self) -> bytes:
        """Its bytes."""
        values = [_typed(getattr(self, each.name), each.metadata.get("as", object)) for each in fields(self)]  # type: ignore[arg-type]
        return encode(Described(Ulong(self.CODE), values))


_MAP = {"as": dict}


def _as(kind: type, default: Any = None) -> Any:
    return field(default=default, metadata={"as": kind})


def _typed(value: Any, kind: type) -> Any:
    return kind(value) if value is not None and (kind is Symbol or kind in WIDTHS) else value


def _is_of(value: Any, kind: type) -> bool:
    """True when a peer may mean a field of `kind` by it: a number in any width that fits, a text in either type."""
    if kind in WIDTHS:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < WIDTHS[kind]
    return isinstance(value, str if kind is Symbol else kind)


@dataclass
class Open(Performative):
    """The connection's beginning."""

    CODE: ClassVar[int] = 0x10
    container_id: str = _as(str, "")
    hostname: str | None = _as(str)
    max_frame_size: int | None = _as(Uint)
    channel_max: int | None = _as(Ushort)
    idle_time_out: int | None = _as(Uint)
    outgoing_locales: Any = None
    incoming_locales: Any = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Fields | None = field(default=None, metadata=_MAP)


@dataclass
class Begin(Performative):
    """A session's beginning."""

    CODE: ClassVar[int] = 0x11
    remote_channel: int | None = _as(Ushort)
    next_outgoing_id: int = _as(Uint, 0)
    incoming_window: int = _as(Uint, 0)
    outgoing_window: int = _as(Uint, 0)
    handle_max: int | None = _as(Uint)
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Fields | None = field(default=None, metadata=_MAP)


@dataclass
class Attach(Performative):
    """A link's beginning."""

    CODE: ClassVar[int] = 0x12
    name: str = _as(str, "")
    handle: int = _as(Uint, 0)
    role: bool = _as(bool, SENDER)
    snd_settle_mode: int | None = _as(Ubyte)
    rcv_settle_mode: int | None = _as(Ubyte)
    source: Any = None
    target: Any = None
    unsettled: Any = None
    incomplete_unsettled: bool | None = _as(bool)
    initial_delivery_count: int | None = _as(Uint)
    max_message_size: int | None = _as(Ulong)
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Fields | None = field(default=None, metadata=_MAP)


@dataclass
class Flow(Performative):
    """Windows of a session, and with a handle the credit of a link."""

    CODE: ClassVar[int] = 0x13
    next_incoming_id: int | None = _as(Uint)
    incoming_window: int = _as(Uint, 0)
    next_outgoing_id: int = _as(Uint, 0)
    outgoing_window: int = _as(Uint, 0)
    handle: int | None = _as(Uint)
    delivery_count: int | None = _as(Uint)
    link_credit: int | None = _as(Uint)
    available: int | None = _as(Uint)
    drain: bool | None = _as(bool)
    echo: bool | None = _as(bool)
    properties: Fields | None = field(default=None, metadata=_MAP)


@dataclass
class Transfer(Performative):
    """A message, or with `more` a piece of one."""

    CODE: ClassVar[int] = 0x14
    handle: int = _as(Uint, 0)
    delivery_id: int | None = _as(Uint)
    delivery_tag: bytes | None = _as(bytes)
    message_format: int | None = _as(Uint)
    settled: bool | None = _as(bool)
    more: bool | None = _as(bool)
    rcv_settle_mode: int | None = _as(Ubyte)
    state: Any = None
    resume: bool | None = _as(bool)
    aborted: bool | None = _as(bool)
    batchable: bool | None = _as(bool)


@dataclass
class Disposition(Performative):
    """What became of deliveries."""

    CODE: ClassVar[int] = 0x15
    role: bool = _as(bool, RECEIVER)
    first: int = _as(Uint, 0)
    last: int | None = _as(Uint)
    settled: bool | None = _as(bool)
    state: Any = None
    batchable: bool | None = _as(bool)


@dataclass
class Detach(Performative):
    """A link's end."""

    CODE: ClassVar[int] = 0x16
    handle: int = _as(Uint, 0)
    closed: bool | None = _as(bool)
    error: Any = None


@dataclass
class End(Performative):
    """A session's end."""

    CODE: ClassVar[int] = 0x17
    error: Any = None


@dataclass
class Close(Performative):
    """The connection's end."""

    CODE: ClassVar[int] = 0x18
    error: Any = None


@dataclass
class SaslMechanisms(Performative):
    """What a server takes."""

    CODE: ClassVar[int] = 0x40
    mechanisms: Any = None


@dataclass
class SaslInit(Performative):
    """What a client chose, with its first answer."""

    CODE: ClassVar[int] = 0x41
    mechanism: str = _as(Symbol, "")
    initial_response: bytes | None = _as(bytes)
    hostname: str | None = _as(str)


@dataclass
class SaslOutcome(Performative):
    """0 when the client was let in."""

    CODE: ClassVar[int] = 0x44
    code: int = _as(Ubyte, 0)
    additional_data: bytes | None = _as(bytes)


_CONNECTION = (Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close)
_KINDS: dict[int, type[Performative]] = {
    kind.CODE: kind for kind in (*_CONNECTION, SaslMechanisms, SaslInit, SaslOutcome)
}
# a descriptor may be a name, too
_NAMES = {kind.__name__.lower(): kind.CODE for kind in _CONNECTION}


class Frame(NamedTuple):
    """A frame: a performative on a channel with what follows it; none keeps the connection alive."""

    channel: int
    performative: Performative | None
    payload: bytes = b""
    is_sasl: bool = False


class Reader:
    """Takes bytes as they come; gives protocol headers (as bytes) and frames."""

    __slots__ = ("_largest", "_rest", "_wanted")

    def __init__(self, largest_frame: int = LARGEST_FRAME) -> None:
        self._largest, self._rest, self._wanted = largest_frame, bytearray(), 8

    def feed(self, data: bytes) -> list[bytes | Frame]:
        """What is complete with `data`. Raises WireError for bytes that are neither, and for a frame too large."""
        self._rest += data
        if len(self._rest) < self._wanted:
            return []
        # joined once the frame is whole, not with each piece of it
        data, self._wanted = bytes(self._rest), 8
        found: list[bytes | Frame] = []
        position = 0
        while len(data) - position >= 8:
            if data[position : position + 4] == b"AMQP":
                found.append(data[position : position + 8])
                position += 8
                continue
            size = int.from_bytes(data[position : position + 4], "big")
            if not 8 <= size <= self._largest:
                raise WireError(f"An AMQP frame of {size:,} bytes, where {self._largest:,} are taken.")
            if len(data) - position < size:
                self._wanted = size
                break
            found.append(_frame(data[position : position + size]))
            position += size
        self._rest = bytearray(data[position:])
        return found


def _frame(data: bytes) -> Frame:
    offset, kind, channel = 4 * data[4], data[5], int.from_bytes(data[6:8], "big")
    if not 8 <= offset <= len(data) or kind > 1:
        raise WireError("An AMQP frame whose header cannot be.")
    if offset == len(data):
        return Frame(channel, None, is_sasl=kind == 1)
    described, end = decode(data, offset)
    return Frame(channel, _performative(described), data[end:], kind == 1)


def _performative(value: Any) -> Performative:
    # a descriptor may be any value, also one that is no key of a table
    is_one = isinstance(value, Described) and isinstance(value.descriptor, str | int)
    if not is_one or not isinstance(value.value, list):
        raise WireError("An AMQP frame without a performative.")
    name = str(value.descriptor).removeprefix("amqp:").removesuffix(":list")
    kind = _KINDS.get(_NAMES.get(name, 0) if isinstance(value.descriptor, str) else value.descriptor)
    if kind is None or len(value.value) > len(fields(kind)):  # type: ignore[arg-type]
        raise WireError(f"{value.descriptor!r} is no performative.")
    made = kind()
    for each, given in zip(fields(kind), value.value, strict=False):  # type: ignore[arg-type]
        if given is not None:
            if not _is_of(given, each.metadata.get("as", object)):
                raise WireError(f"The field {each.name} of an AMQP {kind.__name__} is {given!r:.100}.")
            setattr(made, each.name, given)
    return made


def frame(performative: Performative | None, channel: int = 0, payload: bytes = b"") -> bytes:
    """A frame's bytes; without a performative one that keeps the connection alive."""
    body = b"" if performative is None else performative.encoded() + payload
    is_sasl = performative is not None and performative.CODE >= 0x40
    return (len(body) + 8).to_bytes(4, "big") + bytes([2, is_sasl]) + channel.to_bytes(2, "big") + body


def error(condition: str, description: str) -> Described:
    """An error for a performative's `error`, or for a rejection."""
    return Described(Ulong(0x1D), [Symbol(condition), description, None])
