"""The envelope: a message as CloudEvents 1.0 in Kafka's binary mode.

Belongs here: attribute names, the kinds of message, the spelling of times, and building one Kafka record. Sending
belongs in `device_sim.producer` and in real devices; what a payload means belongs in `transforms`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

TELEMETRY_TOPIC = "telemetry"
LIFECYCLE_TOPIC = "lifecycle"

SPECVERSION = "ce_specversion"
ID = "ce_id"
SOURCE = "ce_source"
TYPE = "ce_type"
TIME = "ce_time"
SUBJECT = "ce_subject"
DATASCHEMA = "ce_dataschema"
CONTENT_TYPE = "content-type"
ATTRIBUTES = (SPECVERSION, ID, SOURCE, TYPE, SUBJECT, TIME, DATASCHEMA)
"""The Kafka headers that carry CloudEvents attributes."""

TELEMETRY_TYPE = "lakehouse.telemetry"
REGISTERED = "lakehouse.device.registered"
UPDATED = "lakehouse.device.updated"
MAINTENANCE_STARTED = "lakehouse.device.maintenance_started"
MAINTENANCE_ENDED = "lakehouse.device.maintenance_ended"
RETIRED = "lakehouse.device.retired"
LIFECYCLE_TYPES = frozenset({REGISTERED, UPDATED, MAINTENANCE_STARTED, MAINTENANCE_ENDED, RETIRED})
SITE_DECLARED = "lakehouse.site.declared"
"""On the lifecycle topic too, with the site's id as key."""

Headers = list[tuple[str, bytes]]
Wire = tuple[str, bytes | None, Headers, bytes]
"""A message as a plain tuple: topic, key, headers, value."""

# made once: a fleet sends hundreds of thousands of them
_VERSION_1 = (SPECVERSION, b"1.0")
_TELEMETRY = (TYPE, TELEMETRY_TYPE.encode())
_JSON = (CONTENT_TYPE, b"application/json")


@dataclass(slots=True)
class Message:
    """One Kafka record to be sent. `key` is the device id in UTF-8; None only in a broken message.

    Not to be changed, since repeats share it; frozen it would take four times as long to make.
    """

    topic: str
    key: bytes | None
    headers: Headers
    value: bytes


class TelemetryEnvelope:
    """What the telemetry of a device, or of one of its components, has in common; made once for many messages."""

    __slots__ = ("key", "last", "source")

    def __init__(self, device_id: str, component: str | None = None, dataschema: str | None = None) -> None:
        self.key = _utf8(device_id)
        self.source = (SOURCE, _utf8(source_of(device_id)))
        self.last = [_JSON]
        if component is not None:
            self.last.append((SUBJECT, _utf8(component)))
        if dataschema is not None:
            self.last.append((DATASCHEMA, _utf8(dataschema)))

    def message(self, message_id: str, time: str, payload: bytes) -> Message:
        """A reading: `time` is ce_time as it is to be sent, `payload` the JSON object of telemetry."""
        (wire,) = wires([(self, _utf8(message_id), _utf8(time), payload)])
        return Message(*wire)


Reading = tuple[TelemetryEnvelope, bytes, bytes, bytes]
"""A message of telemetry in parts: envelope, id, ce_time, payload."""


def wires(messages: Iterable[Message | Reading]) -> Iterator[Wire]:
    """What is to be sent, put together only now: a list of headers that is kept costs more than one made anew."""
    for each in messages:
        if not isinstance(each, tuple):
            yield each.topic, each.key, each.headers, each.value
        else:
            envelope, message_id, time, payload = each
            headers = [
                _VERSION_1, (ID, message_id), envelope.source, _TELEMETRY, (TIME, time), *envelope.last
            ]  # fmt: skip
            yield TELEMETRY_TOPIC, envelope.key, headers, payload


def lifecycle_message(
    device_id: str, message_id: str, kind: str, time: str, attributes: Mapping[str, str | int] | None = None
) -> Message:
    """A change of a device's registry record that takes effect at `time`.

    `attributes` may name `model_id`, `site_id` and `reporting_interval_s`; those left out stay as they were.
    """
    return _of_lifecycle(device_id, (message_id, source_of(device_id), kind, time), attributes or {})


def site_message(site_id: str, message_id: str, time: str, attributes: Mapping[str, str] | None = None) -> Message:
    """What is declared of a site. `attributes` may name `name`, `zone` and `parent_id`; those left out stay as they
    were, and an empty text takes one away."""
    return _of_lifecycle(site_id, (message_id, f"/sites/{site_id}", SITE_DECLARED, time), attributes or {})


def _of_lifecycle(key: str, of_event: tuple[str, str, str, str], attributes: Mapping[str, str | int]) -> Message:
    value = _json(attributes)
    named = zip((ID, SOURCE, TYPE, TIME), map(_utf8, of_event), strict=True)
    return Message(LIFECYCLE_TOPIC, _utf8(key), [_VERSION_1, *named, _JSON], value)


def _json(attributes: Mapping[str, str | int]) -> bytes:
    try:
        return json.dumps(dict(attributes), ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # half of a character has no bytes: escaped it goes on its way, and keeps nothing behind it back
        return json.dumps(dict(attributes), separators=(",", ":")).encode()


def source_of(device_id: str) -> str:
    """CloudEvents `source` of a device."""
    return f"/devices/{device_id}"


def rfc3339(moment: datetime) -> str:
    """A moment as ce_time: UTC with milliseconds, or microseconds where it has them.

    Raises ValueError for a moment without a time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone.")
    utc = moment.astimezone(UTC)
    precision = "microseconds" if utc.microsecond % 1000 else "milliseconds"
    return utc.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def header(message: Message, name: str) -> bytes | None:
    """The value of a header, None when the message has none of that name."""
    return next((value for key, value in message.headers if key == name), None)


def with_header(message: Message, name: str, value: bytes | None) -> Message:
    """The message with one header set anew, or left out for None."""
    headers = [(key, old) for key, old in message.headers if key != name]
    if value is not None:
        headers.append((name, value))
    return Message(message.topic, message.key, headers, message.value)


def _utf8(text: str) -> bytes:
    # half a surrogate pair, as JSON can name one, is sent as it is for silver to refuse
    return text.encode("utf-8", "surrogatepass")
