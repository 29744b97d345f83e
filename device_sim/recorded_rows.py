"""Rows of recorded files: what every kind of file comes to.

Belongs here: the two types. Reading is in `recorded`, `recorded_csv` and `recorded_parquet`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `line` is its place in the file from 1 on. `cells` has no empty ones.

    `problem` says, in words, why a row cannot be taken apart; it has no cells then.
    """

    line: int
    cells: dict[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class Recording:
    """A file of rows, to be read any number of times.

    `is_typed` is False where every cell is text (CSV), True where the file says what is a number. `place` is what a
    person calls a row's place: line or row. `read` raises InputError where the file cannot be read on.
    """

    path: Path
    is_typed: bool
    columns: tuple[str, ...]
    place: str
    read: Callable[[], Iterator[Row]]
