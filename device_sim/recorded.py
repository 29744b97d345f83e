"""Recorded files: CSV, JSON lines and Parquet as one stream of rows.

Belongs here: which kind of file it is, whether it can be read as text, and JSON lines. What a row means to a device
model is in `playback`.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from device_sim.json_values import json_value
from device_sim.recorded_csv import csv_recording
from device_sim.recorded_parquet import parquet_recording, row_of
from device_sim.recorded_rows import Recording, Row
from runtime.errors import InputError, UsageError

_TEXT_KINDS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json")


# how files begin that are given a name of text, and what to do
_OTHER_KINDS = {
    b"\x1f\x8b": "packed by gzip: unpack it",
    b"\x28\xb5\x2f\xfd": "packed by Zstandard: unpack it",
    b"PK\x03\x04": "a ZIP archive, as Excel's files are: unpack it, or save it as CSV",
    b"PAR1": "Parquet: name it .parquet",
    b"\xff\xfe\0\0": "in UTF-32: save it as UTF-8",
    b"\0\0\xfe\xff": "in UTF-32: save it as UTF-8",
}


def open_recording(path: Path) -> Recording:
    """A recording by the ending of its name. Raises UsageError for another ending, or a file that cannot be read."""
    kind = path.suffix.lower()
    try:
        if kind in _TEXT_KINDS:
            _require_utf8(path)
            return csv_recording(path) if kind in _TEXT_KINDS[:3] else _json_lines(path)
        if kind in (".parquet", ".pq"):
            return parquet_recording(path)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise UsageError(_unreadable(path, error)) from error
    raise UsageError(f"{path.name} is of no kind that can be replayed: give .csv, .tsv, .jsonl, .ndjson or .parquet.")


def rows_of(recording: Recording) -> Iterator[Row]:
    """All rows. Raises InputError where the file cannot be read on."""
    try:
        yield from recording.read()
    except (OSError, UnicodeDecodeError, OverflowError, pa.ArrowException) as error:
        raise InputError(_unreadable(recording.path, error)) from error


def _unreadable(path: Path, error: Exception) -> str:
    return f"{path} cannot be read: {str(error).splitlines()[0]}. Give CSV or JSON lines in UTF-8, or Parquet."


def _require_utf8(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(1024)
    for signs, what in _OTHER_KINDS.items():
        if start.startswith(signs):
            raise UsageError(f"{path} is no text but {what}.")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or (b"\0" in start[:64] and start.count(b"\0") > len(start) // 4):
        raise UsageError(f"{path} is text in UTF-16: save it as UTF-8.")


def _json_lines(path: Path) -> Recording:
    with path.open(encoding="utf-8-sig") as file:
        if file.read(4096).lstrip().startswith("["):
            raise UsageError(f"{path} is one JSON list: give JSON lines, one object a line.")

    def read() -> Iterator[Row]:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _row_of_line(line, number)

    # only all of the lines together show the names in them
    columns: dict[str, None] = {}
    refused: Row | None = None
    for row in read():
        columns.update(dict.fromkeys(row.cells))
        refused = refused or (row if row.problem else None)
    if not columns and refused is not None:
        raise InputError(
            f"No row of {path.name} can be sent: line {refused.line}: {refused.problem}. Give JSON lines, one object a "
            "line. Nothing was sent."
        )
    if not columns:
        raise UsageError(f"{path} has no rows: give JSON lines, one object a line.")
    return Recording(path, True, tuple(columns), "line", read)


def _row_of_line(line: str, number: int) -> Row:
    try:
        value = json_value(line)
    except ValueError as error:
        return Row(number, {}, str(error))
    return row_of(value, number) if isinstance(value, dict) else Row(number, {}, "no JSON object")
