"""The check before a replay: what is missing, what repeats, and what the file holds."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from device_sim.cells import json_of_text, same_number
from lake.models.catalog import Model, catalog_of
from lake.models.documents import Document
from lake.models.dtdl import read_declarations
from runtime.errors import UsageError
from tests.support.recordings import ids_of, messages_of, replayer_of, text_of, written
from wire.envelope import DATASCHEMA

STATION = b"""{"@context": "dtmi:dtdl:context;3", "@id": "dtmi:case:station;1", "@type": "Interface", "contents": [
    {"@type": "Telemetry", "name": "temperature", "schema": "double"},
    {"@type": "Telemetry", "name": "pulses", "schema": "long"},
    {"@type": "Telemetry", "name": "state", "schema": "string"},
    {"@type": "Telemetry", "name": "pos", "schema": {"@type": "Object", "fields": [
        {"name": "lat", "schema": "double"}, {"name": "lon", "schema": "double"}]}},
    {"@type": "Telemetry", "name": "wave", "schema": {"@type": "Array", "elementSchema": "double"}}]}"""


def _station() -> dict[str, Model]:
    return dict(catalog_of([Document("station.json", read_declarations(STATION, "station.json"), {})]).models)


def test_overlapping_files_are_the_same_messages(tmp_path: Path) -> None:
    """Of two exports of 12 rows that share 6, and are written differently, 18 messages come."""
    rows = [(f"2025-01-12T{hour:02}:{minute:02}:00Z", 20 + hour) for hour in range(3) for minute in range(0, 60, 10)]
    first = written(tmp_path, "a.csv", "time,temperature\n" + "".join(f"{t},{v}.0\n" for t, v in rows[:12]))
    second = written(tmp_path, "b.csv", "temperature;time\n" + "".join(f"{v};{t}\n" for t, v in rows[6:]))
    both = [*messages_of(first), *messages_of(second)]
    assert len({(each.value, *ids_of([each])) for each in both}) == len(set(ids_of(both))) == 18


def test_repeated_and_contradicting_rows_are_counted(tmp_path: Path) -> None:
    """The same row three times is one message; another value at its time is the same id with other bytes."""
    text = "time,temperature\n2025-01-13T00:00,20\n" + "2025-01-13T00:10,21\n" * 3 + "2025-01-13T00:10,22\n"
    path = written(tmp_path, "a.csv", text)
    assert len(set(ids_of(messages_of(path)))) == 2
    check = replayer_of(path).check
    assert (check.rows, check.again, check.contradicting) == (5, 2, 1)


def test_a_message_names_the_model_of_its_replay(tmp_path: Path) -> None:
    """So another replay, which registers the device with another model, changes nothing for these rows."""
    path = written(tmp_path, "a.csv", "time,temperature,pressure\n2025-01-13,20,5\n")
    for model, dtmi in (("thermostat", "dtmi:lakehouse:thermostat;1"), ("pump", "dtmi:lakehouse:pump;1")):
        (message,) = messages_of(path, model=model)
        assert text_of(message, DATASCHEMA) == dtmi


def test_numbers_inside_objects_are_as_at_top_level(tmp_path: Path) -> None:
    """Decimals and single floats in a struct, a list and a map keep what was written; NaN anywhere is no value."""
    decimals = pa.struct({"lat": pa.decimal128(10, 3), "lon": pa.decimal128(10, 3)})
    pos = pa.array([{"lat": Decimal("21.300"), "lon": Decimal("5.100")}], decimals)
    floats = pa.array([{"lat": 21.3, "lon": float("nan")}], pa.struct({"lat": pa.float32(), "lon": pa.float32()}))
    wave = pa.array([[21.3, None, float("nan")]], pa.list_(pa.float32()))
    expected = {
        "pos": (pos, b'{"pos":{"lat":21.3,"lon":5.1}}'),
        "pos ": (floats, b'{"pos":{"lat":21.3}}'),
        "wave": (wave, b'{"wave":[21.3,null,null]}'),
    }
    for name, (column, payload) in expected.items():
        table = pa.table({"time": pa.array([datetime(2025, 1, 1)]), name.strip(): column})
        pq.write_table(table, tmp_path / "a.parquet")
        (message,) = messages_of(tmp_path / "a.parquet", model="dtmi:case:station;1", models=_station())
        assert message.value == payload


def test_nan_costs_nothing_but_itself(tmp_path: Path) -> None:
    """A float that is missing as pandas writes it leaves the rest of its row; an infinity is a text to be refused."""
    table = pa.table(
        {
            "time": pa.array([datetime(2025, 1, 1), datetime(2025, 1, 2)]),
            "temperature": [float("nan"), float("inf")],
            "pulses": [4, 5],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    messages = messages_of(tmp_path / "a.parquet", model="dtmi:case:station;1", models=_station())
    assert [each.value for each in messages] == [b'{"pulses":4}', b'{"temperature":"inf","pulses":5}']


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "time,temperature,humidity\n2025-01-17,10,-999\n2025-01-18,-999.0,50\n2025-01-19,n/a,51\n"),
        (
            "a.jsonl",
            '{"time":"2025-01-17","temperature":10,"humidity":-999}\n'
            '{"time":"2025-01-18","temperature":-999.0,"humidity":50}\n'
            '{"time":"2025-01-19","temperature":"n/a","humidity":51}\n',
        ),
    ],
)
def test_cells_that_say_missing_are_left_out(tmp_path: Path, name: str, text: str) -> None:
    """A number stands for all its spellings."""
    messages = messages_of(written(tmp_path, name, text), missing=("-999", "n/a"))
    assert [each.value for each in messages] == [b'{"temperature":10}', b'{"humidity":50}', b'{"humidity":51}']


def test_long_files_name_the_telemetry_in_a_column(tmp_path: Path) -> None:
    """Entity, state, time a row: mapped names and a telemetry's own are sent, the others are counted."""
    text = (
        "entity_id,state,last_changed\n"
        "sensor.hall,21.5,2025-01-17T00:00:00+00:00\nhumidity,unavailable,2025-01-17T00:00:10+00:00\n"
        "light.hall,on,2025-01-17T00:00:20+00:00\nhumidity,50,2025-01-17T00:00:00+00:00\n"
    )
    path = written(tmp_path, "a.csv", text)
    options: dict[str, Any] = {
        "pivot": ("entity_id", "state"),
        "columns": {"sensor.hall": "temperature"},
        "missing": ("unavailable",),
    }
    messages = messages_of(path, **options)
    assert [each.value for each in messages] == [b'{"temperature":21.5}', b'{"humidity":50}']
    assert len(set(ids_of(messages))) == 2
    assert replayer_of(path, **options).unused_names == {"light.hall": 1}
    with pytest.raises(UsageError, match="no telemetry 'temprature': did you mean 'temperature'"):
        replayer_of(path, pivot=("entity_id", "state"), columns={"sensor.hall": "temprature"})
    with pytest.raises(UsageError, match=r"give --map NAME=TELEMETRY. Names: sensor.hall, humidity"):
        replayer_of(path, model="energy-meter", pivot=("entity_id", "state"))


def test_a_check_says_what_a_file_holds(tmp_path: Path) -> None:
    """Devices with their times, and each telemetry with its range and its first value."""
    text = "time,unit,temperature\n2025-01-02,a,5\n2025-01-01,a,-3\n2025-01-03,b,high\n1970-01-01,b,1\n"
    check = replayer_of(written(tmp_path, "a.csv", text), device_column="unit").check
    assert {name: (each.first, each.last, each.rows) for name, each in check.devices.items()} == {
        "a": (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC), 2),
        "b": (datetime(2025, 1, 3, tzinfo=UTC), datetime(2025, 1, 3, tzinfo=UTC), 2),
    }
    values = check.values["temperature"]
    assert (values.count, values.lowest, values.highest, values.first) == (4, -3, 5, "5")


def test_rows_that_a_file_gains_meanwhile_are_left_for_another_time(tmp_path: Path) -> None:
    """What was not checked is not sent."""
    path = written(tmp_path, "a.csv", "time,temperature\n2025-01-01,1\n")
    replayer = replayer_of(path)
    with path.open("a") as file:
        file.write("2025-01-02,2\n")
    assert [row[0].value for row in replayer.rows()] == [b'{"temperature":1}']


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20.0", "20"), ("20", "20"), ("2e1", "20"), ("0.10", "0.1"), ("1e400", "1e400"), ("-0.0", "-0"),
     ("9007199254740993.0", "9007199254740993.0"), ("0.1000000000000000055", "0.1000000000000000055"),
     ('"20.0"', '"20.0"')],
)  # fmt: skip
def test_a_number_has_one_spelling(text: str, expected: str) -> None:
    """The shortest of the same value; digits that a double does not hold stay."""
    assert same_number(text) == expected


def test_a_decimal_comma_is_read_where_it_is_said() -> None:
    """A point is none then, so that 1.234,5 is not taken for another number."""
    assert json_of_text("21,5", "double", ",") == "21.5"
    assert json_of_text("1.234,5", "double", ",") == '"1.234,5"'
    assert json_of_text("21.5", "double", ",") == '"21.5"'
