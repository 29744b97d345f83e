"""Recorded files that others have come to grief with, each with its right values, by number of the case."""

import gzip
import json
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from device_sim.playback import Replayer
from lake.models.catalog import Model, catalog_of
from lake.models.documents import Document
from lake.models.dtdl import read_declarations
from runtime.errors import InputError, UsageError
from tests.support.recordings import ids_of, replayer_of, text_of, times_of, written
from transforms.payload import payloads_of
from transforms.strict_payload import judge
from wire.envelope import DATASCHEMA, Message

DECLARED = {
    "station": """{"@type": ["Telemetry", "Temperature"], "name": "temperature", "schema": "double",
        "unit": "degreeCelsius"},
        {"@type": "Telemetry", "name": "humidity", "schema": "double"},
        {"@type": "Telemetry", "name": "energy", "schema": "double"},
        {"@type": "Telemetry", "name": "pulses", "schema": "long"},
        {"@type": "Telemetry", "name": "active", "schema": "boolean"},
        {"@type": "Telemetry", "name": "state", "schema": "string"},
        {"@type": "Telemetry", "name": "pos", "schema": {"@type": "Object", "fields": [
            {"name": "lat", "schema": "double"}, {"name": "lon", "schema": "double"}]}}""",
    "rain": '{"@type": "Telemetry", "name": "rainfall", "schema": "double"}',
    "ranged": """{"@type": "Telemetry", "name": "temperature", "schema": "double"},
        {"@type": "Telemetry", "name": "humidity", "schema": "double"},
        {"@type": "Telemetry", "name": "co", "schema": "double"}""",
}
TEN_MINUTES = timedelta(minutes=10)


def _models(**quality: Any) -> dict[str, Model]:
    documents = [
        Document(
            f"{name}.json",
            read_declarations(
                f'{{"@context": "dtmi:dtdl:context;3", "@id": "dtmi:case:{name};1", "@type": "Interface", '
                f'"contents": [{contents}]}}'.encode(),
                f"{name}.json",
            ),
            {"": quality[name]} if name in quality else {},
        )
        for name, contents in DECLARED.items()
    ]
    return dict(catalog_of(documents).models)


def _replayer(path: Path, model: str = "station", **options: Any) -> Replayer:
    return replayer_of(path, _models(), model=f"dtmi:case:{model};1", **options)


def _sent(replayer: Replayer) -> list[Message]:
    return [message for row in replayer.rows() for message in row]


def _judged(messages: list[Message], model: Model) -> list[Any]:
    """Of each message the values by name that silver would take, or why it would take none."""
    (shape,) = payloads_of([model])
    found = [judge(message.value, shape) for message in messages]
    return [
        each.reason.value
        if each.reason is not None
        else {shape.telemetry[int(place)].metric_name: value for place, value in json.loads(each.text or "{}").items()}
        for each in found
    ]


@dataclass(frozen=True)
class Case:
    """A file of rows of the station `d`: its readings in order, by telemetry, and the rows that are refused."""

    text: str
    readings: dict[str, list[Any]]
    refused: list[tuple[int, str]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    model: str = "station"


def _series(start: str, values: list[Any]) -> str:
    first = datetime.fromisoformat(start)
    rows = ((first + number * TEN_MINUTES, value) for number, value in enumerate(values))
    return "timestamp,temperature\n" + "".join(f"{at:%Y-%m-%dT%H:%M:%SZ},{value}\n" for at, value in rows)


CO = "".join(f"2025-01-17T00:{10 * n:02}:00Z,{10 + n},50,{(2, -200)[n % 2]}\n" for n in range(6))
CASES = {
    "05 a decimal comma in a file with commas": Case(
        "timestamp,temperature\n" + "".join(f"2025-01-10T00:{n}0:00Z,21,{n}\n" for n in range(6)) +
        "2025-01-10T01:00:00Z,20.5\n",
        {"temperature": [20.5]},
        [(n, "3 cells under 2 names") for n in range(2, 8)],
    ),
    "06 a comma without quotes shifts no cell": Case(
        "timestamp,state,temperature\n2025-01-11T00:00:00Z,ok,21.5\n2025-01-11T00:10:00Z,rate too high: 3,5,21.6\n"
        "2025-01-11T00:20:00Z,ok,21.7\n",
        {"state": ["ok", "ok"], "temperature": [21.5, 21.7]},
        [(3, "4 cells under 3 names")],
    ),
    "08 fewer cells than names": Case(
        "timestamp;temperature;humidity;energy;pulses\n2025-04-01T00:00:00Z;22.6;42.9;934;36\n"
        "2025-04-01T00:10:00Z;934;36\n",
        {"temperature": [22.6], "humidity": [42.9], "energy": [934.0], "pulses": [36]},
        [(3, "3 cells under 5 names")],
    ),
    "16 a sentinel costs only itself": Case(
        f"timestamp,temperature,humidity,co\n{CO}",
        {"temperature": [10.0, 11.0, 12.0, 13.0, 14.0, 15.0], "humidity": [50.0] * 6, "co": [2.0, 2.0, 2.0]},
        options={"missing": ("-200",)},
        model="ranged",
    ),
    "P4 whole numbers to the last digit": Case(
        "timestamp,pulses\n2025-01-25T00:00:00Z,9007199254740993\n2025-01-25T00:10:00Z,9223372036854775807\n"
        "2025-01-25T00:20:00Z,9223372036854775808\n2025-01-25T00:30:00Z,5.0\n2025-01-25T00:40:00Z,-1\n"
        "2025-01-25T00:50:00Z,4294967296\n",
        {"pulses": [9007199254740993, 9223372036854775807, "wrong_type", 5, -1, 4294967296]},
    ),
    "P4 what people write for a number": Case(
        "timestamp,temperature\n" + "".join(
            f"2025-01-24T00:{minute:02}:00Z,{cell}\n" for minute, cell in enumerate(
                ['"1,234.5"', "5.", "+5", "007", "1e3", "0x1F", "NaN", "inf", "-", "1_000", "21.5 °C", "\uff13",
                 "1.7976931348623157e309", "-0", "12345678901234567890123", "5E", "  7 ", '""""']
            )
        ),
        {"temperature": ["wrong_type", 5.0, 5.0, 7.0, 1000.0, *["wrong_type"] * 8, 0.0, 1.2345678901234568e22,
                         "wrong_type", 7.0, "wrong_type"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_recorded_file_has_its_right_values(tmp_path: Path, case: Case) -> None:
    """Each value under its own name, as silver takes it, and what cannot be known refused with its line."""
    replayer = _replayer(written(tmp_path, "a.csv", case.text), case.model, **case.options)
    judged = _judged(_sent(replayer), replayer.model)
    readings: dict[str, list[Any]] = {}
    for each in judged:
        for name, value in (dict.fromkeys(case.readings, each) if isinstance(each, str) else each).items():
            readings.setdefault(name, []).append(value)
    assert readings == case.readings
    assert replayer.check.refusals == case.refused


def test_case_03_the_night_that_clocks_are_put_back(tmp_path: Path) -> None:
    """Thirty readings every ten minutes are six in each of five hours, with their values in order."""
    walls = [datetime(2025, 10, 26) + n * TEN_MINUTES for n in (*range(18), *range(12, 24))]
    rows = "".join(f"{wall},{10 + n / 10:.1f}\n" for n, wall in enumerate(walls))
    path = written(tmp_path, "a.csv", f"timestamp,temperature\n{rows}")
    messages = _sent(_replayer(path, time_zone="Europe/Berlin"))
    first = datetime(2025, 10, 25, 22, tzinfo=UTC)
    assert times_of(messages) == [f"{first + n * TEN_MINUTES:%Y-%m-%dT%H:%M}" for n in range(30)]
    assert Counter(at[11:13] for at in times_of(messages)) == dict.fromkeys(("22", "23", "00", "01", "02"), 6)
    assert [json.loads(each.value or b"")["temperature"] for each in messages] == [10 + n / 10 for n in range(30)]


def test_case_05_of_nothing_but_such_rows_is_refused(tmp_path: Path) -> None:
    """Nothing is sent of a file of which no row can be."""
    text = CASES["05 a decimal comma in a file with commas"].text.removesuffix("2025-01-10T01:00:00Z,20.5\n")
    with pytest.raises(InputError, match=r"line 2: 3 cells under 2 names \(6 such rows\)\. Nothing was sent"):
        _replayer(written(tmp_path, "a.csv", text))


def test_case_09_overlapping_exports_are_counted_once(tmp_path: Path) -> None:
    """Two files of 12 rows that share 6 are 18 readings, 6 an hour, and the repeats are the same to the byte."""
    values = [20 + n / 2 for n in range(18)]
    first = written(tmp_path, "a.csv", _series("2025-01-12T00:00", values[:12]))
    second = written(tmp_path, "b.csv", _series("2025-01-12T01:00", values[6:]))
    both = [*_sent(_replayer(first)), *_sent(_replayer(second))]
    once = dict(zip(ids_of(both), both, strict=True))
    assert len(both) == 24
    assert len({(each.value, id_) for id_, each in zip(ids_of(both), both, strict=True)}) == 18
    assert Counter(at[:13] for at in times_of(list(once.values()))) == {f"2025-01-12T0{hour}": 6 for hour in range(3)}


def test_case_10_a_row_three_times_is_one_reading(tmp_path: Path) -> None:
    """The mean of the hour is 23.67, and the repeats are counted."""
    rows = ["00:00:00Z,20", *["00:10:00Z,21"] * 3, "00:20:00Z,30"]
    path = written(tmp_path, "a.csv", "timestamp,temperature\n" + "".join(f"2025-01-13T{row}\n" for row in rows))
    replayer = _replayer(path)
    messages = _sent(replayer)
    values = {
        id_: json.loads(each.value or b"")["temperature"] for id_, each in zip(ids_of(messages), messages, strict=True)
    }
    assert sum(values.values()) / len(values) == pytest.approx(23.67, abs=0.005)
    assert (replayer.check.again, replayer.check.contradicting) == (2, 0)


TIMES = pa.array([datetime(2025, 1, 26, tzinfo=UTC) + n * TEN_MINUTES for n in range(6)], pa.timestamp("ns", "UTC"))
NAN = float("nan")


def test_case_13_decimals_within_a_parquet_struct(tmp_path: Path) -> None:
    """They are numbers, as those outside are."""
    decimals = pa.struct({"lat": pa.decimal128(10, 3), "lon": pa.decimal128(10, 3)})
    pos = pa.array([{"lat": Decimal("21.300"), "lon": Decimal("5.100")}] * 6, decimals)
    pq.write_table(pa.table({"time": TIMES, "pos": pos}), tmp_path / "a.parquet")
    replayer = _replayer(tmp_path / "a.parquet")
    assert _judged(_sent(replayer), replayer.model) == [{"pos.lat": 21.3, "pos.lon": 5.1}] * 6


def test_cases_14_and_15_single_floats_and_nan_in_parquet(tmp_path: Path) -> None:
    """No digits that nobody wrote at any depth; NaN leaves the rest of its row; a number beyond a long is refused."""
    floats = pa.struct({"lat": pa.float32(), "lon": pa.float32()})
    energy = [Decimal("1.10000"), Decimal("2.20000"), None, Decimal("3.30000"), Decimal("4.00000"), Decimal("5.00000")]
    table = pa.table(
        {
            "time": TIMES,
            "temperature": pa.array([21.3, 21.4, None, NAN, 21.6, 21.7], pa.float32()),
            "energy": pa.array(energy, pa.decimal128(20, 5)),
            "pulses": pa.array([1, 2, 3, 4, 2**63, 5], pa.uint64()),
            "state": pa.array(["a", "b", "a", None, "a", "b"]).dictionary_encode(),
            "pos": pa.array([{"lat": 21.3, "lon": 5.1}] * 6, floats),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    replayer = _replayer(tmp_path / "a.parquet")
    pos = {"pos.lat": 21.3, "pos.lon": 5.1}
    assert _judged(_sent(replayer), replayer.model) == [
        {"temperature": 21.3, "energy": 1.1, "pulses": 1, "state": "a", **pos},
        {"temperature": 21.4, "energy": 2.2, "pulses": 2, "state": "b", **pos},
        {"pulses": 3, "state": "a", **pos},
        {"energy": 3.3, "pulses": 4, **pos},
        "wrong_type",
        {"temperature": 21.7, "energy": 5.0, "pulses": 5, "state": "b", **pos},
    ]


def test_a_whole_number_in_a_short_float_has_all_of_its_digits(tmp_path: Path) -> None:
    """A brother of case 14: the shortest text of a half float 65504 is 65500; only fractions are shortened."""
    halves = pa.array(np.array([65504, 10008, 0.5, 2.1], np.float16))
    singles = pa.array([123456792.0, 2147483648.0, 21.3, 1e20], pa.float32())
    pq.write_table(pa.table({"time": TIMES[:4], "humidity": halves, "temperature": singles}), tmp_path / "a.parquet")
    replayer = _replayer(tmp_path / "a.parquet")
    assert [tuple(each.values()) for each in _judged(_sent(replayer), replayer.model)] == [
        (123456792.0, 65504.0), (2147483648.0, 10008.0), (21.3, 0.5), (1e20, 2.1),
    ]  # fmt: skip


def test_case_16_the_quality_file_names_a_sentinel_for_messages_too(tmp_path: Path) -> None:
    """Without `--missing` the row is sent whole, and its -200 is no value in spite of the range."""
    models = _models(ranged={"ranges": {"co": [0, 50]}, "missing": {"co": [-200]}})
    path = written(tmp_path, "a.csv", f"timestamp,temperature,humidity,co\n{CO}")
    replayer = replayer_of(path, models, model="dtmi:case:ranged;1")
    judged = _judged(_sent(replayer), replayer.model)
    assert [each["temperature"] for each in judged] == [10, 11, 12, 13, 14, 15]
    assert [each.get("co") for each in judged] == [2, None] * 3


@pytest.mark.parametrize(
    ("name", "unit", "first", "step", "values"),
    [
        ("a.csv", "s", 1736899200, 600, [20.5, 21.5, 22.5, 23.5, 24.5, 25.5]),
        ("a.csv", "ms", 1736899200000, 600_000, [20.5, 21.5, 22.5, 23.5, 24.5, 25.5]),
        ("a.jsonl", "ms", 1736899200000, 600_000, [20.5, 21.5, 22.5, 23.5, 24.5, 25.5]),
        ("a.parquet", "s", 1738108800, 600, [1.0, 2.0]),
    ],
)
def test_case_17_numbers_since_1970(
    tmp_path: Path, name: str, unit: str, first: int, step: int, values: list[float]
) -> None:
    """With their unit they are times; without it the file is refused, and the unit named, before anything is sent."""
    numbers = [first + n * step for n in range(len(values))]
    pairs = list(zip(numbers, values, strict=True))
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.table({"ts": numbers, "temperature": values}), path)
    elif name == "a.csv":
        path.write_text("ts,temperature\n" + "".join(f"{at},{value}\n" for at, value in pairs))
    else:
        path.write_text("".join(json.dumps({"ts": at, "temperature": value}) + "\n" for at, value in pairs))
    start = datetime.fromtimestamp(first / (1000 if unit == "ms" else 1), UTC)
    sent = _sent(_replayer(path, time_unit=unit))
    assert times_of(sent) == [f"{start + n * TEN_MINUTES:%Y-%m-%dT%H:%M}" for n in range(len(values))]
    assert [json.loads(each.value or b"")["temperature"] for each in sent] == values
    with pytest.raises(InputError, match=f"has a time that can be read.*--time-unit {unit}.*Nothing was sent"):
        _replayer(path)


def test_case_18_each_replay_of_a_device_names_its_own_model(tmp_path: Path) -> None:
    """Five temperatures and five rainfalls of one device, whichever was registered last."""
    station = "".join(f"2025-01-14T0{hour}:00:00Z,{hour}\n" for hour in range(1, 6))
    rain = "".join(f"2025-01-14T0{hour}:05:00Z,{hour}\n" for hour in range(3, 8))
    files = (("station", "temperature", station), ("rain", "rainfall", rain))
    for model, telemetry, rows in files:
        path = written(tmp_path, f"{model}.csv", f"timestamp,{telemetry}\n{rows}")
        replayer = _replayer(path, model, device="c08")
        sent = _sent(replayer)
        assert {text_of(each, DATASCHEMA) for each in sent} == {f"dtmi:case:{model};1"}
        first = 1 if model == "station" else 3
        assert _judged(sent, replayer.model) == [{telemetry: float(n)} for n in range(first, first + 5)]


def test_case_19_a_row_in_eleven_days_is_a_message_in_eleven_days(tmp_path: Path) -> None:
    """Nothing is sent for the silence between, and the device is in service since the first."""
    times = [datetime(2023, 1, 1, 12, tzinfo=UTC) + n * timedelta(days=11) for n in range(60)]
    rows = "".join(f"{at:%Y-%m-%dT%H:%M:%SZ},{n}\n" for n, at in enumerate(times))
    replayer = _replayer(written(tmp_path, "a.csv", f"timestamp,temperature\n{rows}"))
    assert times_of(_sent(replayer)) == [f"{at:%Y-%m-%dT%H:%M}" for at in times]
    assert list(replayer.first_times.values()) == times[:1]
    assert len(list(replayer.registrations())) == 1


def test_case_25_a_quote_that_is_never_closed_is_named_with_its_line(tmp_path: Path) -> None:
    """The row behind it would be lost in a cell; a quote that is closed, as in `"5" pipe`, is not the one."""
    text = (
        'timestamp,temperature,state\n2025-04-01T00:00:00Z,20,"5" pipe\n2025-04-01T00:10:00Z,21,ok\n'
        '2025-04-01T00:20:00Z,22,"x\n2025-04-01T00:30:00Z,23,ok\n'
    )
    with pytest.raises(InputError, match=r"quote in line 4 is never closed.*Nothing was sent"):
        _replayer(written(tmp_path, "a.csv", text))
    closed = _replayer(written(tmp_path, "b.csv", text.replace('"x', "x")))
    assert [each["state"] for each in _judged(_sent(closed), closed.model)] == ['"5" pipe', "ok", "x", "ok"]


def test_case_p1_seventeen_ids_are_seventeen_devices(tmp_path: Path) -> None:
    """Case, blanks, slashes, leading zeros, 300 letters and one letter in two compositions all count."""
    cells = [
        "pump-1", "Pump-1", "pump 1", " pump-1", "pump/1", "Pumpe-Süd", "\u6cf5-1", "pump-1\u200b", "a" * 300, "null",
        "0012", "12", "../../etc", '"o\'brien""x"', "%2F", "\u00e9", "e\u0301",
    ]  # fmt: skip
    rows = "".join(f"{cell},2025-01-19T00:00:00Z,{n}\r\n" for n, cell in enumerate(cells))
    path = written(tmp_path, "a.csv", f"dev,timestamp,temperature\r\n{rows}")
    replayer = _replayer(path, device_column="dev")
    sent = _sent(replayer)
    assert [(each.key or b"").decode() for each in sent] == [*cells[:13], "o'brien\"x", *cells[14:]]
    assert len(list(replayer.registrations())) == len(set(ids_of(sent))) == 17
    assert _judged(sent, replayer.model) == [{"temperature": float(n)} for n in range(17)]


def test_case_p2_a_file_a_month_is_one_device(tmp_path: Path) -> None:
    """Ten readings, each at its own time, and February's file says nothing against January's."""
    messages = []
    for month in (1, 2):
        rows = "".join(f"2025-0{month}-0{day}T00:00:00Z,{day}\n" for day in range(1, 6))
        replayer = _replayer(written(tmp_path, f"{month}.csv", f"timestamp,temperature\n{rows}"), device="c07")
        assert replayer.first_times == {"c07": datetime(2025, month, 1, tzinfo=UTC)}
        messages += _sent(replayer)
    assert times_of(messages) == [f"2025-0{month}-0{day}T00:00" for month in (1, 2) for day in range(1, 6)]
    assert len(set(ids_of(messages))) == 10


def _zipped(content: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", content)
    return file.getvalue()


TEXT = "timestamp,temperature\n2025-01-12T00:00:00Z,20.0\n2025-01-12T00:10:00Z,20.5\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv.gz", gzip.compress(TEXT.encode(), mtime=0), "of no kind that can be replayed"),
        ("a.zip", _zipped(TEXT.encode()), "of no kind that can be replayed"),
        ("a.csv", "timestamp,temperature,état\n2025-01-12T00:00:00Z,20,é\n".encode("latin-1"), "in UTF-8, or Parquet"),
        ("a.csv", gzip.compress(TEXT.encode(), mtime=0), "packed by gzip: unpack it"),
        ("a.jsonl", gzip.compress(TEXT.encode(), mtime=0), "packed by gzip: unpack it"),
        ("a.csv", pa.compress(TEXT.encode(), "zstd", asbytes=True), "packed by Zstandard: unpack it"),
        ("a.csv", _zipped(TEXT.encode()), "a ZIP archive, as Excel's files are"),
        ("a.csv", b"PAR1", "Parquet: name it .parquet"),
        ("a.csv", TEXT.encode("utf-32"), "in UTF-32: save it as UTF-8"),
        ("a.csv", TEXT.encode("utf-16"), "text in UTF-16: save it as UTF-8"),
        ("a.csv", TEXT.encode("utf-16-le"), "text in UTF-16: save it as UTF-8"),
    ],
)
def test_case_p6_other_encodings_are_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    """Before anything is sent, with what to do."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says):
        _replayer(tmp_path / name)


def test_byte_order_marks_are_of_no_name_and_no_time(tmp_path: Path) -> None:
    """A brother of case P6: a file that was put behind another brings its own, with its names or without them."""
    head, *rows = TEXT.splitlines(keepends=True)
    text = f"\ufeff\ufeff{head}{rows[0]}\ufeff{rows[1]}\ufeff{head}\ufeff2025-01-12T00:20:00Z,21.0\n"
    replayer = _replayer(written(tmp_path, "a.csv", text))
    assert [each[14:] for each in times_of(_sent(replayer))] == ["00", "10", "20"]
    assert replayer.check.untimed == 0


def test_case_p6_a_nul_within_a_number_is_no_number(tmp_path: Path) -> None:
    """The other rows are what they are."""
    text = "timestamp,temperature\n2025-01-12T00:00:00Z,2\x000\n2025-01-12T00:10:00Z,21\n"
    replayer = _replayer(written(tmp_path, "a.csv", text))
    assert _judged(_sent(replayer), replayer.model) == ["wrong_type", {"temperature": 21.0}]
