"""Events of the built-in endpoint: a record of telemetry as a client of Event Hubs reads it.

Belongs here: properties and annotations, as IoT Hub names them. Links belong in `endpoint_links`.
Source: "Read device-to-cloud messages from the built-in endpoint" and "Create and read IoT Hub messages"
(learn.microsoft.com).
"""

from typing import Any

from confluent_kafka import Message

from hub.messages.device_messages import TENANT
from hub.registry.tenants import DEFAULT_TENANT
from wire.amqp_message import AmqpMessage
from wire.amqp_types import Long, Timestamp
from wire.envelope import CONTENT_TYPE, DATASCHEMA, ID, SOURCE, SUBJECT, TIME
from wire.times import moment_of_rfc3339

_APPLICATION = "iothub-app-"
# what is a property of the message, not an annotation
_PROPERTIES = {ID: "message_id", "iothub-correlation-id": "correlation_id", "iothub-user-id": "user_id"}
_ANNOTATIONS = {SUBJECT: "dt-subject", DATASCHEMA: "dt-dataschema"}


def tenant_of(record: Message) -> str:
    """Whose record it is: what names nobody is the lakehouse's own."""
    return _text(_headers(record).get(TENANT, DEFAULT_TENANT.encode()))


def event_of(record: Message) -> AmqpMessage:
    """The record as an event; its offset is its sequence number too."""
    headers = _headers(record)
    offset, (_, enqueued_ms) = record.offset() or 0, record.timestamp()
    source = _text(headers.get(SOURCE, b"")).split("/")
    made = AmqpMessage(
        body=_bytes(record.value()),
        properties=_properties(headers),
        application={
            name.removeprefix(_APPLICATION): _text(value)
            for name, value in headers.items()
            if name.startswith(_APPLICATION)
        },
        annotations={
            "x-opt-sequence-number": Long(offset),
            "x-opt-offset": str(offset),
            "x-opt-enqueued-time": Timestamp(enqueued_ms),
            "iothub-connection-device-id": _text(_bytes(record.key())),
            "iothub-enqueuedtime": Timestamp(enqueued_ms),
            "iothub-message-source": "Telemetry",
        },
    )
    if source[3:4] == ["modules"]:
        made.annotations["iothub-connection-module-id"] = source[-1]
    for name, value in headers.items():
        if name in _ANNOTATIONS:
            made.annotations[_ANNOTATIONS[name]] = _text(value)
        elif name.startswith("iothub-") and not name.startswith(_APPLICATION) and name not in _PROPERTIES:
            made.annotations[name] = _text(value)
    return made


def _properties(headers: dict[str, bytes]) -> dict[str, Any]:
    made: dict[str, Any] = {name: _text(headers[key]) for key, name in _PROPERTIES.items() if key in headers}
    if "user_id" in made:
        made["user_id"] = made["user_id"].encode()
    content_type, _, parameters = _text(headers.get(CONTENT_TYPE, b"")).partition(";")
    if content_type:
        made["content_type"] = content_type.strip().encode("ascii", "replace").decode()
    encoding = parameters.strip().removeprefix("charset=")
    if encoding:
        made["content_encoding"] = encoding.encode("ascii", "replace").decode()
    created = moment_of_rfc3339(_text(headers.get(TIME, b"")))
    if created is not None:
        made["creation_time"] = int(created.timestamp() * 1000)
    return made


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _headers(record: Message) -> dict[str, bytes]:
    found: Any = record.headers()
    return {name: value for name, value in found or () if value is not None}


def _bytes(value: str | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else (value or "").encode()
