"""MQTT 3.1.1 without a socket, reading: a packet's bytes in, its value out, for a server and for a client.

Belongs here: the packets as values, reading them, and what the standard says no packet may be. Where a packet ends
belongs in `mqtt_stream`, writing them in `mqtt_packets`, what a topic means in `hub_topics`; when something is sent is
for the hub and the edge to say.

Source: MQTT Version 3.1.1, OASIS Standard; the numbers in brackets are its normative statements.
"""

from dataclasses import dataclass
from typing import NamedTuple

from runtime.errors import WireError

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14

ACCEPTED, BAD_PROTOCOL, BAD_CLIENT_ID, UNAVAILABLE, BAD_CREDENTIALS, UNAUTHORISED = 0, 1, 2, 3, 4, 5
SUBSCRIPTION_FAILED = 0x80
DUP = 0x08
# the largest body that the length field can say
LARGEST = 268_435_455


class UnknownLevelError(WireError):
    """A CONNECT in another version than 3.1.1, to be answered with `BAD_PROTOCOL`."""


class Will(NamedTuple):
    """What a server publishes for a client that is gone without a DISCONNECT."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Connect:
    """A client's first packet; `keep_alive_s` 0 switches the time-out off."""

    client_id: str
    keep_alive_s: int = 60
    clean: bool = True
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None


class Publish(NamedTuple):
    """A message; `packet_id` is 0 for QoS 0. `topic` is as it came: `checked_topic` says whether it may be one."""

    topic: bytes
    packet_id: int
    payload: bytes
    flags: int

    @property
    def qos(self) -> int:
        """0, 1 or 2."""
        return self.flags >> 1 & 3

    @property
    def is_dup(self) -> bool:
        """True when the sender says that it may have sent this before."""
        return bool(self.flags & DUP)

    @property
    def is_retained(self) -> bool:
        """True for a message that was sent to be kept for later subscribers."""
        return bool(self.flags & 1)


class Subscribe(NamedTuple):
    """Filters with the QoS that is wished for each."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


class Unsubscribe(NamedTuple):
    """Filters to be forgotten."""

    packet_id: int
    filters: tuple[str, ...]


def read_publish(first: int, body: bytes) -> Publish:
    """A PUBLISH packet. Raises WireError for one that cannot be."""
    if first & 6 == 6:
        raise WireError("A PUBLISH with QoS 3.")
    if not first & 6 and first & DUP:
        raise WireError("A PUBLISH with QoS 0 says that it was sent before.")  # [3.3.1-2]
    end = 2 + (body[0] << 8 | body[1]) if len(body) >= 2 else 3
    after = end + 2 if first & 6 else end
    if len(body) < after or end == 2:
        raise WireError("A PUBLISH that ends before its topic or its packet id.")
    packet_id = 0
    if after != end:
        packet_id = body[end] << 8 | body[end + 1]
        if not packet_id:
            raise WireError("A packet id of 0.")  # [2.3.1-1]
    return Publish(body[2:end], packet_id, body[after:], first & 15)


def checked_topic(topic: bytes) -> str:
    """A topic to publish to as text. Raises WireError for a wildcard, a NUL, or bytes that are not UTF-8."""
    text = _text(topic)
    if "+" in text or "#" in text:
        raise WireError("A message is published to a topic with a wildcard.")  # [3.3.2-2]
    return text


def read_packet_id(body: bytes) -> int:
    """The packet id that PUBACK, UNSUBACK and others consist of. Raises WireError for another body."""
    if len(body) != 2 or body == b"\0\0":
        raise WireError("An acknowledgement without a packet id.")
    return int.from_bytes(body, "big")


def read_empty(body: bytes) -> None:
    """PINGREQ and DISCONNECT have no body. Raises WireError for one."""
    if body:
        raise WireError("A packet with a body where none belongs.")


def read_connect(body: bytes) -> Connect:
    """A CONNECT packet. Raises UnknownLevelError for another version, WireError for one that cannot be."""
    fields = _Fields(body)
    name, level = fields.blob(), fields.byte()
    if name != b"MQTT" or level != 4:
        if name not in (b"MQTT", b"MQIsdp"):
            raise WireError("A CONNECT of another protocol.")
        raise UnknownLevelError(f"MQTT level {level}: version 3.1.1 (level 4) is spoken here.")
    flags = fields.byte()
    keep_alive_s = fields.number()
    has_will, will_qos, will_retain = bool(flags & 4), flags >> 3 & 3, bool(flags & 32)
    if flags & 1 or will_qos == 3 or (not has_will and (will_qos or will_retain)):
        raise WireError("A CONNECT with flags that cannot be.")  # [3.1.2-3, -11, -13, -14, -15]
    if flags & 64 and not flags & 128:
        raise WireError("A CONNECT with a password and no user name.")  # [3.1.2-22]
    client_id = fields.text()
    will = Will(checked_topic(fields.blob()), fields.blob(), will_qos, will_retain) if has_will else None
    username = fields.text() if flags & 128 else None
    password = fields.blob() if flags & 64 else None
    fields.end()
    return Connect(client_id, keep_alive_s, bool(flags & 2), username, password, will)


def read_subscribe(body: bytes) -> Subscribe:
    """A SUBSCRIBE packet. Raises WireError for one without filters [3.8.3-3] or with a QoS of 3 [3-8.3-4]."""
    fields = _Fields(body)
    packet_id, filters = fields.packet_id(), []
    while fields:
        wished = (fields.text(), fields.byte())
        if wished[1] > 2 or not wished[0]:
            raise WireError("A subscription with an empty filter or a QoS above 2.")
        filters.append(wished)
    if not filters:
        raise WireError("A SUBSCRIBE without filters.")
    return Subscribe(packet_id, tuple(filters))


def read_unsubscribe(body: bytes) -> Unsubscribe:
    """An UNSUBSCRIBE packet. Raises WireError for one without filters [3.10.3-2]."""
    fields = _Fields(body)
    packet_id, filters = fields.packet_id(), []
    while fields:
        filters.append(fields.text())
    if not filters:
        raise WireError("An UNSUBSCRIBE without filters.")
    return Unsubscribe(packet_id, tuple(filters))


def read_connack(body: bytes) -> tuple[bool, int]:
    """A CONNACK: whether a session was there, and the return code."""
    if len(body) != 2 or body[0] > 1:
        raise WireError("A CONNACK that cannot be.")
    return bool(body[0]), body[1]


def read_suback(body: bytes) -> tuple[int, bytes]:
    """A SUBACK: its packet id and a return code for each filter."""
    return (fields := _Fields(body)).packet_id(), fields.rest()


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise WireError("A text that is not UTF-8.") from error  # [1.5.3-1]
    if "\0" in text:
        raise WireError("A text with a NUL.")  # [1.5.3-2]
    return text


class _Fields:
    """Reads a body field by field. Raises WireError where it ends too early."""

    __slots__ = ("_body", "_position")

    def __init__(self, body: bytes) -> None:
        self._body, self._position = body, 0

    def __bool__(self) -> bool:
        return self._position < len(self._body)

    def _take(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._body):
            raise WireError("A packet that ends within a field.")
        taken, self._position = self._body[self._position : end], end
        return taken

    def byte(self) -> int:
        return self._take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self._take(2), "big")

    def packet_id(self) -> int:
        number = self.number()
        if not number:
            raise WireError("A packet id of 0.")
        return number

    def blob(self) -> bytes:
        return self._take(self.number())

    def text(self) -> str:
        return _text(self.blob())

    def rest(self) -> bytes:
        return self._take(len(self._body) - self._position)

    def end(self) -> None:
        if self:
            raise WireError("Bytes behind the last field.")
