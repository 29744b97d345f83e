"""CSV as rows, each cell under the name that it stands below.

Belongs here: delimiters, quotes, and the rows whose cells do not fit the names. Such a row is handed on with the
problem in words and without cells: which name a value belongs to is never guessed.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from device_sim.recorded_rows import Recording, Row
from runtime.errors import InputError, UsageError

_MAX_CELL_CHARACTERS = 16 * 1024 * 1024
_DELIMITERS = ",;\t|"


def csv_recording(path: Path) -> Recording:
    """The recording of a CSV file; its first line names the columns. Raises UsageError for unusable names."""
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    delimiter, header = _header(path)
    names = tuple(header[:-1] if len(header) > 1 and not header[-1].strip() else header)
    if not any(names):
        raise UsageError(f"{path} has no rows: its first line must name the columns.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{path} names the column {twice[0]!r} twice: give each column a name of its own.")

    def read() -> Iterator[Row]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _Lines(file)
            reader = csv.reader(lines, delimiter=delimiter)
            next(reader)
            while True:
                first = reader.line_num + 1
                lines.taken.clear()
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    raise InputError(_said_of(path, first, error)) from None
                if cells is None:
                    return
                if cells:
                    if len(lines.taken) > 1 or not lines.taken[-1].endswith(("\n", "\r")):
                        _refuse_open_quote(path, lines.taken, first, delimiter)
                    yield _row(names, cells, first, lines.taken, delimiter)

    return Recording(path, False, names, "line", read)


class _Lines:
    """The lines of a file, of which those of the row at hand are kept."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.taken.append(line)
            yield line


def _header(path: Path) -> tuple[str, list[str]]:
    """The delimiter and the names: the delimiter that makes most names of the first line."""
    found: list[tuple[int, str, list[str]]] = []
    for delimiter in _DELIMITERS:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, delimiter=delimiter), [])
            found.append((len(names), delimiter, names))
    _, delimiter, names = max(found, key=lambda each: each[0])
    return delimiter, names


def _row(names: tuple[str, ...], cells: list[str], line: int, taken: list[str], delimiter: str) -> Row:
    # a delimiter at the end of a line ends its last cell
    if len(cells) == len(names) + 1 and not cells[-1].strip():
        cells = cells[:-1]
    if len(cells) != len(names):
        return Row(line, {}, f"{len(cells)} cells under {len(names)} names")
    if len(taken) > 1 and any(_cell_count(inner, delimiter) == len(names) > 1 for inner in taken[1:]):
        return Row(line, {}, f"a quoted cell holds whole rows, up to line {line + len(taken) - 1}")
    return Row(line, {name: cell for name, cell in zip(names, cells, strict=True) if cell and not cell.isspace()})


def _cell_count(line: str, delimiter: str) -> int:
    return len(next(csv.reader([line], delimiter=delimiter), []))


def _refuse_open_quote(path: Path, taken: list[str], first: int, delimiter: str) -> None:
    """A row of several lines must be right to the letter: else a quote that was left open has swallowed rows."""
    said = _broken(taken, delimiter)
    if said and (len(taken) > 1 or "end of data" in said):
        opened = next((n for n, line in enumerate(taken) if "end of data" in _broken([line], delimiter)), 0)
        raise InputError(
            f"{path}: the quote in line {first + opened} is never closed, so what follows cannot be told apart. "
            'Close it, or write a quote inside a quoted cell twice (""). Nothing was sent.'
        )


def _broken(lines: list[str], delimiter: str) -> str:
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        return str(error)
    return ""


def _said_of(path: Path, line: int, error: csv.Error) -> str:
    if "field limit" in str(error):
        return f"{path}: a cell that begins in line {line} is never closed. Close its quote. Nothing was sent."
    return f"{path} cannot be read from line {line} on: {error}. Nothing was sent."
