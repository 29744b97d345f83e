"""AMQP 1.0 messages: sections to bytes and back, and the outcomes of deliveries.

Belongs here: the message format. Frames belong in `amqp`.

Source: OASIS AMQP Version 1.0, part 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import WireError
from wire.amqp import error
from wire.amqp_types import Described, Symbol, Timestamp, Ubyte, Uint, Ulong, decode, encode

HEADER, DELIVERY, ANNOTATIONS = 0x70, 0x71, 0x72
_PROPERTIES, _APPLICATION = 0x73, 0x74
_DATA, _SEQUENCE, _VALUE, _FOOTER = 0x75, 0x76, 0x77, 0x78
_HEADER_FIELDS = (
    ("durable", None),
    ("priority", Ubyte),
    ("ttl", Uint),
    ("first_acquirer", None),
    ("delivery_count", Uint),
)
_PROPERTY_FIELDS = (
    ("message_id", None), ("user_id", None), ("to", None), ("subject", None), ("reply_to", None),
    ("correlation_id", None), ("content_type", Symbol), ("content_encoding", Symbol),
    ("absolute_expiry_time", Timestamp), ("creation_time", Timestamp), ("group_id", None), ("group_sequence", Uint),
    ("reply_to_group_id", None),
)  # fmt: skip


@dataclass
class AmqpMessage:
    """A message: `body` is the joined data sections, `value` another kind of body. Names of `properties` and `header`
    are the standard's with underscores."""

    body: bytes | None = None
    value: Any = None
    header: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    application: dict[str, Any] = field(default_factory=dict)
    annotations: dict[Any, Any] = field(default_factory=dict)
    data: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        """The body as bytes: its data, or a text or bytes that is its value."""
        if self.body is not None:
            return self.body
        return (
            self.value.encode() if isinstance(self.value, str) else self.value if isinstance(self.value, bytes) else b""
        )

    def encoded(self) -> bytes:
        """Its bytes."""
        parts: list[tuple[int, Any]] = []
        if self.header:
            parts.append((HEADER, [_typed(self.header.get(name), kind) for name, kind in _HEADER_FIELDS]))
        if self.annotations:
            parts.append((ANNOTATIONS, {Symbol(name): value for name, value in self.annotations.items()}))
        if self.properties:
            parts.append((_PROPERTIES, [_typed(self.properties.get(name), kind) for name, kind in _PROPERTY_FIELDS]))
        if self.application:
            parts.append((_APPLICATION, self.application))
        if self.data or self.body is not None or self.value is None:
            parts += [(_DATA, each) for each in self.data or [self.body or b""]]
        else:
            parts.append((_VALUE, self.value))
        return b"".join(encode(Described(Ulong(code), value)) for code, value in parts)


def read_message(data: bytes) -> AmqpMessage:
    """A message from its bytes. Raises WireError for bytes that are none."""
    message, position = AmqpMessage(), 0
    while position < len(data):
        section, position = decode(data, position)
        if not isinstance(section, Described) or not isinstance(section.descriptor, int):
            raise WireError("An AMQP message with a section that is none.")
        _take(message, int(section.descriptor), section.value)
    if message.data:
        message.body = b"".join(message.data)
    return message


def sections(data: bytes) -> list[tuple[int, bytes]]:
    """The sections of a message as they stand, each with its code. Raises WireError for bytes that are none."""
    found, position = [], 0
    while position < len(data):
        section, end = decode(data, position)
        if not isinstance(section, Described) or not isinstance(section.descriptor, int):
            raise WireError("An AMQP message with a section that is none.")
        found.append((int(section.descriptor), data[position:end]))
        position = end
    return found


def front(header: Mapping[str, Any], annotations: Mapping[Any, Any]) -> bytes:
    """The sections before a message's own, as who passes it on writes them."""
    named = {Symbol(name): value for name, value in annotations.items()}
    parts = ((HEADER, [_typed(header.get(name), kind) for name, kind in _HEADER_FIELDS]), (ANNOTATIONS, named))
    return b"".join(encode(Described(Ulong(code), value)) for code, value in parts)


def with_application(content: bytes, added: Mapping[str, Any]) -> bytes:
    """A message's own sections with application properties added, or changed where they are there."""
    found = sections(content)
    before = [data for code, data in found if code < _APPLICATION]
    known = [decode(data)[0].value for code, data in found if code == _APPLICATION]
    changed = encode(Described(Ulong(_APPLICATION), {**(known[0] if known else {}), **added}))
    return b"".join([*before, changed, *(data for code, data in found if code > _APPLICATION)])


def with_message_id(content: bytes, message_id: str) -> bytes:
    """A message's own sections with this message id."""
    found = sections(content)
    known = [decode(data)[0].value for code, data in found if code == _PROPERTIES]
    changed = encode(Described(Ulong(_PROPERTIES), [message_id, *(known[0] if known else [])[1:]]))
    return b"".join([changed, *(data for code, data in found if code != _PROPERTIES)])


def _take(message: AmqpMessage, code: int, value: Any) -> None:
    if code in (HEADER, _PROPERTIES) and isinstance(value, list):
        names = _HEADER_FIELDS if code == HEADER else _PROPERTY_FIELDS
        given = {name: each for (name, _), each in zip(names, value, strict=False) if each is not None}
        (message.header if code == HEADER else message.properties).update(given)
    elif code in (_APPLICATION, ANNOTATIONS) and isinstance(value, Mapping):
        (message.application if code == _APPLICATION else message.annotations).update(value)
    elif code == _DATA and isinstance(value, bytes):
        message.data.append(value)
    elif code in (_SEQUENCE, _VALUE):
        message.value = value
    elif code not in (DELIVERY, _FOOTER):
        raise WireError(f"An AMQP message with an unknown section {code:#04x}.")


def _typed(value: Any, kind: type | None) -> Any:
    return value if value is None or kind is None else kind(value)


ACCEPTED, RELEASED = Described(Ulong(0x24), []), Described(Ulong(0x26), [])


def rejected(condition: str | None = None, description: str = "") -> Described:
    """The outcome of a delivery that was not taken, with a reason if one is given."""
    return Described(Ulong(0x25), [error(condition, description) if condition else None])


def batched(data: bytes) -> list[bytes]:
    """The messages of a batch, each of which is a data section of it. Raises WireError."""
    return read_message(data).data


BATCH = 0x80013700
"""The format of a message that is a batch of others."""


def outcome_of(state: Any) -> str:
    """`accepted`, `rejected`, `released`, `modified`, `received`, or nothing for what is no state."""
    codes = {0x23: "received", 0x24: "accepted", 0x25: "rejected", 0x26: "released", 0x27: "modified"}
    if not isinstance(state, Described):
        return ""
    if isinstance(state.descriptor, str):
        return state.descriptor.removeprefix("amqp:").removesuffix(":list")
    return codes.get(state.descriptor, "") if isinstance(state.descriptor, int) else ""
