"""AMQP 1.0: what is written is read again however the bytes arrive, and any other bytes are refused."""

import contextlib
import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import WireError
from wire import amqp
from wire.amqp import Frame, Reader
from wire.amqp_message import ACCEPTED, AmqpMessage, outcome_of, read_message, rejected
from wire.amqp_types import (
    Byte,
    Char,
    Described,
    Float,
    Int,
    Long,
    Short,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
    decode,
    encode,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
NAMES = st.text(st.characters(max_codepoint=126, min_codepoint=33), min_size=1, max_size=20).map(Symbol)
WIDTHS = {
    Ubyte: (0, 2**8), Ushort: (0, 2**16), Uint: (0, 2**32), Ulong: (0, 2**64), Byte: (-(2**7), 2**7),
    Short: (-(2**15), 2**15), Int: (-(2**31), 2**31), Long: (-(2**63), 2**63), Timestamp: (-(2**63), 2**63),
}  # fmt: skip
NUMBERS = st.one_of([st.integers(low, high - 1).map(kind) for kind, (low, high) in WIDTHS.items()])
SCALARS = st.one_of(
    st.none(), st.booleans(), NUMBERS, TEXTS, NAMES, st.binary(max_size=300), st.uuids(), st.floats(allow_nan=False),
    st.floats(width=32, allow_nan=False).map(Float), st.characters(exclude_categories=["Cs"]).map(Char),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(TEXTS, inner, max_size=5),
        st.builds(Described, st.integers(0, 2**64 - 1).map(Ulong), inner),
    ),
    max_leaves=10,
)


@given(VALUES)
def test_a_value_is_read_as_written(value: object) -> None:
    """Every type survives, its width too."""
    read, end = decode(encode(value))
    assert read == value
    assert type(read) is type(value)
    assert end == len(encode(value))


def test_a_number_keeps_its_type() -> None:
    """An id goes back as it came: a peer compares bytes."""
    for value in (Ulong(0), Ulong(7), Ulong(2**40), Uint(0), Int(200), Long(-3), Ubyte(5)):
        assert type(decode(encode(value))[0]) is type(value)
    assert encode(5) == encode(Long(5))
    assert math.isnan(decode(encode(math.nan))[0])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    """No bytes whatever raise anything but WireError."""
    with contextlib.suppress(WireError):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 40,  # descriptors of descriptors without end
        b"\xd0\x00\x00\x00\x08\xff\xff\xff\xff",  # a list of four billion
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",  # four billion times nothing
        b"\xd1\x00\x00\x00\x05\x00\x00\x00\x01\x40",  # half a pair
        b"\xc1\x03\x02\x45\x40",  # a list as a name in a map
        b"\xa1\x02\xff\xfe",
        b"\x99",
    ],
)
def test_what_is_no_value_is_refused(data: bytes) -> None:
    """Neither time nor memory is spent on what says it is more than it is."""
    with pytest.raises(WireError):
        decode(data)


@pytest.mark.parametrize("value", [Ubyte(256), Uint(-1), Int(2**31), Symbol("ü"), object(), {"a": {1, 2}}])
def test_what_has_no_type_is_not_written(value: object) -> None:
    """A value that does not fit is a WireError."""
    with pytest.raises(WireError):
        encode(value)


PERFORMATIVES = [
    amqp.Open("c", "h", 65536, 255, 1000), amqp.Begin(1, 2, 3, 4, 5), amqp.Flow(1, 2, 3, 4, 5, 6, 7, 8, True, False),
    amqp.Attach("l", 3, amqp.RECEIVER, 0, 1, Described(Ulong(0x28), ["a"]), None, {}, False, 0, 2**40),
    amqp.Transfer(1, 2, b"tag", 0, False, True), amqp.Disposition(True, 1, 2, True, ACCEPTED, False),
    amqp.Detach(1, True, amqp.error("amqp:not-found", "no")), amqp.End(), amqp.Close(),
    amqp.SaslMechanisms((Symbol("PLAIN"), Symbol("ANONYMOUS"))), amqp.SaslInit("PLAIN", b"\0a\0b"), amqp.SaslOutcome(1),
]  # fmt: skip


@pytest.mark.parametrize("performative", PERFORMATIVES, ids=lambda each: type(each).__name__)
def test_a_performative_is_read_as_written_with_all_its_fields(performative: amqp.Performative) -> None:
    """Absent fields are written as null: some clients look for a field by its place."""
    (frame,) = Reader().feed(amqp.frame(performative, 5, b"payload"))
    assert isinstance(frame, Frame)
    assert (frame.channel, frame.performative, frame.payload) == (5, performative, b"payload")
    described, _ = decode(performative.encoded())
    assert len(described.value) == len(fields(performative))  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 200), max_size=8), st.data())
def test_frames_are_read_however_they_arrive(sizes: list[int], data: st.DataObject) -> None:
    """Protocol headers, frames and empty frames, cut anywhere."""
    stream = amqp.SASL_HEADER + b"".join(
        amqp.frame(amqp.Transfer(n), n, b"x" * size) if size else amqp.frame(None) for n, size in enumerate(sizes)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, found = Reader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
    assert found[0] == amqp.SASL_HEADER
    read = [len(each.payload) if each.performative else 0 for each in found[1:] if isinstance(each, Frame)]
    assert read == sizes


@given(st.lists(st.binary(max_size=60)))
def test_any_stream_is_read_or_refused(chunks: list[bytes]) -> None:
    """The reader raises nothing but WireError, and keeps no more than a frame."""
    reader = Reader(512)
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except WireError:
        pass


@given(st.binary(max_size=100))
def test_any_frame_body_is_read_or_refused(body: bytes) -> None:
    """Also behind a header that fits."""
    data = (len(body) + 8).to_bytes(4, "big") + b"\2\0\0\0" + body
    with contextlib.suppress(WireError):
        Reader().feed(data)


@pytest.mark.parametrize("descriptor", [{}, [], Described(Ulong(1), 1), None, 1.5], ids=repr)
def test_a_descriptor_of_any_type_is_refused(descriptor: object) -> None:
    """A frame whose descriptor is no number and no name is a WireError, and what it describes is no outcome."""
    body = encode(Described(descriptor, []))
    with pytest.raises(WireError):
        Reader().feed((len(body) + 8).to_bytes(4, "big") + b"\2\0\0\0" + body)
    assert outcome_of(Described(descriptor, [])) == ""


def test_a_field_of_another_type_is_refused() -> None:
    """A peer cannot bring a text where a number belongs."""
    body = encode(Described(Ulong(0x13), ["text"]))
    with pytest.raises(WireError):
        Reader().feed((len(body) + 8).to_bytes(4, "big") + b"\2\0\0\0" + body)
    with pytest.raises(WireError):
        Reader(512).feed(b"\0\0\x10\0\2\0\0\0")


def test_a_message_is_read_as_written() -> None:
    """Sections, ids of any type, data and other bodies."""
    message = AmqpMessage(
        b"body", header={"ttl": Uint(5), "delivery_count": Uint(2)},
        properties={"message_id": Ulong(7), "to": "/devices/d", "absolute_expiry_time": Timestamp(5)},
        application={"a": "b", "n": Int(3)}, annotations={Symbol("x-opt"): Long(1)},
    )  # fmt: skip
    read = read_message(message.encoded())
    assert (read.content, read.header, read.application) == (b"body", message.header, message.application)
    assert read.properties == message.properties
    assert type(read.properties["message_id"]) is Ulong
    assert read_message(AmqpMessage(value="text").encoded()).content == b"text"
    batch = read_message(AmqpMessage(data=[b"1", b"2"]).encoded())
    assert batch.data == [b"1", b"2"]


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    """No bytes whatever raise anything but WireError."""
    with contextlib.suppress(WireError):
        read_message(data)


def test_outcomes_are_told_apart() -> None:
    """By code and by name; what is no state is none."""
    assert outcome_of(ACCEPTED) == "accepted"
    assert outcome_of(rejected("amqp:not-found", "x")) == "rejected"
    assert outcome_of(Described(Symbol("amqp:released:list"), [])) == "released"
    assert outcome_of(None) == ""
    assert outcome_of(Described(Ulong(99), [])) == ""
