"""AMQP 1.0's types: values to bytes and back.

Belongs here: the type system. What is made of values, performatives and messages, belongs in `amqp` and `amqp_message`.

Source: OASIS AMQP Version 1.0, part 1. Integers come back as a class of their own width, so that they can be sent back
as they came; Python's own `int` is sent as a long.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runtime.errors import WireError

_DEEPEST = 32


class Symbol(str):
    """A name out of ASCII."""

    __slots__ = ()


class Ubyte(int):
    """8 bits, without a sign."""


class Ushort(int):
    """16 bits, without a sign."""


class Uint(int):
    """32 bits, without a sign."""


class Ulong(int):
    """64 bits, without a sign."""


class Byte(int):
    """8 bits."""


class Short(int):
    """16 bits."""


class Int(int):
    """32 bits."""


class Long(int):
    """64 bits."""


class Timestamp(int):
    """Milliseconds since 1970."""


class Char(str):
    """One character."""

    __slots__ = ()


class Float(float):
    """32 bits; Python's own `float` is a double."""


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor that says what it is."""

    descriptor: Any
    value: Any


# the class, its code with the whole width, and struct's format
_FIXED: dict[type, tuple[int, str]] = {
    Ubyte: (0x50, ">B"), Ushort: (0x60, ">H"), Uint: (0x70, ">I"), Ulong: (0x80, ">Q"), Byte: (0x51, ">b"),
    Short: (0x61, ">h"), Int: (0x71, ">i"), Long: (0x81, ">q"), Timestamp: (0x83, ">q"), Float: (0x72, ">f"),
}  # fmt: skip
WIDTHS: dict[type, int] = {Ubyte: 2**8, Ushort: 2**16, Uint: 2**32, Ulong: 2**64}
"""The types without a sign, and the first number that each has no room for."""
# the same in one byte, for values that fit
_SMALL: dict[type, tuple[int, str, range]] = {
    Uint: (0x52, ">B", range(1, 256)), Ulong: (0x53, ">B", range(1, 256)), Int: (0x54, ">b", range(-128, 128)),
    Long: (0x55, ">b", range(-128, 128)),
}  # fmt: skip
_READ: dict[int, tuple[int, Callable[[bytes], Any]]] = {
    **{code: (struct.calcsize(form), lambda b, k=kind, f=form: k(struct.unpack(f, b)[0]))  # type: ignore[misc]
       for kind, (code, form) in _FIXED.items()},
    **{code: (1, lambda b, k=kind, f=form: k(struct.unpack(f, b)[0]))  # type: ignore[misc]
       for kind, (code, form, _) in _SMALL.items()},
    0x40: (0, lambda _: None), 0x41: (0, lambda _: True), 0x42: (0, lambda _: False), 0x43: (0, lambda _: Uint(0)),
    0x44: (0, lambda _: Ulong(0)), 0x45: (0, lambda _: []), 0x56: (1, lambda b: b != b"\0"),
    0x82: (8, lambda b: struct.unpack(">d", b)[0]), 0x98: (16, lambda b: UUID(bytes=bytes(b))),
    0x73: (4, lambda b: _char(b)),
    # decimals are kept as they came
    0x74: (4, bytes), 0x84: (8, bytes), 0x94: (16, bytes),
}  # fmt: skip


def encode(value: Any) -> bytes:
    """The bytes of a value. Raises WireError for one that AMQP has no type for, or that does not fit its type."""
    try:
        return _encode(value)
    except (struct.error, UnicodeEncodeError) as error:
        raise WireError(f"{value!r} does not fit its AMQP type: {error}.") from error


def _encode(value: Any) -> bytes:
    if value is None:
        return b"\x40"
    if isinstance(value, bool):
        return b"\x41" if value else b"\x42"
    if isinstance(value, int | Float):
        return _number(value)
    if isinstance(value, float):
        return b"\x82" + struct.pack(">d", value)
    if isinstance(value, Symbol):
        return _blob(0xA3, value.encode("ascii"))
    if isinstance(value, Char):
        return b"\x73" + value.encode("utf-32-be")
    if isinstance(value, str):
        return _blob(0xA1, value.encode())
    if isinstance(value, bytes | bytearray | memoryview):
        return _blob(0xA0, bytes(value))
    return _compound(value)


def _number(value: int | Float) -> bytes:
    kind = type(value) if type(value) in _FIXED else Long
    small = _SMALL.get(kind)
    if value == 0 and kind in (Uint, Ulong):
        return b"\x43" if kind is Uint else b"\x44"
    if small is not None and value in small[2]:
        return bytes([small[0]]) + struct.pack(small[1], value)
    code, form = _FIXED[kind]
    return bytes([code]) + struct.pack(form, value)


def _compound(value: Any) -> bytes:
    if isinstance(value, Described):
        return b"\0" + _encode(value.descriptor) + _encode(value.value)
    if isinstance(value, UUID):
        return b"\x98" + value.bytes
    if isinstance(value, Mapping):
        parts = [_encode(each) for pair in value.items() for each in pair]
        return _sized(0xC1, len(parts), b"".join(parts))
    if isinstance(value, tuple):
        return _symbols(value)
    if isinstance(value, Sequence):
        return _sized(0xC0, len(value), b"".join(map(_encode, value))) if value else b"\x45"
    raise WireError(f"AMQP has no type for a {type(value).__name__}.")


def _symbols(names: tuple[Any, ...]) -> bytes:
    """An array of symbols, the only arrays that the performatives have; or of texts."""
    body = b"".join(len(name.encode()).to_bytes(4, "big") + name.encode() for name in map(str, names))
    code = b"\xb3" if all(isinstance(name, Symbol) for name in names) else b"\xb1"
    content = len(names).to_bytes(4, "big") + code + body
    return b"\xf0" + len(content).to_bytes(4, "big") + content


def _blob(code: int, data: bytes) -> bytes:
    if len(data) < 256:
        return bytes([code, len(data)]) + data
    return bytes([code + 0x10]) + len(data).to_bytes(4, "big") + data


def _sized(code: int, count: int, body: bytes) -> bytes:
    if len(body) < 255 and count < 256:
        return bytes([code, len(body) + 1, count]) + body
    return bytes([code + 0x10]) + (len(body) + 4).to_bytes(4, "big") + count.to_bytes(4, "big") + body


def decode(data: bytes, position: int = 0) -> tuple[Any, int]:
    """The value at `position`, and where the next begins. Raises WireError for bytes that are none."""
    try:
        return _decode(data, position, _DEEPEST)
    except (struct.error, IndexError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise WireError(f"Bytes that are no AMQP value: {error}.") from error


def _decode(data: bytes, position: int, depth: int) -> tuple[Any, int]:
    if depth == 0:
        raise WireError(f"An AMQP value that is nested deeper than {_DEEPEST}.")
    code, position = data[position], position + 1
    if code:
        return _decode_as(code, data, position, depth)
    descriptor, position = _decode(data, position, depth - 1)
    value, position = _decode(data, position, depth - 1)
    return Described(descriptor, value), position


def _decode_as(code: int, data: bytes, position: int, depth: int) -> tuple[Any, int]:
    fixed = _READ.get(code)
    if fixed is not None:
        end = position + fixed[0]
        return fixed[1](_slice(data, position, end)), end
    if code & 0xF0 not in (0xA0, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0):
        raise WireError(f"An AMQP value of the unknown type {code:#04x}.")
    width = 4 if code & 0x10 else 1
    size = int.from_bytes(_slice(data, position, position + width), "big")
    start, end = position + width, position + width + size
    body = _slice(data, start, end)
    if code & 0xF0 in (0xA0, 0xB0):
        return _text_or_bytes(code & 0x0F, body), end
    return _items(code, body, width, depth), end


def _slice(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise WireError("An AMQP value that ends too early.")
    return bytes(data[start:end])


def _text_or_bytes(kind: int, body: bytes) -> Any:
    if kind == 0:
        return body
    if kind == 1:
        return body.decode()
    if kind == 3:
        return Symbol(body.decode("ascii"))
    raise WireError(f"An AMQP value of an unknown variable type {kind}.")


def _items(code: int, body: bytes, width: int, depth: int) -> Any:
    count, position = int.from_bytes(_slice(body, 0, width), "big"), width
    # each item has a byte at least, but for those that an array makes of nothing
    if count > len(body) and (code & 0xE0 != 0xE0 or count > 1024):
        raise WireError("An AMQP list that says it has more than it has.")
    items: list[Any] = []
    if code & 0xE0 == 0xE0:
        item_code, position = _item_code(body, position, depth)
        for _ in range(count):
            item, position = _decode_as(item_code, body, position, depth - 1)
            items.append(item)
        return tuple(items) if all(isinstance(item, Symbol) for item in items) else items
    for _ in range(count):
        item, position = _decode(body, position, depth - 1)
        items.append(item)
    if code & 0x0F == 0:
        return items
    if code & 0x0F != 1 or count % 2:
        raise WireError("An AMQP map that is none.")
    return dict(zip(items[::2], items[1::2], strict=True))


def _item_code(body: bytes, position: int, depth: int) -> tuple[int, int]:
    """The code that an array's items share; a descriptor before it says what they are, and is left out."""
    if body[position] == 0:
        _, position = _decode(body, position + 1, depth - 1)
    return body[position], position + 1


def _char(data: bytes) -> Char:
    return Char(bytes(data).decode("utf-32-be"))
