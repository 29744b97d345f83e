"""Device messages: what a client published, as the record that goes to Kafka.

Belongs here: the CloudEvents attributes and headers that follow from a client, its topic and its bag of properties.
Producing the record belongs in `landing`, what it means in `transforms`.

| record | from |
| --- | --- |
| key, ce_source | the device id; `/devices/{id}`, for a module `/devices/{id}/modules/{m}` |
| ce_id | `$.mid`, else `{hub}-{epoch}-{n}`, made at the first reception |
| ce_time | `iothub-creation-time-utc` or `$.ctime`, else the hub's clock at the first reception |
| ce_subject, ce_dataschema | `$.sub`; the model that the client said at CONNECT, else the registry speaks |
| content-type | `$.ct`, with `$.ce` as its charset; absent stays absent |
| iothub-* | everything else that came in the bag |
| hub_tenant | whose the client is; absent for the default tenant |
| hub_delivery | `{epoch}-{packet id}-{digest}`: what a repeat is recognised by |
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b

from wire.envelope import (
    CONTENT_TYPE,
    DATASCHEMA,
    ID,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    TELEMETRY_TYPE,
    TIME,
    TYPE,
    Headers,
)
from wire.hub_topics import Bag

DELIVERY = "hub_delivery"
TENANT = "hub_tenant"

_VERSION_1 = (SPECVERSION, b"1.0")
_TELEMETRY = (TYPE, TELEMETRY_TYPE.encode())
_CREATED = ("iothub-creation-time-utc", "$.ctime")
# the bag's short names that are headers under the anchor's long ones
_LONG = {
    "$.cid": "iothub-correlation-id",
    "$.uid": "iothub-user-id",
    "$.exp": "iothub-expiry",
    "$.on": "iothub-output-name",
    "$.to": "iothub-to",
    "$.ifid": "iothub-interface-id",
}
_MADE_BY_US = frozenset({"$.mid", "$.ct", "$.ce", "$.sub", *_CREATED})


def digest(topic: bytes, payload: bytes) -> bytes:
    """Eight bytes in hexadecimal that tell one message of a client from another."""
    return blake2b(payload, digest_size=8, key=topic[-64:]).hexdigest().encode()


@dataclass(slots=True)
class Shape:
    """What the messages to one topic have in common. `message_id` and `created` are there when the client set them."""

    message_id: bytes | None
    created: bytes | None
    rest: Headers
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def is_lasting(self) -> bool:
        """True when other messages will have the same shape, since nothing in it names this one."""
        return self.message_id is None and self.created is None


def shape_of(bag: Bag, model_id: str | None, method: str, flags: Headers) -> Shape:
    """The shape that a bag of properties gives to a message; `method` says how the client proved itself."""
    rest: Headers = [*flags]
    content = bag.get("$.ct")
    if content:
        encoding = bag.get("$.ce")
        charset = f"; charset={encoding}" if encoding and "charset" not in content.lower() else ""
        rest.append((CONTENT_TYPE, (content + charset).encode()))
    if bag.get("$.sub"):
        rest.append((SUBJECT, _utf8(bag["$.sub"])))
    if model_id:
        rest.append((DATASCHEMA, model_id.encode()))
    properties: dict[str, str] = {}
    for name, value in bag.items():
        if name in _MADE_BY_US:
            continue
        if name in _LONG:
            rest.append((_LONG[name], _utf8(value)))
        elif not name.startswith("$."):
            properties[name] = value or ""
            rest.append((f"iothub-app-{name}", _utf8(value)))
    rest.append(("iothub-connection-auth-method", method.encode()))
    created = next((bag[name] for name in _CREATED if bag.get(name)), None)
    mid = bag.get("$.mid")
    return Shape(_utf8(mid) if mid else None, created.encode() if created else None, rest, properties)


class Author:
    """A connection of a client: makes its records. `hub` and `epoch` make ids that no other connection makes."""

    __slots__ = ("_count", "_prefix", "_source", "epoch", "key")

    def __init__(self, device_id: str, module_id: str, hub: str, epoch: int) -> None:
        module = f"/modules/{module_id}" if module_id else ""
        self.key = device_id.encode()
        self._source = (SOURCE, f"/devices/{device_id}{module}".encode())
        self.epoch = epoch
        self._prefix = f"{hub}-{epoch}-".encode()
        self._count = 0

    def headers(
        self, shape: Shape, received: bytes, packet_id: int, digested: bytes, epoch: int | None = None
    ) -> Headers:
        """The record's headers; `received` is the hub's clock as ce_time. Packet id 0 is a QoS 0 message.

        `epoch` is that of the connection that the message first came by, if that was an earlier one.
        """
        message_id = shape.message_id
        if message_id is None:
            self._count += 1
            message_id = b"%b%d" % (self._prefix, self._count)
        made = [
            _VERSION_1,
            (ID, message_id),
            self._source,
            _TELEMETRY,
            (TIME, shape.created or received),
            *shape.rest,
        ]
        if packet_id:
            made.append((DELIVERY, b"%d-%d-%b" % (epoch or self.epoch, packet_id, digested)))
        return made


class ReceptionClock:
    """The hub's clock as ce_time, spelt once a millisecond."""

    __slots__ = ("_at_ms", "_text")

    def __init__(self) -> None:
        self._at_ms = -1
        self._text = b""

    def now(self) -> bytes:
        """This moment, in UTC with milliseconds."""
        now_ms = time.time_ns() // 1_000_000
        if now_ms != self._at_ms:
            self._at_ms = now_ms
            seconds, milliseconds = divmod(now_ms, 1000)
            moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
            self._text = f"{moment.isoformat()}.{milliseconds:03d}Z".encode()
        return self._text


def _utf8(value: str | None) -> bytes:
    return (value or "").encode("utf-8", "surrogatepass")
