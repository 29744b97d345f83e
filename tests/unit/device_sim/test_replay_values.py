"""Values of recorded files: the same value is the same message, whatever the program that wrote the file."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from device_sim.cells import json_text, name_text, whole_number
from lake.models.catalog import Model, catalog_of
from lake.models.documents import Document
from lake.models.dtdl import read_declarations
from tests.support.recordings import ids_of, messages_of, replayer_of, written
from wire.envelope import Message

DEVICE = b"""{"@context": "dtmi:dtdl:context;3", "@id": "dtmi:case:device;1", "@type": "Interface", "contents": [
    {"@type": "Telemetry", "name": "temperature", "schema": "double"},
    {"@type": "Telemetry", "name": "pulses", "schema": "long"},
    {"@type": "Telemetry", "name": "mode", "schema": {"@type": "Enum", "valueSchema": "integer", "enumValues": [
        {"name": "off", "enumValue": 0}, {"name": "on", "enumValue": 1}]}},
    {"@type": "Telemetry", "name": "since", "schema": "dateTime"},
    {"@type": "Telemetry", "name": "stops", "schema": {"@type": "Array", "elementSchema": "dateTime"}},
    {"@type": "Telemetry", "name": "built", "schema": "date"},
    {"@type": "Telemetry", "name": "label", "schema": "string"},
    {"@type": "Telemetry", "name": "running", "schema": "duration"},
    {"@type": "Telemetry", "name": "counts", "schema": {"@type": "Array", "elementSchema": "integer"}},
    {"@type": "Telemetry", "name": "levels", "schema": {"@type": "Map", "mapKey": {"name": "k", "schema": "string"},
        "mapValue": {"name": "v", "schema": "double"}}},
    {"@type": "Telemetry", "name": "pos", "schema": {"@type": "Object", "fields": [
        {"name": "lat", "schema": "double"}, {"name": "lon", "schema": "double"}]}},
    {"@type": "Telemetry", "name": "track", "schema": {"@type": "Array", "elementSchema": {"@type": "Object",
        "fields": [{"name": "lat", "schema": "double"}, {"name": "lon", "schema": "long"}]}}}]}"""


def _models() -> dict[str, Model]:
    return dict(catalog_of([Document("device.json", read_declarations(DEVICE, "device.json"), {})]).models)


def _messages(path: Path, **options: Any) -> list[Message]:
    return messages_of(path, model="dtmi:case:device;1", models=_models(), **options)


def _payload(path: Path, **options: Any) -> bytes:
    (message,) = _messages(path, **options)
    return message.value or b""


def _parquet(folder: Path, **columns: Any) -> Path:
    table = pa.table({"time": ["2025-01-01"] * len(next(iter(columns.values()))), **columns})
    pq.write_table(table, folder / "a.parquet")
    return folder / "a.parquet"


@pytest.mark.parametrize(
    ("suffix", "first", "second", "payload"),
    [
        (
            ".csv",
            "time,temperature,pulses,pos.lat,pos.lon\n2025-01-01,20,5,1.5,2\n",
            "pos.lon,pulses,time,temperature,pos.lat\n2,5,2025-01-01,20.0,1.50\n",
            b'{"temperature":20,"pulses":5,"pos":{"lat":1.5,"lon":2}}',
        ),
        (
            ".jsonl",
            '{"time":"2025-01-01","temperature":20,"pos":{"lat":1.5,"lon":2}}',
            '{"pos":{"lon":2.0,"lat":1.5},"temperature":2e1,"time":"2025-01-01T00:00:00Z"}',
            b'{"temperature":20,"pos":{"lat":1.5,"lon":2}}',
        ),
        (
            ".jsonl",
            '{"time":"2025-01-01","track":[{"lat":1.50,"lon":2}],"levels":{"a":1,"b":2}}',
            '{"time":"2025-01-01","levels":{"b":2.0,"a":1.0},"track":[{"x":null,"lon":2.0,"lat":1.5}]}',
            b'{"levels":{"a":1,"b":2},"track":[{"lat":1.5,"lon":2}]}',
        ),
        (
            ".csv",
            'time;track;levels\n2025-01-01;[{"lat": 1.50, "lon": 2}];{"a": 1, "b": 2}\n',
            'time;levels;track\n2025-01-01;{"b":2.0,"a":1.0};[{"lon":2.0,"lat":1.5}]\n',
            b'{"levels":{"a":1,"b":2},"track":[{"lat":1.5,"lon":2}]}',
        ),
    ],
)
def test_the_order_of_columns_makes_no_difference(
    tmp_path: Path, suffix: str, first: str, second: str, payload: bytes
) -> None:
    """Another export of the same rows is a repeat to the byte, and no conflict."""
    (one,) = _messages(written(tmp_path, f"a{suffix}", first))
    (other,) = _messages(written(tmp_path, f"b{suffix}", second))
    assert one.value == other.value == payload
    assert ids_of([one]) == ids_of([other])


def test_ids_are_those_of_earlier_versions(tmp_path: Path) -> None:
    """What was replayed before is a repeat: the id of a row, and of its component."""
    text = "time,vib,pressure,motor.speed\n2025-01-01,1,2,3\n"
    messages = messages_of(written(tmp_path, "a.csv", text), model="pump", columns={"vib": "motor.vibration"})
    assert sorted(each or "" for each in ids_of(messages)) == [
        "4b52163afbb3de30a04674a1791ba80d",
        "6fd11338f85e08e62b5586b7550eaa54",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4.0", "4"), ("4.00", "4"), ("1e3", "1000"), ("1E+3", "1000"), ("-4.0", "-4"), ("-0.0", "0"), ("-0", "0"),
     ("4", "4"), ("9007199254740993.0", "9007199254740993"), ("4.5", "4.5"),
     ("4e-1", "4e-1"), ("1e400", "1e400"), ("1e-400", "1e-400"), ("1e99999999999999999999", "1e99999999999999999999"),
     ('"4.0"', '"4.0"'), ("true", "true")],
)  # fmt: skip
def test_a_whole_number_has_one_spelling(text: str, expected: str) -> None:
    """Its digits; what has a fraction, or is larger than any column, stays as it is."""
    assert whole_number(text) == expected


@pytest.mark.parametrize(
    ("column", "pulses"),
    [
        (pa.array([4.0, None]), "4"),
        (pa.array([Decimal("4.00"), None], pa.decimal128(5, 2)), "4"),
        (pa.array([4, None], pa.float32()), "4"),
        (pa.array([2.0**53, None]), "9007199254740992"),
        (pa.array([4.5, None]), "4.5"),
    ],
)
def test_whole_numbers_in_floats_and_decimals_are_whole_numbers(tmp_path: Path, column: Any, pulses: str) -> None:
    """A program that has to leave a gap in a column of them has written them so; a fraction is left to be judged."""
    sent = [each.value for each in _messages(_parquet(tmp_path, temperature=[20.5, 21.5], pulses=column))]
    assert sent == [f'{{"temperature":20.5,"pulses":{pulses}}}'.encode(), b'{"temperature":21.5}']


def test_whole_numbers_are_those_of_every_kind_of_file_at_any_depth(tmp_path: Path) -> None:
    """CSV, JSON lines and Parquet; a long, an enum of integers, and the elements of a list."""
    expected = b'{"pulses":4000,"mode":1,"counts":[1,2,null]}'
    csv = written(tmp_path, "a.csv", 'time;pulses;mode;counts\n2025-01-01;4e3;1.0;"[1.0, 2, null]"\n')
    lines = written(tmp_path, "a.jsonl", '{"time":"2025-01-01","pulses":4000.0,"mode":1.0,"counts":[1.0,2,null]}')
    parquet = _parquet(tmp_path, pulses=[4000.0], mode=[1.0], counts=pa.array([[1.0, 2.0, float("nan")]]))
    assert _payload(csv) == _payload(lines) == _payload(parquet) == expected


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        ("[1, 2", b'{"counts":"[1, 2"}'),
        ("[1, 2.5]", b'{"counts":[1,2.5]}'),
        ('[{"a": 1, "a": 2}]', b'{"counts":"[{\\"a\\": 1, \\"a\\": 2}]"}'),
        ("[NaN, 1]", b'{"counts":[null,1]}'),
        ("[" * 600 + "]" * 600, f'{{"counts":"{"[" * 600}{"]" * 600}"}}'.encode()),
    ],
)
def test_json_in_a_text_cell_is_read_or_passed_on_as_text(tmp_path: Path, text: str, payload: bytes) -> None:
    """What is none, has a name twice or is nested too deeply is a text, to be refused where it is judged."""
    assert _payload(written(tmp_path, "a.tsv", f"time\tcounts\n2025-01-01\t{text}\n")) == payload


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.0, "1"), (1, "1"), (1.5, "1.5"), (1e22, "1" + "0" * 22), ("1.0", "1.0"), (True, "True"), (None, "None"),
     (float("inf"), "inf"), ({"a": 1}, '{"a":1}')],
)  # fmt: skip
def test_what_a_number_names_is_named_in_one_way(value: Any, expected: str) -> None:
    """A text is as it is: its zeros may mean something."""
    assert name_text(value) == expected


def test_a_device_is_the_same_in_every_kind_of_file(tmp_path: Path) -> None:
    """A number with a gap below it is a float in Parquet: `1.0` is the device `1`; so are the names of a long file."""
    csv = written(tmp_path, "a.csv", "time,unit,temperature\n2025-01-01,1,20\n2025-01-01,,21\n")
    lines = written(tmp_path, "a.jsonl", '{"time":"2025-01-01","unit":1.0,"temperature":20}\n')
    parquet = _parquet(tmp_path, unit=pa.array([1.0, None]), temperature=[20, 21])
    files = [_messages(path, device_column="unit") for path in (csv, lines, parquet)]
    assert [[each.key for each in messages] for messages in files] == [[b"1", None], [b"1"], [b"1", None]]
    assert len({ids_of(messages)[0] for messages in files}) == 1
    long = _parquet(tmp_path, name=pa.array([1.0, None]), value=[20.0, 21.0])
    assert _payload(long, pivot=("name", "value"), columns={"1": "temperature"}) == b'{"temperature":20}'


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (timedelta(seconds=90), "PT1M30S"),
        (timedelta(days=1), "P1D"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4, microseconds=500_000), "P1DT2H3M4.5S"),
        (timedelta(microseconds=1), "PT0.000001S"),
        (-timedelta(hours=36), "-P1DT12H"),
        (timedelta(), "PT0S"),
    ],
)
def test_a_span_of_time_is_an_iso_duration(tmp_path: Path, span: timedelta, expected: str) -> None:
    """As DTDL says that a duration is written."""
    assert json_text(span) == f'"{expected}"'
    for unit in ("us", "ns"):
        path = _parquet(tmp_path, running=pa.array([span], pa.duration(unit)))
        assert _payload(path) == f'{{"running":"{expected}"}}'.encode()


def test_a_number_where_text_is_declared_is_its_text(tmp_path: Path) -> None:
    """So it is no conflict with the same file as CSV, where every value is text; lists and objects are as they are."""
    csv = written(tmp_path, "a.csv", "time,label\n2025-01-01,5\n2025-01-02,5.50\n2025-01-03,true\n")
    texts = ('"5"', '"5.50"', '"true"')
    lines = "".join(f'{{"time":"2025-01-0{day}","label":{text[1:-1]}}}\n' for day, text in enumerate(texts, 1))
    sent = [each.value for each in _messages(csv)]
    assert sent == [each.value for each in _messages(written(tmp_path, "a.jsonl", lines))]
    assert sent == [f'{{"label":{text}}}'.encode() for text in texts]
    assert _payload(_parquet(tmp_path, label=[5])) == b'{"label":"5"}'
    assert _payload(_parquet(tmp_path, label=[float("inf")])) == b'{"label":"inf"}'
    assert _payload(_parquet(tmp_path, label=pa.array([Decimal("5.50")]))) == b'{"label":"5.50"}'
    assert _payload(written(tmp_path, "b.jsonl", '{"time":"2025-01-01","label":[5]}')) == b'{"label":[5]}'


def test_a_number_that_the_model_says_is_missing_stays_one(tmp_path: Path) -> None:
    """As text it would be another value than the one of the quality file."""
    quality = {"": {"missing": {"label": [-999, "n/a"]}}}
    models = dict(catalog_of([Document("device.json", read_declarations(DEVICE, "device.json"), quality)]).models)
    path = written(tmp_path, "a.jsonl", '{"time":"2025-01-01","label":-999.0}\n{"time":"2025-01-02","label":-99}\n')
    sent = [each.value for each in messages_of(path, model="dtmi:case:device;1", models=models)]
    assert sent == [b'{"label":-999.0}', b'{"label":"-99"}']


@pytest.mark.parametrize("type_", [pa.binary(), pa.large_binary(), pa.binary(2), pa.binary_view()])
def test_bytes_are_text(tmp_path: Path, type_: pa.DataType) -> None:
    """Whatever Arrow calls them; what is not UTF-8 of them is shown."""
    sent = [each.value for each in _messages(_parquet(tmp_path, label=pa.array([b"ab", b"a\xff"], type_)))]
    assert sent == [b'{"label":"ab"}', b'{"label":"a\\\\xff"}']


NOON = '{"since":"2025-07-01T10:00:00.000Z"}'


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("2025-07-01 12:00:00", {}, NOON),
        ("2025-07-01T12:00", {}, NOON),
        ("2025-07-01T10:00:00Z", {}, NOON),
        ("2025-07-01t12:00:00.000+02:00", {}, NOON),
        ("01.07.2025 12:00", {"time_format": "%d.%m.%Y %H:%M"}, NOON),
        # of a file whose times have a form of their own, the values may be as they should be
        ("2025-07-01 12:00:00", {"time_format": "%d.%m.%Y %H:%M"}, NOON),
        ("2025-07-01 12:00:00", {"time_unit": "s"}, NOON),
        ("1751364000", {"time_unit": "s"}, NOON),
        # a number of another unit, and what is no time, are left to be judged
        ("1751364000", {"time_unit": "ms"}, '{"since":"1751364000"}'),
        ("1751364000", {}, '{"since":"1751364000"}'),
        ("01.07.2025 12:00", {}, '{"since":"01.07.2025 12:00"}'),
        ("9999-12-31 23:59:59", {"time_zone": "America/New_York"}, '{"since":"9999-12-31 23:59:59"}'),
    ],
)
def test_a_time_that_is_a_value_is_read_as_that_of_a_row(
    tmp_path: Path, text: str, options: dict[str, Any], expected: str
) -> None:
    """So a local time is one of the zone that is said, and not of UTC; in CSV, JSON lines and long files."""
    time = {"%d.%m.%Y %H:%M": "01.01.2025 00:00", "s": "1735689600", "ms": "1735689600000"}
    at = time[options.get("time_format") or options.get("time_unit") or "s"] if options.keys() & {
        "time_format", "time_unit"
    } else "2025-01-01"  # fmt: skip
    options = {"time_zone": "Europe/Berlin", **options}
    csv = written(tmp_path, "a.csv", f"time,since\n{at},{text}\n")
    lines = written(tmp_path, "a.jsonl", f'{{"time":"{at}","since":"{text}"}}\n')
    long = written(tmp_path, "b.csv", f"time,name,value\n{at},since,{text}\n")
    assert _payload(csv, **options) == _payload(lines, **options) == expected.encode()
    assert _payload(long, pivot=("name", "value"), **options) == expected.encode()


def test_times_in_parquet_are_those_of_text(tmp_path: Path) -> None:
    """With a zone or without, alone or in a list; a midnight without a zone is the day that it is."""
    local = [datetime(2025, 7, 1, 12)]
    expected = b'{"since":"2025-07-01T10:00:00.000Z","stops":["2025-07-01T10:00:00.000Z"],"built":"2025-07-01"}'
    for unit, zone in (("ms", None), ("ns", None), ("us", "Europe/Berlin")):
        since = pa.array([datetime(2025, 7, 1, 10)] if zone else local, pa.timestamp(unit, zone))
        stops = pa.array([[local[0]]], pa.list_(pa.timestamp(unit)))
        built = pa.array([datetime(2025, 7, 1)], pa.timestamp(unit))
        path = _parquet(tmp_path, since=since, stops=stops, built=built)
        assert _payload(path, time_zone="Europe/Berlin") == expected
    csv = written(tmp_path, "a.tsv", 'time\tstops\n2025-01-01\t["2025-07-01 12:00:00"]\n')
    assert _payload(csv, time_zone="Europe/Berlin") == b'{"stops":["2025-07-01T10:00:00.000Z"]}'


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_value_that_may_be_two_moments_refuses_its_row(tmp_path: Path, suffix: str) -> None:
    """So does one of the hour that the clocks leave out; no order of rows tells what a value means."""
    times = ["2025-10-26 02:30:00", "2025-03-30 02:30:00", "2025-03-30 03:30:00"]
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        path.write_text("time,since\n" + "".join(f"2025-01-01,{each}\n" for each in times))
    elif suffix == ".jsonl":
        path.write_text("".join(f'{{"time":"2025-01-01","since":"{each}"}}\n' for each in times))
    else:
        path = _parquet(tmp_path, since=pa.array([datetime.fromisoformat(each) for each in times]))
    replayer = replayer_of(path, _models(), model="dtmi:case:device;1", time_zone="Europe/Berlin")
    first = 2 if suffix == ".csv" else 1
    assert replayer.check.refusals == [
        (first, "since: 2025-10-26 02:30:00 comes twice in Europe/Berlin: give it in UTC or with its offset"),
        (first + 1, "since: 2025-03-30 02:30:00 does not exist in Europe/Berlin: give it in UTC or with its offset"),
    ]
    assert [each.value for row in replayer.rows() for each in row] == [b'{"since":"2025-03-30T01:30:00.000Z"}']
