"""MQTT packets: what is written is read again however the bytes arrive, and what no packet may be is refused."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import WireError
from wire import mqtt, mqtt_packets
from wire.mqtt import Connect, UnknownLevelError, Will
from wire.mqtt_stream import Reader, TooLargeError

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)
TOPICS = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=50)
IDS = st.integers(1, 65535)
WILLS = st.none() | st.builds(Will, TOPICS, st.binary(max_size=50), st.integers(0, 2), st.booleans())
NAMES = st.none() | TEXTS


@given(
    st.builds(Connect, TEXTS, st.integers(0, 65535), st.booleans(), TEXTS, st.none() | st.binary(max_size=300), WILLS)
)
def test_a_connect_is_read_as_written(packet: Connect) -> None:
    """Every field of a CONNECT survives."""
    ((first, body),) = Reader().feed(mqtt_packets.connect(packet))
    assert first == mqtt.CONNECT << 4
    assert mqtt.read_connect(body) == packet


@given(st.lists(st.tuples(TOPICS, st.binary(max_size=300), st.integers(0, 65535), st.booleans())), st.data())
def test_messages_are_read_however_they_arrive(
    messages: list[tuple[str, bytes, int, bool]], data: st.DataObject
) -> None:
    """A stream that is cut anywhere gives the same packets."""
    stream = b"".join(mqtt_packets.publish(t, p, i, is_dup=d and i > 0) for t, p, i, d in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, packets = Reader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        packets += reader.feed(stream[start:end])
    read = [mqtt.read_publish(first, body) for first, body in packets]
    assert [(mqtt.checked_topic(p.topic), p.payload, p.packet_id, p.is_dup) for p in read] == [
        (t, p, i, d and i > 0) for t, p, i, d in messages
    ]


@given(IDS, st.lists(st.tuples(TOPICS, st.integers(0, 2)), min_size=1, max_size=5))
def test_subscriptions_are_read_as_written(packet_id: int, filters: list[tuple[str, int]]) -> None:
    """SUBSCRIBE, SUBACK and UNSUBSCRIBE keep their packet id and what they name."""
    ((_, body),) = Reader().feed(mqtt_packets.subscribe(packet_id, filters))
    assert mqtt.read_subscribe(body) == (packet_id, tuple(filters))
    names = [name for name, _ in filters]
    ((_, body),) = Reader().feed(mqtt_packets.unsubscribe(packet_id, names))
    assert mqtt.read_unsubscribe(body) == (packet_id, tuple(names))
    ((_, body),) = Reader().feed(mqtt_packets.suback(packet_id, [qos for _, qos in filters]))
    assert mqtt.read_suback(body) == (packet_id, bytes(qos for _, qos in filters))


READERS = {
    mqtt.CONNECT: mqtt.read_connect,
    mqtt.CONNACK: mqtt.read_connack,
    mqtt.PUBACK: mqtt.read_packet_id,
    mqtt.SUBSCRIBE: mqtt.read_subscribe,
    mqtt.SUBACK: mqtt.read_suback,
    mqtt.UNSUBSCRIBE: mqtt.read_unsubscribe,
    mqtt.PINGREQ: mqtt.read_empty,
}


@given(st.sampled_from([*READERS, mqtt.PUBLISH]), st.integers(0, 15), st.binary(max_size=80))
def test_any_body_is_read_or_refused(kind: int, flags: int, body: bytes) -> None:
    """No bytes whatever raise anything but WireError."""
    try:
        if kind == mqtt.PUBLISH:
            mqtt.checked_topic(mqtt.read_publish(kind << 4 | flags, body).topic)
        else:
            READERS[kind](body)
    except WireError:
        pass


@given(st.lists(st.binary(max_size=40)))
def test_any_stream_is_read_or_refused(chunks: list[bytes]) -> None:
    """The reader takes any bytes in any pieces, and raises nothing but WireError."""
    reader = Reader(1000)
    try:
        for chunk in chunks:
            for _, body in reader.feed(chunk):
                assert len(body) <= 1000
    except WireError:
        pass


def _connect_body(protocol: bytes = b"\x00\x04MQTT", level: int = 4, flags: int = 2, rest: bytes = b"\0\1a") -> bytes:
    return protocol + bytes([level, flags]) + b"\0\x3c" + rest


@pytest.mark.parametrize(
    "body",
    [
        _connect_body(flags=3),  # the reserved bit [3.1.2-3]
        _connect_body(flags=8),  # a QoS of a will that is not there [3.1.2-13]
        _connect_body(flags=32),  # a retained will that is not there [3.1.2-15]
        _connect_body(flags=4 | 24, rest=b"\0\1a\0\1t\0\0"),  # a will of QoS 3 [3.1.2-14]
        _connect_body(flags=64, rest=b"\0\1a\0\1p"),  # a password without a name [3.1.2-22]
        _connect_body(rest=b"\0\1a\0"),  # bytes behind
        _connect_body(rest=b"\0\2a"),  # a field that ends too early
        _connect_body(rest=b"\0\1\xff"),  # not UTF-8 [1.5.3-1]
        _connect_body(rest=b"\0\3\xed\xa0\x80"),  # half a surrogate pair [1.5.3-1]
        _connect_body(rest=b"\0\1\0"),  # a NUL [1.5.3-2]
        _connect_body(protocol=b"\x00\x04HTTP"),
    ],
)
def test_a_connect_that_cannot_be_is_refused(body: bytes) -> None:
    """The standard's rules for CONNECT hold."""
    with pytest.raises(WireError):
        mqtt.read_connect(body)


@pytest.mark.parametrize(("protocol", "level"), [(b"\x00\x04MQTT", 5), (b"\x00\x06MQIsdp", 3), (b"\x00\x04MQTT", 132)])
def test_another_version_is_told_apart(protocol: bytes, level: int) -> None:
    """MQTT 5 and 3.1 are named, so that they can be answered with code 1 [3.1.2-2]."""
    with pytest.raises(UnknownLevelError):
        mqtt.read_connect(_connect_body(protocol, level))


@pytest.mark.parametrize(
    ("first", "body"),
    [
        (0x36, b"\0\1t\0\1"),  # QoS 3 [3.3.1-4]
        (0x38, b"\0\1t"),  # a repeat with QoS 0 [3.3.1-2]
        (0x32, b"\0\1t\0\0"),  # a packet id of 0 [2.3.1-1]
        (0x32, b"\0\1t\0"),
        (0x30, b"\0\0"),  # no topic [4.7.3-1]
        (0x30, b"\0\5t"),
        (0x30, b""),
    ],
)
def test_a_publish_that_cannot_be_is_refused(first: int, body: bytes) -> None:
    """The standard's rules for PUBLISH hold."""
    with pytest.raises(WireError):
        mqtt.read_publish(first, body)


@pytest.mark.parametrize("topic", [b"a/+", b"a/#", b"a\0b", b"\xff", b"\xed\xa0\x80"])
def test_a_topic_that_cannot_be_is_refused(topic: bytes) -> None:
    """A message goes to no wildcard [3.3.2-2], and a topic is UTF-8 without NUL."""
    with pytest.raises(WireError):
        mqtt.checked_topic(topic)


@pytest.mark.parametrize(
    "stream",
    [
        b"\x80\x02\0\1",  # SUBSCRIBE without its flags [3.8.1-1]
        b"\x60\x02\0\1",  # PUBREL without its flags [3.6.1-1]
        b"\xa0\x02\0\1",  # UNSUBSCRIBE without its flags [3.10.1-1]
        b"\xc1\x00",
        b"\x00\x00",
        b"\xf0\x00",
        b"\x30\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\xf0\xff",  # refused before its length is complete
    ],
)
def test_a_stream_that_cannot_be_is_refused(stream: bytes) -> None:
    """Reserved bits and the length's four bytes hold [2.2.2-1]."""
    with pytest.raises(WireError):
        Reader().feed(stream)


def test_a_packet_too_large_is_refused_before_it_came() -> None:
    """The length alone is enough: nobody makes the reader keep what it does not take."""
    with pytest.raises(TooLargeError, match="257"):
        Reader(256).feed(b"\x32\x81\x02")
    assert Reader(256).feed(b"\x32\x80\x02") == []


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (mqtt.read_subscribe, b"\0\1"),  # no filter [3.8.3-3]
        (mqtt.read_subscribe, b"\0\1\0\1a\3"),  # QoS 3 [3.8.3-4]
        (mqtt.read_subscribe, b"\0\0\0\1a\1"),
        (mqtt.read_subscribe, b"\0\1\0\0\1"),  # an empty filter [4.7.3-1]
        (mqtt.read_unsubscribe, b"\0\1"),  # no filter [3.10.3-2]
        (mqtt.read_packet_id, b"\0\0"),
        (mqtt.read_packet_id, b"\0\1\2"),
        (mqtt.read_empty, b"\0"),
    ],
)
def test_other_packets_that_cannot_be_are_refused(read: object, body: bytes) -> None:
    """So do the rules of the other packets."""
    assert callable(read)
    with pytest.raises(WireError):
        read(body)


def test_the_first_packet_has_a_limit_of_its_own() -> None:
    """It is too large where later ones are not, also one that comes in the same piece."""
    large = mqtt_packets.publish("t", b"x" * 500)
    with pytest.raises(TooLargeError, match="100 are taken"):
        Reader(1000, 100).feed(large[:3])
    reader = Reader(1000, 100)
    ping = bytes([mqtt.PINGREQ << 4, 0])
    assert [first for first, _ in reader.feed(ping + large)] == [ping[0], large[0]]
    assert len(reader.feed(large)) == 1


def test_a_packet_in_small_pieces_costs_what_it_has() -> None:
    """Not with each piece all that came before it: that would be minutes of the hub's time."""
    packet, reader = mqtt_packets.publish("t", bytes(2_000_000)), Reader()
    began = time.process_time()
    found = [each for place in range(0, len(packet), 50) for each in reader.feed(packet[place : place + 50])]
    assert time.process_time() - began < 10
    ((_, body),) = found
    assert body.endswith(bytes(2_000_000))
