"""Files chosen by the statistics in the log: none is left out that may hold what is asked for."""

from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lake.storage.skipping import DataFile, files_within, portions, rows_of_files


def test_files_without_the_limits_are_left_out_and_those_that_say_nothing_are_not(tmp_path: Path) -> None:
    """Of files with 1 to 2, with 3 and with nulls alone, 2 to 2 needs the first and the last."""
    uri = str(tmp_path / "a table")
    for values in ([1, 2], [3], [None, None, None]):
        write_deltalake(uri, pa.table({"n": pa.array(values, pa.int64())}), mode="append")
    found = files_within(DeltaTable(uri), uri, "n", 2, 2)
    assert sorted(file.records for file in found) == [2, 3]
    assert duckdb.sql(f"SELECT count(*), max(n) FROM {rows_of_files(found)}").fetchall() == [(5, 2)]
    assert len(files_within(DeltaTable(uri), uri, "n", 4, 9)) == 1


def test_portions_hold_every_file_once_and_no_more_records_than_they_may() -> None:
    """A file that has more records by itself is a portion by itself."""
    files = [DataFile(str(number), records) for number, records in enumerate((4, 4, 4, 20, 1, 0, 9))]
    cut = list(portions(files, 10))
    assert [file for portion in cut for file in portion] == files
    assert [[file.records for file in portion] for portion in cut] == [[4, 4], [4], [20], [1, 0, 9]]
