"""CSV as rows, each cell under the name that it stands below.

Belongs here: delimiters, quotes, and the rows whose cells do not fit the names. Such a row is handed on with the
problem in words and without cells: which name a value belongs to is never guessed.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from device_sim.cells import number_text
from device_sim.recorded_rows import Recording, Row
from runtime.errors import InputError, UsageError
from runtime.wording import counted

_MAX_CELL_CHARACTERS = 16 * 1024 * 1024
_DELIMITERS = ",;\t|"
_BOM = "\ufeff"
# Excel's own first line, which says how the file is delimited
_HINT_CHARACTERS = 20
_HINT = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
# a quoted cell with what stands behind its closing quote, or one without quotes
_CELLS = {each: re.compile(rf'(?:^|[{each}])(?:"((?:[^"]|"")*)"([^{each}]*)|([^{each}]*))') for each in _DELIMITERS}


def csv_recording(path: Path) -> Recording:
    """The recording of a CSV file; its first line names the columns, or the one behind `sep=;`.

    Spaces around a name are not of it. Raises UsageError for unusable names.
    """
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    delimiter, header = _header(path)
    is_ended = len(header) > 1 and not header[-1].strip()
    header = [header[0].lstrip(_BOM), *header[1:]] if header else header
    names = tuple(name.strip() for name in (header[:-1] if is_ended else header))
    if not any(names):
        raise UsageError(f"{path} has no rows: its first line must name the columns.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{path} names the column {twice[0]!r} twice: give each column a name of its own.")
    form = _Form(names, delimiter, is_ended, _are_rows_ended(path, len(names), delimiter, is_ended))

    def read() -> Iterator[Row]:
        for first, cells, taken in _records(path, delimiter):
            if len(taken) > 1 or not taken[-1].endswith(("\n", "\r")):
                _refuse_open_quote(path, taken, first, delimiter)
            _refuse_joined(path, cells, names, first)
            is_loose = len(taken) == 1 and '"' in taken[0] and bool(_broken(taken, delimiter))
            yield form.row(_as_written(taken[0], delimiter) if is_loose else cells, first, taken)

    return Recording(path, False, names, "line", read)


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Each record below the names that has cells: its first line's number, its cells and its lines."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=delimiter)
        next(reader)
        if _hint(lines.taken[0]) is not None:
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
                yield first, cells, lines.taken


class _Lines:
    """The lines of a file, of which those of the row at hand are kept."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.taken.append(line)
            yield line


@dataclass(frozen=True)
class _Form:
    """How the cells of a file stand below its names, and whether a delimiter ends the names, and the rows."""

    names: tuple[str, ...]
    delimiter: str
    is_header_ended: bool
    are_rows_ended: bool

    @property
    def is_ended(self) -> bool:
        """True where a delimiter at the end of a row is no cell."""
        return self.is_header_ended or self.are_rows_ended

    def row(self, cells: list[str], line: int, taken: list[str]) -> Row:
        """The row of a record."""
        count, is_last_empty = len(self.names), not cells[-1].strip()
        if not any(cell.strip() for cell in cells):
            return Row(line, {})
        if len(cells) == count + 1 and is_last_empty:
            if not self.is_ended:
                # a comma within a cell looks the same where the last value is lacking
                return Row(line, {}, f"{_under(len(cells), count)}: only some rows end with a delimiter")
            cells = cells[:-1]
        elif len(cells) == count and is_last_empty and self.are_rows_ended:
            return Row(line, {}, f"{_under(count - 1, count)}, and the delimiter that ends a row")
        if len(cells) != count:
            return Row(line, {}, _under(len(cells), count))
        # a row that a delimiter ends has one cell more
        if any(_holds_whole_row(taken, each, self.delimiter) for each in (count, count + 1)[: 1 + self.is_ended]):
            return Row(line, {}, f"a quoted cell holds whole rows, up to line {line + len(taken) - 1}")
        # a file that was put behind another one brings its byte order mark
        pairs = zip(self.names, [cells[0].lstrip(_BOM), *cells[1:]], strict=True)
        return Row(line, {name: cell for name, cell in pairs if cell and not cell.isspace()})


def _under(cells: int, names: int) -> str:
    return f"{counted(cells, 'cell')} under {counted(names, 'name')}"


def _are_rows_ended(path: Path, count: int, delimiter: str, is_header_ended: bool) -> bool:
    """True where a delimiter ends the rows: any of them below names that one ends, all of them below others."""
    is_any = False
    for _, cells, _ in _records(path, delimiter):
        is_ended = len(cells) == count + 1 and not cells[-1].strip()
        if not any(cell.strip() for cell in cells):
            continue
        if is_ended and is_header_ended:
            return True
        if len(cells) == count and not is_header_ended:
            return False
        is_any = is_any or is_ended
    return is_any


def _header(path: Path) -> tuple[str, list[str]]:
    """The delimiter and the names: the delimiter that makes most names of the first line.

    Raises InputError for a quote that takes rows into a name.
    """
    found: list[tuple[int, str, list[str], list[str]]] = []
    for delimiter in _DELIMITERS:
        with path.open(encoding="utf-8-sig", newline="") as file:
            hint = _hint(file.readline(_HINT_CHARACTERS))
            if hint is None:
                file.seek(0)
            elif hint != delimiter:
                continue
            first = 1 if hint is None else 2
            lines = _Lines(file)
            try:
                names = next(csv.reader(lines, delimiter=delimiter), [])
            except csv.Error as error:
                raise InputError(_said_of(path, first, error)) from None
            found.append((len(names), delimiter, names, lines.taken))
    count, delimiter, names, taken = max(found, key=lambda each: each[0])
    if len(taken) > 1:
        _refuse_open_quote(path, taken, first, delimiter)
    if _holds_whole_row(taken, count, delimiter):
        raise InputError(
            f"{path}: a quoted name of the columns, which begins in line {first}, holds whole rows, up to line "
            f"{first + len(taken) - 1}. Close its quote in the line where it begins. Nothing was sent."
        )
    return delimiter, names


def _hint(line: str) -> str | None:
    """The delimiter that a first line says there is; None for a line that says none that is read here."""
    match = _HINT.fullmatch(line)
    return match[1] if match is not None and match[1] in _DELIMITERS else None


def _holds_whole_row(taken: list[str], count: int, delimiter: str) -> bool:
    """True where a line within a record may be a row itself, behind enough cells for another one."""
    delimiters = 0
    for before, line in pairwise(taken):
        delimiters += before.count(delimiter)
        if delimiters >= count - 1 and _cell_count(line, delimiter) == count > 1:
            return True
    return False


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


def _refuse_joined(path: Path, cells: list[str], names: tuple[str, ...], line: int) -> None:
    """Two files one behind the other: the last row of the first may run on into the names of the second."""
    count = len(names)
    if len(cells) != 2 * count - 1 or not cells[count - 1].endswith(tuple(name for name in names if name)):
        return
    if count > 1 and all(each.strip() and number_text(each.strip()) is None for each in cells[count:]):
        raise InputError(
            f"{path}: line {line} runs on into the names of another file. Put a line break before them, or give each "
            "file by itself. Nothing was sent."
        )


def _as_written(line: str, delimiter: str) -> list[str]:
    """The cells of a line in which something stands behind a closing quote: such a cell is as it stands, with quotes.

    Python leaves the quotes out, so that `"21"5` would be a number.
    """
    cells = []
    for match in _CELLS[delimiter].finditer(line.rstrip("\r\n")):
        quoted, behind, plain = match.groups()
        if plain is not None:
            cells.append(plain)
        else:
            cells.append(f'"{quoted}"{behind}' if behind.strip() else quoted.replace('""', '"') + behind)
    return cells


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
