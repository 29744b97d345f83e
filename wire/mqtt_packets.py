"""MQTT 3.1.1 without a socket, writing: a packet's bytes, for a server and for a client.

Belongs here: one function for each kind of packet. Reading them, and their values, belong in `mqtt`.
"""

from collections.abc import Sequence

from runtime.errors import WireError
from wire.mqtt import CONNACK, CONNECT, DUP, LARGEST, PUBLISH, SUBACK, SUBSCRIBE, UNSUBSCRIBE, Connect

PINGREQ_PACKET, PINGRESP_PACKET, DISCONNECT_PACKET = b"\xc0\x00", b"\xd0\x00", b"\xe0\x00"


def connect(packet: Connect) -> bytes:
    """A CONNECT packet."""
    flags = 2 * packet.clean
    parts = [_blob(packet.client_id.encode())]
    if packet.will is not None:
        flags |= 4 | packet.will.qos << 3 | 32 * packet.will.retain
        parts += [_blob(packet.will.topic.encode()), _blob(packet.will.payload)]
    if packet.username is not None:
        flags |= 128
        parts.append(_blob(packet.username.encode()))
    if packet.password is not None:
        flags |= 64
        parts.append(_blob(packet.password))
    head = b"\x00\x04MQTT\x04" + bytes([flags]) + packet.keep_alive_s.to_bytes(2, "big")
    return _packet(CONNECT << 4, head + b"".join(parts))


def connack(code: int, *, is_session_present: bool = False) -> bytes:
    """A CONNACK packet."""
    return bytes([CONNACK << 4, 2, is_session_present, code])


def publish(
    topic: str, payload: bytes, packet_id: int = 0, *, is_dup: bool = False, is_retained: bool = False
) -> bytes:
    """A PUBLISH packet with QoS 1, or 0 when it has no packet id."""
    flags = PUBLISH << 4 | 2 * bool(packet_id) | DUP * is_dup | is_retained
    named = packet_id.to_bytes(2, "big") if packet_id else b""
    return _packet(flags, _blob(topic.encode()) + named + payload)


def puback(packet_id: int) -> bytes:
    """A PUBACK packet."""
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def subscribe(packet_id: int, filters: Sequence[tuple[str, int]]) -> bytes:
    """A SUBSCRIBE packet."""
    wished = b"".join(_blob(name.encode()) + bytes([qos]) for name, qos in filters)
    return _packet(SUBSCRIBE << 4 | 2, packet_id.to_bytes(2, "big") + wished)


def suback(packet_id: int, codes: Sequence[int]) -> bytes:
    """A SUBACK packet: a granted QoS, or `SUBSCRIPTION_FAILED`, for each filter."""
    return _packet(SUBACK << 4, packet_id.to_bytes(2, "big") + bytes(codes))


def unsubscribe(packet_id: int, filters: Sequence[str]) -> bytes:
    """An UNSUBSCRIBE packet."""
    named = b"".join(_blob(name.encode()) for name in filters)
    return _packet(UNSUBSCRIBE << 4 | 2, packet_id.to_bytes(2, "big") + named)


def unsuback(packet_id: int) -> bytes:
    """An UNSUBACK packet."""
    return b"\xb0\x02" + packet_id.to_bytes(2, "big")


def _packet(first: int, body: bytes) -> bytes:
    length, encoded = len(body), bytearray()
    if length > LARGEST:
        raise WireError(f"A packet of {length:,} bytes cannot be sent by MQTT.")
    while True:
        length, low = divmod(length, 128)
        encoded.append(low | 128 * bool(length))
        if not length:
            return bytes([first]) + encoded + body


def _blob(data: bytes) -> bytes:
    if len(data) > 65_535:
        raise WireError("A field of more than 65,535 bytes cannot be sent by MQTT.")
    return len(data).to_bytes(2, "big") + data
