"""Packs: structured events, batches, SenML and lists, taken apart without a digit changed."""

import pytest

from wire.packs import MOST_PARTS, Part, unpack

RECEIVED = "2025-03-02T00:00:00.000Z"
OWN = {"ce_id": "g", "ce_source": "/devices/k", "ce_type": "lakehouse.telemetry", "ce_time": "2025-03-01T00:10:00Z"}


def parts_of(value: bytes, kind: str = "application/json") -> list[Part]:
    return unpack(Part(OWN, kind, value), RECEIVED)


def said(value: bytes, kind: str = "application/json") -> list[tuple[str | None, str | None, bytes | None]]:
    """Id, time and payload of each message."""
    return [(p.attributes.get("ce_id"), p.attributes.get("ce_time"), p.value) for p in parts_of(value, kind)]


EVENT = (
    b'{"specversion":"1.0","type":"t","time":"2025-03-01T00:00:00Z","id":"f1","source":"/devices/k6",'
    b'"subject":"motor","dataschema":"dtmi:x:y;1","extension":7,"datacontenttype":"application/json", "data" : %s }'
)


@pytest.mark.parametrize("kind", ["application/cloudevents+json", "Application/CloudEvents+JSON; charset=utf-8"])
@pytest.mark.parametrize("data", [b'{"temperature":20.00}', b'{"a":1,"a":2}', b"[1]", b"NaN", b'"text"'])
def test_an_event_in_structured_mode_is_its_attributes_and_its_data(kind: str, data: bytes) -> None:
    """The payload is the text of `data`, for whoever judges it."""
    (part,) = parts_of(EVENT % data, kind)
    assert part.value == data
    assert {name: value for name, value in part.attributes.items() if value} == {
        "ce_specversion": "1.0", "ce_type": "t", "ce_time": "2025-03-01T00:00:00Z", "ce_id": "f1",
        "ce_source": "/devices/k6", "ce_subject": "motor", "ce_dataschema": "dtmi:x:y;1",
    }  # fmt: skip


def test_half_a_character_in_an_event_is_none() -> None:
    """As it could not have come in a header; what names a component or a model names an unknown one, not none."""
    half = b'{"id":"\\ud800","source":"\\udfff","time":"\\ud800","subject":"m\\ud800","dataschema":"\\ud800",' \
           b'"datacontenttype":"\\ud800","data":{"t":1}}'  # fmt: skip
    (part,) = parts_of(half, "application/cloudevents+json")
    assert (part.content_type, part.value) == (None, b'{"t":1}')
    assert {name: value for name, value in part.attributes.items() if value} == {
        "ce_subject": "m?", "ce_dataschema": "?",
    }  # fmt: skip


def test_a_content_type_of_null_is_none_that_is_said() -> None:
    """Then `data` is JSON: CloudEvents' JSON format, section 2.2 takes null for left out."""
    (part,) = parts_of(b'{"id":"e","datacontenttype":null,"data":"{}"}', "application/cloudevents+json")
    assert (part.content_type, part.value) == ("application/json", b'"{}"')


def test_data_may_be_base64_or_a_list() -> None:
    """A batch of events, one of which is a pack again."""
    value = b'[{"id":"b","data_base64":"eyJ0IjoxfQ=="},{"id":"c","data":[{"x":1},{"x":2}]},{"id":"d"}]'
    assert said(value, "application/cloudevents-batch+json") == [
        ("b", None, b'{"t":1}'), ("c#1", None, b'{"x":1}'), ("c#2", None, b'{"x":2}'), ("d", None, None),
    ]  # fmt: skip


def test_a_list_of_objects_is_a_message_each() -> None:
    """With ids of their own, so that the same list again is the same messages; what is no object is judged too."""
    assert said(b' [{"t":20.0}, {"t":[1,{"a":"]"}]} ,5]') == [
        ("g#1", OWN["ce_time"], b'{"t":20.0}'),
        ("g#2", OWN["ce_time"], b'{"t":[1,{"a":"]"}]}'),
        ("g#3", OWN["ce_time"], b"5"),
    ]


def test_senml_is_a_message_a_moment() -> None:
    """Base name, time and value hold for what follows; relative times are of the message's own time."""
    value = b'[{"bn":"urn:dev:k7:","bt":1740787200,"n":"temperature","u":"Cel","v":20.50},{"n":"on","vb":true},' \
            b'{"n":"temperature","t":600,"v":21.5}]'  # fmt: skip
    assert said(value) == [
        ("g#1", "2025-03-01T00:00:00.000Z", b'{"temperature":20.50,"on":true}'),
        ("g#2", "2025-03-01T00:10:00.000Z", b'{"temperature":21.5}'),
    ]
    value = b'[{"bn":"urn:dev:x/","bv":20,"n":"temperature","t":-5,"v":1.25},{"n":"note","vs":"a"},{"n":"e","s":7}]'
    assert said(value, "application/senml+json") == [
        ("g#1", "2025-03-01T00:09:55.000Z", b'{"temperature":21.25}'),
        ("g#2", "2025-03-01T00:10:00.000Z", b'{"note":"a","e.s":7}'),
    ]
    without_time = unpack(Part({"ce_id": "g"}, "application/senml+json", b'[{"n":"urn:dev:x:heat","v":1}]'), RECEIVED)
    assert [each.attributes["ce_time"] for each in without_time] == [RECEIVED]


@pytest.mark.parametrize(
    "value",
    [b"[", b"[]", b"[1,2]", b'[{"a":1},]', b'[{"a":1}]x', b'[{"a":1},,{"a":2}]', b"\xff[", b"[" * 100_000,
     b"[" + b'{"a":1},' * MOST_PARTS + b'{"a":1}]', b'[{"n":"a","t":1e999999999,"v":1}]', b'[{"n":"a","t":"x","v":1}]'],
)  # fmt: skip
def test_a_pack_that_cannot_be_taken_apart_is_one_part(value: bytes) -> None:
    """As it came, for the judge to refuse."""
    (part,) = parts_of(value)
    assert (part.value, part.attributes) == (value, OWN)


@pytest.mark.parametrize("value", [b"", b"[]", b"5", b'{"a":1', b'{"a":1}x', b"{,}", b'{"data_base64":"%%"}'])
def test_an_event_that_is_none_is_one_part(value: bytes) -> None:
    """As it came."""
    (part,) = parts_of(value, "application/cloudevents+json")
    assert part.value == value
