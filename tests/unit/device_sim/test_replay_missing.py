"""What is missing from recorded files: cells that say so, and rows of which nothing is left."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from device_sim.cells import NumberText, is_missing, missing_texts
from runtime.errors import InputError
from tests.support.recordings import messages_of, replayer_of, written


@pytest.mark.parametrize(
    ("missing", "values"),
    [
        ("-999", pa.array([-999.0])),
        ("-9.99e2", pa.array([-999.0])),
        (" -999 ", pa.array([-999.0])),
        ("-999.0", pa.array([-999])),
        ("-999", pa.array([-999], pa.float32())),
        ("-999.9", pa.array([-999.9], pa.float32())),
        ("-999.9", pa.array([-999.9000244140625])),
        ("-999.90", pa.array([-999.9], pa.float32()).cast(pa.float64())),
        ("1e20", pa.array([1e20])),
        ("1e20", pa.array([1e20], pa.float32()).cast(pa.float64())),
        ("100000000000000000000", pa.array([1e20])),
        ("1e5", pa.array([100000.0])),
        ("0", pa.array([-0.0])),
        ("inf", pa.array([float("inf")])),
        ("true", pa.array([True])),
    ],
)
def test_a_missing_number_stands_for_its_spellings_in_parquet(tmp_path: Path, missing: str, values: Any) -> None:
    """As it does in a file of texts: a sentinel is never averaged, whatever the type of its column."""
    pq.write_table(pa.table({"time": ["2025-01-01"], "temperature": values, "humidity": [1]}), tmp_path / "a.parquet")
    (message,) = messages_of(tmp_path / "a.parquet", missing=(missing,))
    assert message.value == b'{"humidity":1}'


@pytest.mark.parametrize(
    ("cell", "is_value"),
    [("-999.9000244140625", False), ("-999,900024", False), ("-999.9002", True), ("16777217", True), ("1e999", True)],
)
def test_a_missing_number_that_was_a_single_float(tmp_path: Path, cell: str, is_value: bool) -> None:
    """In texts and JSON, too, it has digits that nobody wrote; other numbers near it are values."""
    mark = "," if "," in cell else "."
    path = written(tmp_path, "a.csv", f"time;temperature;humidity\n2025-01-01;{cell};1\n")
    (message,) = messages_of(path, missing=("-999.9", "16777216", "inf"), decimal_mark=mark)
    assert (message.value != b'{"humidity":1}') == is_value
    if mark == ".":
        path = written(tmp_path, "a.jsonl", f'{{"time":"2025-01-01","temperature":{cell},"humidity":1}}\n')
        (message,) = messages_of(path, missing=("-999.9", "16777216", "inf"))
        assert (message.value != b'{"humidity":1}') == is_value


@pytest.mark.parametrize("cell", ["0", "-0", "0.00", "-0.0", "0e5"])
def test_zero_has_no_sign_where_it_says_missing(tmp_path: Path, cell: str) -> None:
    """`--missing 0` means every zero."""
    path = written(tmp_path, "a.csv", f"time,temperature,humidity\n2025-01-01,{cell},1\n")
    assert [each.value for each in messages_of(path, missing=("0",))] == [b'{"humidity":1}']


@pytest.mark.parametrize("missing", ["", " "])
def test_an_empty_text_stands_for_no_value(tmp_path: Path, missing: str) -> None:
    """`--missing ""` drops nothing: whole numbers and texts, in a file of any type, are values."""
    path = written(tmp_path, "a.csv", "time,temperature,humidity\n2025-01-01,20,x\n")
    (message,) = messages_of(path, missing=(missing,))
    assert message.value == b'{"temperature":20,"humidity":"x"}'
    pq.write_table(pa.table({"time": ["2025-01-01"], "temperature": [20.0], "humidity": [1]}), tmp_path / "a.parquet")
    (message,) = messages_of(tmp_path / "a.parquet", missing=(missing,))
    assert message.value == b'{"temperature":20,"humidity":1}'


@pytest.mark.parametrize("value", ["x", "20", 20.0, NumberText("20")])
def test_a_value_without_a_single_float_is_compared_with_nothing(value: Any) -> None:
    """Whatever the texts are: that there is no other spelling is no text."""
    assert not is_missing(value, frozenset({""}))
    assert missing_texts(("", " ", "x")) == {"x"}


def test_a_row_that_says_nothing_is_not_sent(tmp_path: Path) -> None:
    """It is no rejected message, which would count against its hour, and no time of its device; it is counted."""
    text = "time,temperature,humidity,note\n2025-01-01,-999,,x\n2025-01-02,21,,x\nnoon,,,x\n2025-01-03,,-999,x\n"
    replayer = replayer_of(written(tmp_path, "a.csv", text), missing=("-999",))
    assert [[each.value for each in row] for row in replayer.rows()] == [[b'{"temperature":21}']]
    check = replayer.check
    assert (check.rows, check.valueless, check.refused, check.untimed) == (1, 3, 0, 0)
    assert [str(at)[:10] for at in replayer.first_times.values()] == ["2025-01-02"]


def test_the_time_of_a_row_that_is_not_sent_refuses_nothing(tmp_path: Path) -> None:
    """An hour that comes twice is no matter of rows without a value, nor of rows of another name."""
    text = "time,name,value\n2025-10-26 02:30,x,1\n2025-10-26 02:30,temperature,\n2025-10-27 00:00,temperature,1\n"
    replayer = replayer_of(written(tmp_path, "a.csv", text), pivot=("name", "value"), time_zone="Europe/Berlin")
    assert (replayer.check.rows, replayer.check.valueless, replayer.check.refusals) == (1, 1, [])
    assert replayer.unused_names == {"x": 1}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "time,temperature\n2025-01-01,\n2025-01-02,-999\n"),
        ("a.jsonl", '{"time":"2025-01-01","temperature":null}\n{"time":"2025-01-01","temperature":-999.0}\n'),
    ],
)
def test_a_file_without_any_value_is_refused(tmp_path: Path, name: str, text: str) -> None:
    """Nothing could be sent of it."""
    with pytest.raises(InputError, match=r"No row of a\.[a-z]+ has a value of a telemetry \(2 rows\)"):
        replayer_of(written(tmp_path, name, text), missing=("-999",))
