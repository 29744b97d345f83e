"""Open windows: which windows changed, which are final, and their figures.

Belongs here: keeping account of windows between batches. What a window computes is in `transforms.windows`; messages
are made of the results in `hot_outputs`.

A window is final once everything that the landing zone received until `lateness_s` after its end was read. What comes
later was received later. It corrects the window, or by the window's policy is left out of it from the start. A window
of which readings were let go is told no more: its figures would not be whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from lake.sql_text import Query, Relation, quoted_name, quoted_names
from transforms.windows import OPEN_COLUMNS, Window, each_reading, figures, sessions, touched

_OPEN, _NEW = Relation("open_readings"), Relation("new_readings")
_US = 1_000_000


@dataclass(frozen=True)
class WindowResult:
    """The figures of one window as of now. `revision` grows with each reading that it holds.

    `inputs` are the lowest and highest offset a partition, of a single reading also which it is; `is_correction` says
    that it was told as final before.
    """

    window: Window
    keys: Mapping[str, str | None]
    start_us: int
    end_us: int
    revision: int
    is_final: bool
    is_correction: bool
    inputs: Sequence[Mapping[str, Any]]
    last_received_us: int
    figures: Mapping[str, Any]

    @property
    def final_us(self) -> int:
        """The moment, by the landing zone's clock, at which the window is final."""
        return self.end_us + self.window.lateness_s * _US


class OpenWindows:
    """The windows of one declaration: their prepared questions and which of them are still to be final."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, number: int, window: Window, partitions: Sequence[int]):
        self.window = window
        self._connection = connection
        self._changed, self._asked = f"changed_{number}", f"figures_{number}"
        self._waiting: dict[tuple[tuple[str | None, ...], int], int] = {}
        by = ", ".join(f"{quoted_name(key)} {OPEN_COLUMNS[key]}" for key in window.by)
        connection.execute(f"CREATE TABLE {self._changed} ({by}, start_us BIGINT)")
        self._number, self._partitions = number, partitions
        self._touch = f"EXECUTE touch_{number}"
        self.prepare()

    def prepare(self) -> None:
        """Plan the statements; as with `JudgedBatches.prepare`, this comes when all tables are made."""
        touch = f"INSERT INTO {self._changed} {touched(self.window, _NEW)}"
        self._connection.execute(f"PREPARE touch_{self._number} AS {touch}")
        self._connection.execute(f"PREPARE {self._asked} AS {self._question(self._partitions)}")

    def waiting(self) -> list[tuple[list[str | None], int, int]]:
        """Keys, start and end of the windows that are still to be final: what `wait_for` takes."""
        return [(list(keys), start_us, end_us) for (keys, start_us), end_us in self._waiting.items()]

    def wait_for(self, windows: Iterable[tuple[Sequence[str | None], int, int]]) -> None:
        """Know again which windows are still to be final, in a process that did not see their readings."""
        self._waiting = {(tuple(keys), start_us): end_us for keys, start_us, end_us in windows}

    def update(self, watermark_us: int, told_us: int, kept_from_us: int) -> Iterator[WindowResult]:
        """The windows that the new readings changed, and those that became final between `told_us` and `watermark_us`.

        A watermark is the moment, by the landing zone's clock, up to which everything was read. Readings from before
        `kept_from_us` were let go.
        """
        self._connection.execute(f"DELETE FROM {self._changed}")
        self._connection.execute(self._touch)
        due = [key for key, end_us in self._waiting.items() if self._is_final(end_us, watermark_us)]
        for keys, start_us in due:
            marks = ", ".join("?" * (len(keys) + 1))
            self._connection.execute(f"INSERT INTO {self._changed} VALUES ({marks})", [*keys, start_us])
            del self._waiting[keys, start_us]
        for result in self._results(watermark_us, told_us):
            if not result.is_final:
                self._waiting[tuple(result.keys.values()), result.start_us] = result.end_us
            is_whole = result.start_us >= kept_from_us or self.window.kind == "each"
            if is_whole and not (result.is_correction and self.window.late == "drop"):
                yield result

    def _results(self, watermark_us: int, told_us: int) -> Iterator[WindowResult]:
        columns = [*self.window.by, "start_us", "end_us", "reading_count", "inputs", "last_received_us",
                   *self.window.select]  # fmt: skip
        is_each = self.window.kind == "each"
        for row in self._connection.execute(f"EXECUTE {self._asked}").fetchall():
            found = dict(zip(columns, row, strict=True))
            yield WindowResult(
                window=self.window,
                keys={name: found[name] for name in self.window.by},
                start_us=found["start_us"],
                end_us=found["end_us"],
                revision=found["reading_count"],
                is_final=is_each or self._is_final(found["end_us"], watermark_us),
                is_correction=not is_each and self._is_final(found["end_us"], told_us),
                inputs=found["inputs"],
                last_received_us=found["last_received_us"],
                figures={name: found[name] for name in self.window.select},
            )

    def _is_final(self, end_us: int, watermark_us: int) -> bool:
        return end_us + self.window.lateness_s * _US <= watermark_us

    def _question(self, partitions: Sequence[int]) -> Query:
        if self.window.kind == "session":
            by = quoted_names(self.window.by)
            keys = Relation(f"(SELECT DISTINCT {by} FROM {self._changed})")
            return sessions(self.window, _OPEN, keys, partitions)
        if self.window.kind == "each":
            return each_reading(self.window, _OPEN, _NEW)
        # a window that changed and is due stands there twice
        return figures(self.window, _OPEN, Relation(f"(SELECT DISTINCT * FROM {self._changed})"), partitions)
