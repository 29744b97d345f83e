"""Replay: recorded files as messages, with nothing mended and nothing left out."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from device_sim.cells import json_of_text
from device_sim.playback import Replayer
from device_sim.recorded_times import LocalTimes, TimeReader
from device_sim.replay_options import ReplayOptions
from lake.models.catalog import BUILT_IN_MODELS, load_models
from runtime.errors import UsageError
from wire.envelope import ID, SUBJECT, TIME, Message, header

MODELS = load_models([BUILT_IN_MODELS])


def _replayer(path: Path, **options: Any) -> Replayer:
    options.setdefault("model", "thermostat")
    if "device_column" not in options:
        options.setdefault("device", "office-1")
    return Replayer(ReplayOptions(path, **options), MODELS)


def _messages(path: Path, **options: Any) -> list[Message]:
    replayer = _replayer(path, **options)
    return [message for row in replayer.rows() for message in row]


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _text(message: Message, name: str) -> str | None:
    value = header(message, name)
    return None if value is None else value.decode()


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    """A number of a CSV file arrives as that JSON number, text in its column as a JSON string, an empty cell not."""
    path = _write(
        tmp_path,
        "a.csv",
        "timestamp,temperature,humidity\n"
        "2013-07-04 00:00:00,69.88083514,40\n"
        "2013-07-04 01:00:00,1e3,\n"
        "2013-07-04 02:00:00,broken,NaN\n"
        "2013-07-04 03:00:00,, \n",
    )
    messages = _messages(path)
    assert [message.value for message in messages] == [
        b'{"temperature":69.88083514,"humidity":40}',
        b'{"temperature":1000}',
        b'{"temperature":"broken","humidity":"NaN"}',
    ]
    assert [_text(message, TIME) for message in messages] == [f"2013-07-04T0{hour}:00:00.000Z" for hour in range(3)]


@pytest.mark.parametrize(
    ("text", "type_", "expected"),
    [
        ("5", "int", "5"),
        (" 5.0 ", "double", "5.0"),
        ("+5", "double", "5"),
        ("-.5", "double", "-0.5"),
        ("007", "int", "7"),
        ("5.", "double", "5"),
        ("1.5E-3", "double", "1.5E-3"),
        ("1,5", "double", '"1,5"'),
        ("inf", "double", '"inf"'),
        (".", "double", '"."'),
        ("e5", "double", '"e5"'),
        ("TRUE", "boolean", "true"),
        ("0", "boolean", "false"),
        ("maybe", "boolean", '"maybe"'),
        ("5", "string", '"5"'),
        ('say "ü"', "string", '"say \\"\\u00fc\\""'),
    ],
)
def test_text_becomes_the_telemetrys_json(text: str, type_: str, expected: str) -> None:
    """Text without a type is read as the declared one where it can be, and is passed on as text where it cannot."""
    assert json_of_text(text, type_) == expected
    json.loads(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-07-01 12:00:00", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-07-01T12:00:00Z", datetime(2026, 7, 1, 12, tzinfo=UTC)),
        ("2026-07-01T12:00:00-02:00", datetime(2026, 7, 1, 14, tzinfo=UTC)),
        ("2026-01-01", datetime(2025, 12, 31, 23, tzinfo=UTC)),
        (datetime(2026, 7, 1, 12), datetime(2026, 7, 1, 10, tzinfo=UTC)),
        (date(2026, 1, 1), datetime(2025, 12, 31, 23, tzinfo=UTC)),
        ("noon", None),
        ("", None),
        (5, None),
        (None, None),
    ],
)
def test_times_without_zone_are_of_the_given_one(value: object, expected: datetime | None) -> None:
    """A time that names a zone keeps it; what is no ISO 8601 time is none."""
    moment = TimeReader().read(value)
    if moment is not None and moment.tzinfo is None:
        moment = LocalTimes(ZoneInfo("Europe/Berlin")).moment(None, 1, moment)
    assert moment == expected


@pytest.mark.parametrize(
    ("missing", "cells"),
    [
        ("-999", ["-999", "-999,0", "-999,00", "-9,99e2", "-0999"]),
        ("-999,9", ["-999,9", "-999,90"]),
        ("-999.9", ["-999,9", "-999.9"]),
        ("n/a", ["n/a"]),
    ],
)
def test_a_missing_number_stands_for_its_spellings_with_a_comma(tmp_path: Path, missing: str, cells: list[str]) -> None:
    """The decimal mark of the file holds for --missing as it does for values, in a wide file and in a long one."""
    rows = "".join(f"2026-11-20T00:0{minute};{cell};1\n" for minute, cell in enumerate(cells))
    path = _write(tmp_path, "a.csv", f"time;temperature;humidity\n{rows}")
    sent = {message.value for message in _messages(path, missing=(missing,), decimal_mark=",")}
    assert sent == {b'{"humidity":1}'}
    rows = "".join(f"2026-11-20T00:0{minute};temperature;{cell}\n" for minute, cell in enumerate(cells))
    path = _write(tmp_path, "b.csv", f"time;name;value\n{rows}2026-11-20T00:00;humidity;1\n")
    long = _replayer(path, missing=(missing,), decimal_mark=",", pivot=("name", "value"))
    assert [message.value for row in long.rows() for message in row] == [b'{"humidity":1}']
    assert long.check.valueless == len(cells)


def test_a_bad_time_is_sent_as_it_stands(tmp_path: Path) -> None:
    """Silver is to see what the file says; the device is in service since its first plausible time."""
    path = _write(
        tmp_path,
        "a.csv",
        "time,temperature\nnoon,1\n,2\n2026-11-20T06:00:00Z,3\n2026-11-20T05:00:00Z,4\n1970-01-01,5\n",
    )
    assert [_text(message, TIME) for message in _messages(path)] == [
        "noon",
        None,
        "2026-11-20T06:00:00.000Z",
        "2026-11-20T05:00:00.000Z",
        "1970-01-01T00:00:00.000Z",
    ]
    (registration,) = _replayer(path, site="attic").registrations()
    assert _text(registration, TIME) == "2026-11-20T05:00:00.000Z"
    assert json.loads(registration.value) == {
        "model_id": "dtmi:lakehouse:thermostat;1",
        "site_id": "attic",
        "reporting_interval_s": 60,
    }


def test_a_column_names_the_devices(tmp_path: Path) -> None:
    """Each device is registered since its own first reading; a row without a device has no key."""
    path = _write(
        tmp_path,
        "a.csv",
        "time;unit;temperature\n2026-11-20T06:00:00;b;1\n2026-11-20T05:00:00;a;2\n2026-11-20T04:00:00;b;3\n"
        "2026-11-20T04:00:00;;4\nnever;c;5\n",
    )
    replayer = _replayer(path, device_column="unit")
    assert [message.key for message in _messages(path, device_column="unit")] == [b"b", b"a", b"b", None, b"c"]
    assert replayer.first_times == {
        "b": datetime(2026, 11, 20, 4, tzinfo=UTC),
        "a": datetime(2026, 11, 20, 5, tzinfo=UTC),
        "c": None,
    }
    assert [message.key for message in replayer.registrations()] == [b"b", b"a"]


def test_ids_follow_from_device_time_and_telemetry(tmp_path: Path) -> None:
    """The same reading of any file is the same message; with another value it is the same id with other bytes."""
    first = _messages(_write(tmp_path, "a.csv", "time,temperature\n2026-11-20,1\n2026-11-21,2\n"))
    text = "note;ts;temp\nx;2026-11-21T00:00:00Z;2.0\ny;2026-11-22T00:00:00Z;3\n"
    second = _messages(_write(tmp_path, "b.csv", text), columns={"temp": "temperature"})
    assert header(second[0], ID) == header(first[1], ID)
    assert second[0].value == first[1].value
    assert len({header(m, ID) for m in (*first, *second)}) == 3
    (changed,) = _messages(_write(tmp_path, "c.csv", "time,temperature\n2026-11-21,2.5\n"))
    assert header(changed, ID) == header(first[1], ID)
    assert changed.value != first[1].value
    (other_device,) = _messages(_write(tmp_path, "c.csv", "time,temperature\n2026-11-21,2\n"), device="office-2")
    (other_telemetry,) = _messages(_write(tmp_path, "d.csv", "time,humidity\n2026-11-21,2\n"))
    assert len({header(m, ID) for m in (first[1], other_device, other_telemetry)}) == 3


def test_columns_are_mapped_to_components(tmp_path: Path) -> None:
    """A row is one message for the root and one for each component that it has a value of."""
    path = _write(
        tmp_path,
        "a.csv",
        "ts,pressure,vib,motor.speed,note\n2026-11-20,3.5,1.25,1500,x\n2026-11-20,,1.5,,x\n2026-11-20,,,,x\n",
    )
    replayer = _replayer(path, model="pump", columns={"vib": "motor.vibration"})
    rows = list(replayer.rows())
    assert [[(_text(m, SUBJECT), m.value) for m in row] for row in rows] == [
        [(None, b'{"pressure":3.5}'), ("motor", b'{"vibration":1.25,"speed":1500}')],
        [("motor", b'{"vibration":1.5}')],
    ]
    # the rows are of one moment: what has the same telemetry then has the same id
    assert len({header(message, ID) for row in rows for message in row}) == 3
    assert replayer.check.valueless == 1
    assert replayer.unused_columns == ("note",)


def test_json_lines_are_sent_as_they_are(tmp_path: Path) -> None:
    """Numbers keep their digits, nested objects are columns, and a line that is no object is refused by its number."""
    path = _write(
        tmp_path,
        "a.jsonl",
        '{"time": "2026-11-20", "pressure": 1.500, "motor": {"speed": 12345678901234567890}}\n'
        "\n"
        '{"time": 1795132800, "pressure": null, "isRunning": true}\n'
        "not json\n"
        '{"time": "2026-11-20", "pressure": "high", "state": ["x"], "motor": NaN}\n'
        '{"time": "2026-11-20", "pressure": 1, "pressure": 2}\n'
        "[1]\n",
    )
    messages = _messages(path, model="pump")
    assert [(_text(m, SUBJECT), _text(m, TIME), m.value) for m in messages] == [
        (None, "2026-11-20T00:00:00.000Z", b'{"pressure":1.5}'),
        ("motor", "2026-11-20T00:00:00.000Z", b'{"speed":12345678901234567890}'),
        (None, "1795132800", b'{"isRunning":true}'),
        (None, "2026-11-20T00:00:00.000Z", b'{"state":["x"],"pressure":"high"}'),
    ]
    assert _replayer(path, model="pump").check.refusals == [
        (4, "no JSON"),
        (6, "the name 'pressure' twice in one object"),
        (7, "no JSON object"),
    ]


def test_text_that_is_no_unicode_is_passed_on(tmp_path: Path) -> None:
    """Half a surrogate pair in a name or a value stops nothing; silver is to refuse it."""
    line = '{"time": "2026-11-20", "unit": "x\\ud800", "temperature": "\\ud800"}\n'
    (message,) = _messages(_write(tmp_path, "a.jsonl", line), device_column="unit")
    assert message.key == b"x\xed\xa0\x80"
    assert message.value == b'{"temperature":"\\ud800"}'


def test_parquet_values_keep_what_was_written(tmp_path: Path) -> None:
    """Decimals and single floats show no digits that nobody wrote; nulls and NaN are left out, infinities are not."""
    table = pa.table(
        {
            "when": pa.array([datetime(2026, 11, 20, hour) for hour in (5, 6, 7)], pa.timestamp("ns")),
            "temperature": pa.array([21.3, None, float("nan")], pa.float32()),
            "humidity": pa.array([Decimal("40.10"), Decimal("1"), None], pa.decimal128(8, 2)),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    messages = _messages(tmp_path / "a.parquet", time_column="when", time_zone="Europe/Berlin")
    assert [(_text(m, TIME), m.value) for m in messages] == [
        ("2026-11-20T04:00:00.000Z", b'{"temperature":21.3,"humidity":40.1}'),
        ("2026-11-20T05:00:00.000Z", b'{"humidity":1}'),
    ]


def test_the_recorded_year_is_read_whole(request: pytest.FixtureRequest) -> None:
    """The office's file is 7,267 readings since 2013-07-04."""
    path = request.config.rootpath / "tests" / "data" / "ambient_temperature.csv"
    replayer = _replayer(path, columns={"value": "temperature"})
    assert replayer.check.rows == 7267
    assert replayer.first_times == {"office-1": datetime(2013, 7, 4, tzinfo=UTC)}
    assert next(replayer.rows())[0].value == b'{"temperature":69.88083514}'


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("", {}, "has no rows"),
        ("time,temperature\n", {}, "has no rows"),
        ("time,temperature,time\n1,2,3\n", {}, "'time' twice"),
        ("when,temperature\n1,2\n", {}, "--time-column, one of when, temperature"),
        ("time,temperature\n2026-11-20,2\n", {"time_column": "tme"}, "no column 'tme': did you mean 'time'"),
        ("time,temperature\n2026-11-20,2\n", {"device_column": "dev"}, "no column 'dev'"),
        ("time,temperature\n2026-11-20,2\n", {"columns": {"temp": "humidity"}}, "did you mean 'temperature'"),
        (
            "time,temp\n1,2\n",
            {"columns": {"temp": "temprature"}},
            "no telemetry 'temprature': did you mean 'temperature'",
        ),
        ("time,a,b\n1,2,3\n", {"columns": {"a": "humidity", "b": "humidity"}}, "Two columns"),
        ("time,temp\n1,2\n", {}, "--map COLUMN=TELEMETRY"),
        ("time,temperature\n2026-11-20,2\n", {"model": "thermostt"}, "thermostat"),
        ("time,temperature\n2026-11-20,2\n", {"time_zone": "Mars/Base"}, "no time zone 'Mars/Base'"),
        ("time,temperature\n2026-11-20,2\n", {"device": None}, "either --device ID or --device-column"),
        ("time,temperature\n2026-11-20,2\n", {"device": " "}, "--device is empty"),
        ("time,temperature\n5,2\n", {"time_unit": "s", "time_format": "%Y"}, "--time-unit or --time-format, not both"),
    ],
)
def test_what_cannot_be_replayed_is_named(tmp_path: Path, text: str, options: dict[str, Any], says: str) -> None:
    """The error says what is missing and what there is instead."""
    with pytest.raises(UsageError, match=says):
        _replayer(_write(tmp_path, "a.csv", text), **options)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.xls", b"", "of no kind"),
        ("a.parquet", b"not parquet", "cannot be read"),
        ("a.csv", b"time,temperature\n2026-11-20,\xff\n", "cannot be read"),
        ("a.jsonl", b'[{"time": 1}]', "one object a line"),
        ("a.jsonl", b"\n", "a.jsonl has no rows"),
        ("a.jsonl", b"{}\n", "a.jsonl has no rows"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """A file of the wrong kind is one sentence, not a stack trace."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says):
        _replayer(tmp_path / name)
