"""Events of the built-in endpoint: a record of telemetry as a client of Event Hubs reads it.

Belongs here: properties and annotations, as IoT Hub names them. Links belong in `endpoint_links`.
Source: "Read device-to-cloud messages from the built-in endpoint" and "Create and read IoT Hub messages"
(learn.microsoft.com).
"""

from typing import Any

from confluent_kafka import Message

from hub.messages.device_messages import TENANT
from hub.registry.tenants import DEFAULT_TENANT
from runtime.kafka.record_headers import headers_of
from wire.amqp_message import AmqpMessage
from wire.amqp_types import Long, Timestamp
from wire.envelope import CONTENT_TYPE, DATASCHEMA, ID, SOURCE, SUBJECT, TIME
from wire.times import moment_of_rfc3339

_APPLICATION = "iothub-app-"
# older records have names in them that their senders chose
_NOT_TOLD = (_APPLICATION, "iothub-connection-device-id", "iothub-connection-module-id")
# what is a property of the message, not an annotation
_PROPERTIES = {ID: "message_id", "iothub-correlation-id": "correlation_id", "iothub-user-id": "user_id"}
_ANNOTATIONS = {SUBJECT: "dt-subject", DATASCHEMA: "dt-dataschema"}


def read_headers(record: Message) -> dict[str, bytes] | None:
    """The record's headers, to be asked once; None where they cannot be read, so that nobody knows whose it is."""
    found = headers_of(record)
    return None if found is None else {name: value for name, value in found if value is not None}


def tenant_of(headers: dict[str, bytes]) -> str:
    """Whose record it is: what names nobody is the lakehouse's own."""
    return _text(headers.get(TENANT, DEFAULT_TENANT.encode()))


def event_of(record: Message, headers: dict[str, bytes]) -> AmqpMessage:
    """The record as an event; its offset is its sequence number too."""
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
        annotations=_told_annotations(headers)
        # what the hub itself says of a message goes before what is told in it
        | {
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
    return made


def _told_annotations(headers: dict[str, bytes]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in headers.items():
        if name in _ANNOTATIONS:
            made[_ANNOTATIONS[name]] = _text(value)
        elif name.startswith("iothub-") and name not in _PROPERTIES and not name.startswith(_NOT_TOLD):
            made[name] = _text(value)
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


def _bytes(value: str | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else (value or "").encode()
