"""Names and depths of recorded files: each value has one name, and no nesting stops a replay."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime.errors import InputError, UsageError
from tests.support.recordings import messages_of, replayer_of, written

GOOD = '{"time":"2025-01-01","temperature":1}\n'


@pytest.mark.parametrize(
    ("value", "is_sent"),
    [
        ("[" * 99 + "1" + "]" * 99, True),
        ("[" * 900 + "1" + "]" * 900, False),
        ('{"a":' * 600 + "1" + "}" * 600, False),
        ("[" * 100_000 + "]" * 100_000, False),
        # flat, however long it is
        ("[" + ",".join(["[]"] * 5000) + "]", True),
    ],
)
def test_json_that_is_nested_too_deeply_refuses_its_line(tmp_path: Path, value: str, is_sent: bool) -> None:
    """A line of so many levels is named, and the others are sent."""
    path = written(tmp_path, "a.jsonl", f'{{"time":"2025-01-01","temperature":{value}}}\n{GOOD}')
    assert len(messages_of(path)) == 1 + is_sent
    assert replayer_of(path).check.refusals == ([] if is_sent else [(1, "JSON that is nested too deeply")])


def test_a_file_of_which_no_line_is_an_object_is_refused(tmp_path: Path) -> None:
    """It has no names, so that nothing else could be said of it: its first line is named."""
    path = written(tmp_path, "a.json", '{\n  "time": "2025-01-01",\n  "temperature": 1\n}\n')
    with pytest.raises(InputError, match=r"line 1: no JSON\. Give JSON lines, one object a line\. Nothing was sent"):
        replayer_of(path)


def test_a_name_with_a_point_beside_the_object_that_it_means_refuses_its_line(tmp_path: Path) -> None:
    """Of two values of `motor.speed` none is taken silently; a null is no value."""
    lines = (
        '{"time":"2025-01-01","motor.speed":1,"motor":{"speed":2}}\n'
        '{"time":"2025-01-02","motor.speed":null,"motor":{"speed":2}}\n'
    )
    path = written(tmp_path, "a.jsonl", lines)
    assert [each.value for each in messages_of(path, model="pump")] == [b'{"speed":2}']
    assert replayer_of(path, model="pump").check.refusals == [
        (1, "the name 'motor.speed' twice, as itself and in an object")
    ]


def test_a_column_with_a_point_beside_the_map_that_it_means_refuses_its_row(tmp_path: Path) -> None:
    """A map's keys are known only row by row."""
    maps = pa.array([[("speed", 1.5)], [("other", 1.5)]], pa.map_(pa.string(), pa.float64()))
    table = pa.table({"time": ["2025-01-01", "2025-01-02"], "motor.speed": [2.5, 3.5], "motor": maps})
    pq.write_table(table, tmp_path / "a.parquet")
    replayer = replayer_of(tmp_path / "a.parquet", model="pump")
    assert [each.value for row in replayer.rows() for each in row] == [b'{"speed":3.5}']
    assert replayer.check.refusals == [(1, "the name 'motor.speed' twice, as itself and in an object")]


ONE = pa.array([1.0])
TWICE = pa.StructArray.from_arrays([ONE, ONE], ["x", "x"])


@pytest.mark.parametrize(
    ("names", "columns", "says"),
    [
        (["temperature", "temperature"], [ONE, ONE], "the column 'temperature' twice"),
        (["pos.lat", "pos"], [ONE, pa.StructArray.from_arrays([ONE], ["lat"])], "the column 'pos.lat' twice"),
        (["pos"], [TWICE], "the column 'pos.x' twice"),
        (["wave"], [pa.ListArray.from_arrays([0, 1], TWICE)], "the field 'x' twice within the column 'wave'"),
    ],
)
def test_parquet_with_a_name_twice_is_refused(tmp_path: Path, names: list[str], columns: list[Any], says: str) -> None:
    """As with CSV, neither of the two values is taken for the other."""
    pq.write_table(pa.table([pa.array(["2025-01-01"]), *columns], ["time", *names]), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=says):
        replayer_of(tmp_path / "a.parquet")


def test_a_map_with_a_key_twice_is_left_to_be_judged(tmp_path: Path) -> None:
    """Neither of its values hides the other: it is sent as pairs, which are no object."""
    maps = pa.array([[("a", 1.5), ("a", 2.5)], [("a", 1.5)]], pa.map_(pa.string(), pa.float32()))
    pq.write_table(pa.table({"time": ["2025-01-01", "2025-01-02"], "temperature": maps}), tmp_path / "a.parquet")
    assert [each.value for each in messages_of(tmp_path / "a.parquet")] == [
        b'{"temperature":[["a",1.5],["a",2.5]]}',
        b'{"temperature":{"a":1.5}}',
    ]
