"""Which cell of a row is which telemetry.

Belongs here: columns by name and by mapping, long files, where one column names the telemetry and one holds the value
(`--pivot`), and the names of columns once more within a file. What the values become is in `playback`.
"""

import difflib
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, Protocol

from device_sim.cells import name_text
from device_sim.recorded_rows import Recording, Row
from device_sim.replay_options import ReplayOptions
from lake.models.catalog import Model, Telemetry
from runtime.errors import InputError, UsageError

_TIME_COLUMNS = (
    "timestamp", "time", "measured_at", "datetime", "date_time", "ts", "last_changed", "last_updated", "_time",
)  # fmt: skip
_NAMES_SHOWN = 20


def as_named(recording: Recording, options: ReplayOptions) -> ReplayOptions:
    """The options with the file's columns as the file has them: spaces around a name that is given are not of it, as
    those around a name in a CSV file are not, unless the file has that very name. Raises UsageError for one that is
    mapped twice."""

    def column(name: str | None) -> str | None:
        return name if name is None or name in recording.columns else name.strip()

    pivot, columns = options.pivot, {}
    for name, telemetry in options.columns.items():
        if column(name) in columns:
            raise UsageError(f"{column(name)!r} is mapped twice: map it once.")
        columns[column(name) or ""] = telemetry.strip()
    return replace(
        options,
        device_column=column(options.device_column),
        time_column=column(options.time_column),
        columns=columns,
        pivot=None if pivot is None else (column(pivot[0]) or "", column(pivot[1]) or ""),
        only=tuple(each.strip() for each in options.only),
    )


class Columns(Protocol):
    """What of a row is sent."""

    used: tuple[str, ...]
    telemetry: tuple[Telemetry, ...]

    def values(self, cells: Mapping[str, Any]) -> Iterator[tuple[Telemetry, Any]]:
        """The telemetry that a row has a cell of, with that cell."""

    def series(self, cells: Mapping[str, Any]) -> str | None:
        """What tells the rows of one device apart that come in an order of their own; None where nothing does."""

    def contradiction(self, row: Row, about: Hashable, text: str) -> str | None:
        """Why a row is not sent of which the file says something else, too: of `about`, its device and time."""


class WideColumns:
    """A column for each telemetry: as mapped, then those with a telemetry's own name."""

    def __init__(self, recording: Recording, model: Model, options: ReplayOptions) -> None:
        """Raises UsageError for a column or a telemetry that is not there, and where no column is one."""
        mapping, only = options.columns, _only(model, options)
        free = {each.metric_name: each for each in model.telemetry}
        names = list(free)
        mapped: dict[str, Telemetry] = {}
        for column, name in mapping.items():
            require_column(recording, column)
            if name not in names:
                raise UsageError(no_such_telemetry(model, name))
            if name not in free:
                raise UsageError(f"Two columns are mapped to {name}: map one of them.")
            mapped[column] = free.pop(name)
        for column in recording.columns:
            if column in free and column not in mapped:
                mapped[column] = free.pop(column)
        if not mapped:
            raise UsageError(
                f"No column of {recording.path.name} has the name of a telemetry of {model.model_id}: give "
                f"--map COLUMN=TELEMETRY. Columns: {', '.join(recording.columns)}. Telemetry: {', '.join(names)}. Of a "
                "file with a column of names and one of values give --pivot NAME=VALUE."
            )
        mapped = {column: each for column, each in mapped.items() if each.metric_name in only}
        if not mapped:
            raise UsageError(f"No column of {recording.path.name} is {' or '.join(options.only)}: see --map, --only.")
        # in the order of the model, whatever that of the columns: the same row of another export is the same payload
        self._mapped = {column: each for name in names for column, each in mapped.items() if each.metric_name == name}
        self.used = tuple(mapped)
        self.telemetry = tuple(mapped.values())

    def values(self, cells: Mapping[str, Any]) -> Iterator[tuple[Telemetry, Any]]:
        """One a column."""
        for column, telemetry in self._mapped.items():
            if column in cells:
                yield telemetry, cells[column]

    def series(self, cells: Mapping[str, Any]) -> str | None:
        """All rows of a device are one."""
        return None

    def contradiction(self, row: Row, about: Hashable, text: str) -> str | None:
        """Each column is a telemetry of its own."""
        return None


class LongColumns:
    """A column that names the telemetry of each row, and one that holds its value.

    The options map names to telemetry; where they map none, that is the one of the telemetry's own name. Rows of other
    names are not sent; `others` counts them. Values of a telemetry that several names are mapped to are kept, to be
    compared.
    """

    def __init__(self, recording: Recording, model: Model, options: ReplayOptions, pivot: tuple[str, str]) -> None:
        """Raises UsageError for a column or a telemetry that is not there."""
        mapping, only = options.columns, _only(model, options)
        self._name, self._value = pivot
        self._place = recording.place
        for column in pivot:
            require_column(recording, column)
        known = {each.metric_name: each for each in model.telemetry}
        for name in mapping.values():
            if name not in known:
                raise UsageError(no_such_telemetry(model, name))
        mapped = Counter(mapping.values())
        self._telemetry = {name: each for name, each in known.items() if name not in mapped}
        self._telemetry |= {name: known[telemetry] for name, telemetry in mapping.items()}
        self._telemetry = {name: each for name, each in self._telemetry.items() if each.metric_name in only}
        self._shared = {name for name, count in mapped.items() if count > 1}
        self._said: dict[tuple[str, Hashable], tuple[str, str, int]] = {}
        self.used = pivot
        self.telemetry = tuple(known.values())
        self.others: Counter[str] = Counter()

    def values(self, cells: Mapping[str, Any]) -> Iterator[tuple[Telemetry, Any]]:
        """One at most."""
        telemetry = self._telemetry.get(self._name_in(cells))
        if telemetry is not None and self._value in cells:
            yield telemetry, cells[self._value]

    def series(self, cells: Mapping[str, Any]) -> str | None:
        """Each name has an order of its own."""
        return self._name_in(cells)

    def contradiction(self, row: Row, about: Hashable, text: str) -> str | None:
        """Of two names for one telemetry nothing says which of their values is the right one."""
        name = self._name_in(row.cells)
        telemetry = self._telemetry[name].metric_name
        if telemetry not in self._shared:
            return None
        first, said, line = self._said.setdefault((telemetry, about), (name, text, row.line))
        if first == name or said == text:
            return None
        return f"{telemetry} is {text[:80]} by the name {name!r}, and {said[:80]} by {first!r} in {self._place} {line}"

    def is_other(self, cells: Mapping[str, Any]) -> bool:
        """True for a row of a name that is not sent."""
        return self._name_in(cells) not in self._telemetry

    def count_other(self, cells: Mapping[str, Any]) -> bool:
        """True, and counted, for a row of a name that is not sent."""
        name = self._name_in(cells)
        if not self.is_other(cells):
            return False
        if name in self.others or len(self.others) < _NAMES_SHOWN:
            self.others[name] += 1
        return True

    def _name_in(self, cells: Mapping[str, Any]) -> str:
        """What a row is of; spaces around a name are not of it, here as in the first line."""
        name = name_text(cells.get(self._name))
        return name if name in self._telemetry else name.strip()


def _only(model: Model, options: ReplayOptions) -> Set[str]:
    """The telemetry that may be sent. Raises UsageError for one that is not there."""
    names = {each.metric_name for each in model.telemetry}
    for name in options.only:
        if name not in names:
            raise UsageError(no_such_telemetry(model, name))
    return set(options.only) or names


class Header:
    """The line of names of a file without types, which comes again where files were put together."""

    def __init__(self, recording: Recording, time_column: str) -> None:
        self._recording, self._time_column = recording, time_column
        self._names = {*map(_bare, recording.columns), *_TIME_COLUMNS}

    def is_again(self, row: Row) -> bool:
        """True for a row that is the line of names. Raises InputError for one of other names, or in another order."""
        said = row.cells.get(self._time_column)
        if self._recording.is_typed or not isinstance(said, str) or _bare(said) not in self._names:
            return False
        if all(_bare(cell) == _bare(name) for name, cell in row.cells.items()):
            return True
        raise InputError(
            f"Line {row.line} of {self._recording.path.name} names columns again, and not as the first line does: what "
            "follows would stand below wrong names. Give each file by itself. Nothing was sent."
        )


def _bare(name: str) -> str:
    return name.strip("\ufeff \t")


def find_time_column(recording: Recording, wanted: str | None) -> str:
    """The column of the time: the one that is wanted, or the first with a usual name. Raises UsageError."""
    if wanted is not None:
        require_column(recording, wanted)
        return wanted
    by_name = {column.lower(): column for column in reversed(recording.columns)}
    for name in _TIME_COLUMNS:
        if name in by_name:
            return by_name[name]
    raise UsageError(
        f"No column of {recording.path.name} has a usual name for the time: give --time-column, one of "
        f"{', '.join(recording.columns)}."
    )


def require_column(recording: Recording, column: str) -> None:
    """Raise UsageError for a column that a file does not have."""
    if column not in recording.columns:
        raise UsageError(
            f"{recording.path.name} has no column {column!r}{_suggestion(column, recording.columns)} "
            f"It has {', '.join(recording.columns)}."
        )


def no_such_telemetry(model: Model, name: str) -> str:
    """What to say of a name that is no telemetry of a model."""
    names = [each.metric_name for each in model.telemetry]
    return f"{model.model_id} has no telemetry {name!r}{_suggestion(name, names)} It has {', '.join(names)}."


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f": did you mean {' or '.join(map(repr, near))}?" if near else "."
