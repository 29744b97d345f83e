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
    """A batch of events, one of which is a pack again; null says of either that it is left out."""
    value = b'[{"id":"b","data_base64":"eyJ0IjoxfQ==","data":null},{"id":"c","data":[{"x":1},{"x":2}]},{"id":"d"},' \
            b'{"id":"e","data_base64":null,"data":{"t":2}},{"id":"f","data_base64":null}]'  # fmt: skip
    assert said(value, "application/cloudevents-batch+json") == [
        ("b", None, b'{"t":1}'), ("c#1", None, b'{"x":1}'), ("c#2", None, b'{"x":2}'), ("d", None, None),
        ("e", None, b'{"t":2}'), ("f", None, None),
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
        ("g#1", "2025-03-01T00:00:00.000Z", b'{"temperature":20.50,"on":true,"$units":{"temperature":"Cel"}}'),
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
     b"[" + b'{"a":1},' * MOST_PARTS + b'{"a":1}]', b'[{"n":"a","t":1e999999999,"v":1}]',
     b'[{"bn":"d:","n":"a","bv":"x","v":1}]'],
)  # fmt: skip
def test_a_pack_that_cannot_be_taken_apart_is_one_part(value: bytes) -> None:
    """As it came, for the judge to refuse."""
    (part,) = parts_of(value)
    assert (part.value, part.attributes) == (value, OWN)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # the second record has the base value alone; one of base fields only sets them
        (b'[{"bn":"d:","bv":20,"n":"t","v":1.5},{"n":"t","t":-10}]', [b'{"t":21.5}', b'{"t":20}']),
        (b'[{"bn":"d:","bv":20.50},{"n":"t"},{"n":"note","vs":"a"},{"n":"sum","s":7}]',
         [b'{"t":20.50,"note":"a","sum.s":7}']),
        (b'[{"bn":"d:","bs":100,"n":"e"},{"n":"f","s":5,"t":-10}]', [b'{"e.s":100}', b'{"f.s":105}']),
        (b'[{"bn":"d:","bs":100,"n":"e","v":1}]', [b'{"e":1,"e.s":100}']),
    ],
)  # fmt: skip
def test_a_base_value_counts_without_a_value(value: bytes, expected: list[bytes]) -> None:
    """RFC 8428, section 4.5.4: the missing one of the two is zero."""
    assert [payload for _, _, payload in said(value, "application/senml+json")] == expected


def test_senml_says_the_units_of_its_numbers() -> None:
    """Of each its own or the base unit, for the judge, who knows the model; texts have none."""
    value = (
        b'[{"bn":"d:","bu":"Cel","n":"a","v":1},{"n":"b","u":"K","v":2},{"n":"c","vs":"x"},{"n":"e","t":9,"vb":true},'
        b'{"bu":"","n":"f","t":9,"v":3}]'
    )
    assert [payload for _, _, payload in said(value, "application/senml+json")] == [
        b'{"a":1,"b":2,"c":"x","$units":{"a":"Cel","b":"K"}}', b'{"e":true,"f":3}',
    ]  # fmt: skip
    of_base = b'[{"bn":"d:","bu":"Cel","bv":20},{"n":"a"}]'
    assert [payload for _, _, payload in said(of_base)] == [b'{"a":20,"$units":{"a":"Cel"}}']
    of_number = b'[{"n":"a","u":5,"v":1}]'
    assert [payload for _, _, payload in said(of_number, "application/senml+json")] == [of_number]


@pytest.mark.parametrize("kind", ["application/json", "application/senml+json"])
@pytest.mark.parametrize(
    "value",
    [
        b'[{"bn":"a:","bt":1740787200,"n":"t","v":1},{"bn":"b:","bt":1740787260,"n":"t","v":2}]',
        b'[{"bn":"urn:dev:a/t","v":1},{"bn":"urn:dev:b/t","v":2}]',
        b'[{"bn":"a:","bt":1740787200},{"n":"t","v":1},{"bn":"a:m:"},{"n":"t","v":2}]',
    ],
)
def test_senml_of_several_devices_is_refused(value: bytes, kind: str) -> None:
    """All of a record is of the device that its key names, and nothing says which of them that is."""
    assert [part.value for part in parts_of(value, kind)] == [value]


@pytest.mark.parametrize(
    "value",
    [
        b'[{"bn":"urn:dev:a:","n":"t","v":1},{"bn":"urn:dev:a:","n":"h","v":2}]',
        b'[{"bn":"urn:dev:a:t","v":1},{"bn":"urn:dev:a:h","v":2}]',
        b'[{"bn":"urn:dev:a/t","v":1},{"bn":"urn:dev:a/","n":"h","v":2}]',
        b'[{"bn":"t","v":1},{"bn":"h","v":2}]',
        b'[{"bn":"urn:dev:a","bver":10},{"n":"t","v":1},{"bn":"urn:dev:a:","n":"h","v":2}]',
    ],
)
def test_senml_may_name_its_device_again(value: bytes) -> None:
    """However the device and the measurement are divided between base name and name."""
    assert [payload for _, _, payload in said(value, "application/senml+json")] == [b'{"t":1,"h":2}']


@pytest.mark.parametrize(
    "value",
    [
        # of a later version, with a field that must be understood (RFC 8428, section 4.4), and a label twice
        b'[{"bver":11,"n":"t","v":5}]', b'[{"n":"t","v":5},{"n":"h","v":6,"x_":1}]', b'[{"n":"t","v":1,"v":2}]',
        b'[{"n":5,"v":1}]', b'[{"bn":5,"n":"t","v":1}]', b'[{"n":"t","t":"x","v":1}]', b'[{"n":"t","bt":true,"v":1}]',
    ],
)  # fmt: skip
def test_senml_that_breaks_a_rule_is_refused_whole(value: bytes) -> None:
    """As it came; a field that is not known and ends otherwise is left out."""
    assert [part.value for part in parts_of(value, "application/senml+json")] == [value]
    known = b'[{"bver":10,"n":"t","v":5,"x":1}]'
    assert [payload for _, _, payload in said(known, "application/senml+json")] == [b'{"t":5}']


@pytest.mark.parametrize(
    "record",
    [b'{"n":5,"v":1}', b'{"n":"t","t":"x","v":1}', b'{"bn":"d:","n":"a","bt":"2025","v":1}', b'{"n":1,"v":"x"}'],
)
def test_a_list_is_no_senml_by_its_names_alone(record: bytes) -> None:
    """Its names are texts and its times numbers, else it is a list of JSON objects, each judged as it is."""
    assert said(b"[%s]" % record) == [("g#1", OWN["ce_time"], record)]


def test_one_bad_element_of_a_batch_loses_no_other() -> None:
    """What is no event stands alone, without attributes; data that cannot be taken apart is of its event."""
    value = (
        b'[{"id":"a","data":{"t":1}}, 5 ,{"id":"b","data_base64":"%%"},{"id":"c","id":"d","data":{"t":2}},'
        b'{"id":"e","datacontenttype":"application/senml+json","data":[{"bver":11,"n":"t","v":1}]},'
        b'{"id":"f","data":{"t":3}}]'
    )
    assert said(value, "application/cloudevents-batch+json") == [
        ("a", None, b'{"t":1}'), (None, None, b"5"), (None, None, b'{"id":"b","data_base64":"%%"}'),
        (None, None, b'{"id":"c","id":"d","data":{"t":2}}'), ("e", None, b'[{"bver":11,"n":"t","v":1}]'),
        ("f", None, b'{"t":3}'),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["subject", "dataschema"])
def test_what_may_be_left_out_is_a_text_or_null(name: str) -> None:
    """Without its subject an event would be another component's."""
    event = f'{{"id":"a","data":{{"t":1}},"{name}":5}}'
    assert said(f'[{event},{{"subject":null,"data":{{"t":2}}}}]'.encode(), "application/cloudevents-batch+json") == [
        (None, None, event.encode()), (None, None, b'{"t":2}'),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [b"", b"[]", b"5", b'{"a":1', b'{"a":1}x', b"{,}", b'{"data_base64":"%%"}', b'{"id":"a","id":"b","data":{"t":1}}',
     b'{"data":{"t":1},"data":{"t":2}}', b'{"data_base64":"eyJ0IjoxfQ==","data":{"t":2}}'],
)  # fmt: skip
def test_an_event_that_is_none_is_one_part(value: bytes) -> None:
    """As it came."""
    (part,) = parts_of(value, "application/cloudevents+json")
    assert part.value == value
