"""Times by a format: numbers are read as their digits, in every kind of file."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from device_sim.recorded_times import TimeReader
from tests.support.recordings import messages_of, times_of, written


@pytest.mark.parametrize(
    ("format_", "text", "expected"),
    [
        ("%Y%m%d%H%M", "202503010010", "2025-03-01T00:10"),
        ("%Y%m%d", "20250301", "2025-03-01T00:00"),
        # the zeros before a number are lost
        ("%d%m%Y", "1032025", "2025-03-01T00:00"),
        ("%y%m%d", "50301", "2005-03-01T00:00"),
        ("%H%M%d%m%Y", "10032025", "2025-03-10T00:00"),
        ("%Y%m%d%H%M%S%f", "20250301001000123", "2025-03-01T00:10"),
    ],
)
def test_numbers_are_read_by_the_format(tmp_path: Path, format_: str, text: str, expected: str) -> None:
    """CSV, JSON lines and Parquet, whole numbers and such as a column with gaps is written with, are one."""
    csv = written(tmp_path, "a.csv", f"time,temperature\n{text},1\n")
    lines = written(tmp_path, "a.jsonl", f'{{"time":{text},"temperature":1}}\n')
    columns: list[Any] = [pa.array([int(text)])]
    if int(text) < 2**53:
        columns.append(pa.array([float(text)]))
    for column in columns:
        pq.write_table(pa.table({"time": column, "temperature": [1]}), tmp_path / "a.parquet")
        assert times_of(messages_of(tmp_path / "a.parquet", time_format=format_)) == [expected]
    for path in (csv, lines):
        assert times_of(messages_of(path, time_format=format_)) == [expected]


@pytest.mark.parametrize("value", [202503010010.5, True, None, -20250301, [20250301], "2025031"])
def test_what_a_format_does_not_say_is_no_time(value: Any) -> None:
    """A fraction, whose zeros are lost, and what lacks a digit in the middle are never guessed."""
    for format_ in ("%Y%m%d%H%M.%S", "%Y%m%d", "%Y%m%d%H%M"):
        assert TimeReader(None, format_).read(value) is None
