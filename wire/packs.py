"""Packs: one record that holds several messages, or one with its attributes inside.

Belongs here: CloudEvents in structured mode and in batches, SenML (RFC 8428), and lists of JSON objects; bytes in,
messages out. What a message means is judged afterwards, as if it had come alone.

What a pack is made of keeps its own text, digit for digit. A pack that cannot be taken apart is one part, as it came,
and so is an element of a batch that is no event: the others are not lost with it.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from json.decoder import JSONDecoder

from wire.senml import is_senml, senml_messages

MOST_PARTS = 10_000
"""A record with more is taken as it is, and refused."""

_MOST_NESTED = 3
_EVENT, _EVENTS = "application/cloudevents+json", "application/cloudevents-batch+json"
_SENML = ("application/senml+json", "application/sensml+json")
_SPACE = " \t\r\n"
_ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time", "dataschema")
_MAY_LACK = ("subject", "dataschema")
_DECODER = JSONDecoder()


@dataclass(frozen=True)
class Part:
    """One message: its CloudEvents attributes as `ce_*`, its content type and its payload."""

    attributes: Mapping[str, str | None]
    content_type: str | None
    value: bytes | None


def unpack(record: Part, received: str) -> list[Part]:
    """The messages of a record, one at least; `received` is the time of one that has none, in RFC 3339."""
    parts = _parts(record, received, 0)
    return parts if len(parts) <= MOST_PARTS else [record]


def _parts(record: Part, received: str, depth: int) -> list[Part]:
    try:
        return list(_unpacked(record, received, depth)) or [record]
    except (ValueError, ArithmeticError, RecursionError):
        return [record]


def _unpacked(record: Part, received: str, depth: int) -> Iterator[Part]:
    kind = (record.content_type or "").partition(";")[0].strip().lower()
    text = (record.value or b"").decode().strip(_SPACE)
    if depth < _MOST_NESTED and kind == _EVENT:
        yield from _parts(_event(text), received, depth + 1)
    elif depth < _MOST_NESTED and kind == _EVENTS:
        for each in _elements(text):
            yield from _of_batch(each, received, depth + 1)
    elif text.startswith("[") and (kind in _SENML or is_senml(text)):
        time = record.attributes.get("ce_time") or received
        for number, (moment, payload) in enumerate(senml_messages(text, time), 1):
            yield _of_pack(record, number, payload, {"ce_time": moment})
    elif text.startswith("["):
        elements = list(_elements(text))
        if not any(each.startswith("{") for each in elements):
            yield record
            return
        for number, payload in enumerate(elements, 1):
            yield _of_pack(record, number, payload, {})
    else:
        yield record


def _of_pack(record: Part, number: int, payload: str, more: Mapping[str, str]) -> Part:
    message_id = record.attributes.get("ce_id")
    of_part = {"ce_id": message_id and f"{message_id}#{number}"}
    return Part({**record.attributes, **of_part, **more}, "application/json", payload.encode())


def _of_batch(text: str, received: str, depth: int) -> list[Part]:
    """An element of a batch is an event by itself; what is none has no attributes. Source: CloudEvents 1.0, JSON event
    format, section 4."""
    try:
        event = _event(text)
    except ValueError:
        return [Part(dict.fromkeys(f"ce_{name}" for name in _ATTRIBUTES), _EVENT, text.encode())]
    return _parts(event, received, depth)


def _event(text: str) -> Part:
    """One event in structured mode. Raises ValueError for a text that is none.

    A name stands once, a subject is a text, and `data` and `data_base64` exclude each other (section 3.1.1).
    Source: CloudEvents 1.0, JSON event format, sections 2 and 3.
    """
    pairs = list(_members(text))
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands twice in the event")
    attributes: dict[str, str | None] = {}
    for name in _ATTRIBUTES:
        value = json.loads(members[name]) if name in members else None
        attributes[f"ce_{name}"] = _sendable(value) if name in _MAY_LACK else _sent(value)
    kind = json.loads(members.get("datacontenttype", "null"))
    kind = "application/json" if kind is None else kind
    event = Part(attributes, _sent(kind), None)
    data, encoded = members.get("data"), json.loads(members.get("data_base64", "null"))
    if encoded is not None:
        if data not in (None, "null"):
            raise ValueError("the event has both data and data_base64")
        try:
            return replace(event, value=base64.b64decode(encoded, validate=True))
        except (binascii.Error, TypeError) as error:
            raise ValueError("data_base64 is no Base64") from error
    if data is not None and data.startswith('"') and "json" not in str(kind).lower():
        return replace(event, value=str(json.loads(data)).encode())
    return replace(event, value=None if data is None else data.encode())


def _sent(value: object) -> str | None:
    """A text as a header could have brought it; None for what is none, as halves of characters, which JSON can name."""
    return value if isinstance(value, str) and _sendable(value) == value else None


def _sendable(value: object) -> str | None:
    """The same with a question mark for such a half, so that what an event names is not taken for left out.

    Raises ValueError for what is neither text nor null, for the same reason.
    """
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return None if value is None else value.encode("utf-8", "replace").decode()


def _members(text: str) -> Iterator[tuple[str, str]]:
    """Name and text of each member of a JSON object. Raises ValueError for another text."""
    place = _expect(text, 0, "{")
    while text[place : place + 1] != "}":
        _expect(text, place, '"')
        name, place = _DECODER.raw_decode(text, place)
        place = _skip(text, _expect(text, _skip(text, place), ":"))
        _, end = _DECODER.raw_decode(text, place)
        yield name, text[place:end]
        place = _next(text, end, "}")
    if text[place + 1 :].strip(_SPACE):
        raise ValueError("text behind the object")


def _elements(text: str) -> Iterator[str]:
    """The text of each element of a JSON list. Raises ValueError for another text."""
    place = _expect(text, 0, "[")
    while text[place : place + 1] != "]":
        _, end = _DECODER.raw_decode(text, place)
        yield text[place:end]
        place = _next(text, end, "]")
    if text[place + 1 :].strip(_SPACE):
        raise ValueError("text behind the list")


def _expect(text: str, place: int, sign: str) -> int:
    if text[place : place + 1] != sign:
        raise ValueError(f"{sign} is missing")
    return _skip(text, place + 1)


def _next(text: str, place: int, closing: str) -> int:
    """Where the next member begins, or the closing sign stands."""
    place = _skip(text, place)
    if text[place : place + 1] == closing:
        return place
    place = _expect(text, place, ",")
    if text[place : place + 1] == closing:
        raise ValueError("a comma too much")
    return place


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place
