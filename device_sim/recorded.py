"""Recorded files: CSV, JSON lines and Parquet as one stream of rows.

Belongs here: reading a file row by row, never whole, and what its columns are. What a row means to a device model is in
`replay`.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from device_sim.cells import NumberText
from runtime.errors import UsageError

_BATCH_ROWS = 8192
_MAX_CELL_CHARACTERS = 16 * 1024 * 1024
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `number` counts from 1. `cells` has no empty ones.

    `raw` is what the row says, as bytes. `cells` is None for a row that cannot be taken apart.
    """

    number: int
    raw: bytes
    cells: dict[str, Any] | None


@dataclass(frozen=True)
class Recording:
    """A file of rows, to be read any number of times.

    `is_typed` is False where every cell is text (CSV), True where the file says what is a number. `header` is what
    the file says of its columns apart from the rows.
    """

    path: Path
    is_typed: bool
    columns: tuple[str, ...]
    header: str
    read: Callable[[], Iterator[Row]]

    def rows(self) -> Iterator[Row]:
        """All rows. Raises UsageError where the file cannot be read on."""
        try:
            yield from self.read()
        except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
            raise _unreadable(self.path, error) from error


def open_recording(path: Path) -> Recording:
    """A recording by the ending of its name. Raises UsageError for another ending, or a file that cannot be read."""
    try:
        match path.suffix.lower():
            case ".csv" | ".tsv" | ".txt":
                return _csv(path)
            case ".jsonl" | ".ndjson" | ".json":
                return _json_lines(path)
            case ".parquet" | ".pq":
                return _parquet(path)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    raise UsageError(f"{path.name} is of no kind that can be replayed: give .csv, .tsv, .jsonl, .ndjson or .parquet.")


def _unreadable(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{path} cannot be read: {str(error).splitlines()[0]}. Give CSV or JSON lines in UTF-8, or Parquet."
    )


def _csv(path: Path) -> Recording:
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    with path.open(encoding="utf-8-sig", newline="") as file:
        first_line = file.readline()
    delimiter = max(_DELIMITERS, key=first_line.count)
    header = next(csv.reader([first_line], delimiter=delimiter), [])
    if not header:
        raise UsageError(f"{path} has no rows: its first line must name the columns.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UsageError(f"{path} names the column {twice[0]!r} twice: give each column a name of its own.")

    def read() -> Iterator[Row]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=delimiter)
            next(lines)
            for number, line in enumerate((line for line in lines if line), start=1):
                cells = {name: cell for name, cell in zip(header, line, strict=False) if cell and not cell.isspace()}
                yield Row(number, "\x1f".join(line).encode(), cells)

    return Recording(path, False, tuple(header), "\x1f".join(header), read)


def _json_lines(path: Path) -> Recording:
    with path.open(encoding="utf-8-sig") as file:
        if file.read(4096).lstrip().startswith("["):
            raise UsageError(f"{path} is one JSON list: give JSON lines, one object a line.")

    def read() -> Iterator[Row]:
        with path.open(encoding="utf-8-sig") as file:
            lines = (line.strip() for line in file)
            for number, line in enumerate((line for line in lines if line), start=1):
                yield Row(number, line.encode(), _cells_of_line(line))

    # only all of the lines together show the names in them
    columns = dict.fromkeys(name for row in read() for name in row.cells or ())
    return Recording(path, True, tuple(columns), "", read)


def _cells_of_line(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line, parse_float=NumberText, parse_int=NumberText, parse_constant=NumberText)
    except (json.JSONDecodeError, RecursionError):
        return None
    return dict(_flat(value)) if isinstance(value, dict) else None


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The columns of an object: each of its names, and those within an object as `outer.inner`."""
    for name, each in value.items():
        if each is not None:
            yield prefix + name, each
        if isinstance(each, dict):
            yield from _flat(each, f"{prefix}{name}.")


def _parquet(path: Path) -> Recording:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow

    def read() -> Iterator[Row]:
        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                columns = {name: _values(batch.column(i)) for i, name in enumerate(batch.schema.names)}
                for cells in zip(*columns.values(), strict=True):
                    number += 1
                    row = dict(zip(columns, cells, strict=True))
                    yield Row(number, repr(cells).encode(), dict(_flat(row)))

    columns = tuple(_column_names(schema))
    return Recording(path, True, columns, "\x1f".join(columns), read)


def _column_names(fields: Any, prefix: str = "") -> Iterator[str]:
    for field in fields:
        yield prefix + field.name
        if pa.types.is_struct(field.type):
            inner = [field.type.field(i) for i in range(field.type.num_fields)]
            yield from _column_names(inner, f"{prefix}{field.name}.")


def _values(column: Any) -> list[Any]:
    """Python values of a column, numbers as they are to be written."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        # Python's times end at the microsecond
        column = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
    values: list[Any] = column.to_pylist()
    if pa.types.is_float32(kind):
        # as a double it would show digits that nobody wrote
        return [None if value is None else NumberText(_plain(str(np.float32(value)))) for value in values]
    if pa.types.is_decimal(kind):
        return [None if value is None else NumberText(f"{value:f}") for value in values]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [None if value is None else value.decode("utf-8", "backslashreplace") for value in values]
    return values


def _plain(text: str) -> str:
    return re.sub("^(-?)inf$", r"\1Infinity", text).replace("nan", "NaN")
