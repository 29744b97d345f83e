"""Slices of pinned gold: which days have other files than before, what each slice holds, and its rows as CSV.

Belongs here: reading a version of a gold table. What is copied of it, and to where, is for `publication_copy`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
from pyarrow import csv

from lake.slices import together
from lake.sql_text import quoted_name
from lake.storage.delta import open_table
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from lake.tables.contracts import Table
from lake.tables.gold import UNSLICED
from runtime.errors import StepError
from runtime.settings import Settings

_BATCH_ROWS = 100_000
_SLICES = {
    "hour": "strftime(event_date, '%Y-%m-%d') || 'T' || lpad(event_hour::VARCHAR, 2, '0')",
    "day": "strftime(event_date, '%Y-%m-%d')",
    None: f"'{UNSLICED}'",
}


@dataclass(frozen=True)
class Content:
    """What a slice holds: the same text for the same rows, whatever files they lie in, and how many they are."""

    digest: str
    row_count: int


class PinnedTable:
    """A gold table at a version. Days are `2026-11-20`, or `all` of a table without."""

    def __init__(self, settings: Settings, table: Table, version: int) -> None:
        self.table, self._settings, self._version = table, settings, version
        self._source = scan(table_uri(settings, table.name), version)
        self._slice = _SLICES[table.sliced_by]

    def files_by_day(self) -> dict[str, str]:
        """Each day with a digest of the names of its files, from the log alone. Raises StepError."""
        opened = open_table(self._settings, self.table.name, self._version)
        if opened is None:
            raise StepError(f"{self.table.name} is not there.")
        files = opened.get_add_actions(flatten=True)
        paths: list[str] = list(files["path"].to_pylist()) if files.num_rows else []
        days = [UNSLICED] * len(paths)
        if self.table.sliced_by is not None and paths:
            days = [str(day) for day in files["partition.event_date"].to_pylist()]
        by_day: dict[str, list[str]] = {}
        for day, path in zip(days, paths, strict=True):
            by_day.setdefault(day, []).append(path)
        return {day: hashlib.sha256("\n".join(sorted(each)).encode()).hexdigest() for day, each in by_day.items()}

    def contents(self, connection: duckdb.DuckDBPyConnection, days: Sequence[str]) -> dict[str, Content]:
        """What each slice of some days holds."""
        columns = ", ".join(quoted_name(name) for name in self.table.column_names)
        found: dict[str, Content] = {}
        for condition in _conditions(days):
            rows = connection.execute(
                f"SELECT {self._slice} AS slice, count(*), sum(hash({columns}))::VARCHAR, bit_xor(hash({columns})) "
                f"FROM {self._source} WHERE {condition} GROUP BY slice"
            ).fetchall()
            # DuckDB's hash may change with its version; then all is copied once more
            digests = {slice_: f"{duckdb.__version__}:{one}:{other}" for slice_, _, one, other in rows}
            found |= {slice_: Content(digests[slice_], count) for slice_, count, _, _ in rows}
        return found

    def csv_of(self, connection: duckdb.DuckDBPyConnection, copies: Mapping[str, int]) -> Iterator[bytes]:
        """The rows of slices as CSV without a header, each with the number of its slice's copy before its columns.

        PostgreSQL's texts hold no NUL, so the sign for it (U+2400) stands for one.
        """
        columns = [
            f"replace({quoted_name(c.name)}, chr(0), '\u2400')" if c.type == "string" else quoted_name(c.name)
            for c in self.table.columns
        ]
        connection.register("changed", pa.table({"slice": list(copies), "copy_id": list(copies.values())}))
        for condition in _conditions(sorted({slice_[:10] for slice_ in copies})):
            reader = connection.execute(
                f"SELECT copy_id, {', '.join(columns)} FROM {self._source} JOIN changed ON {self._slice} = slice "
                f"WHERE {condition}"
            ).to_arrow_reader(_BATCH_ROWS)
            for batch in reader:
                sink = pa.BufferOutputStream()
                csv.write_csv(batch, sink, csv.WriteOptions(include_header=False))
                yield sink.getvalue().to_pybytes()
        connection.unregister("changed")


def open_gold(settings: Settings) -> duckdb.DuckDBPyConnection:
    """A connection for questions of pinned tables; one thread, since readers need the machine too."""
    return connect(settings, threads=1)


def _conditions(days: Sequence[str]) -> Iterator[str]:
    """SQL for days, in stretches: only a comparison with constants skips files."""
    if list(days) == [UNSLICED]:
        yield "true"
        return
    for stretch in together(sorted(days)):
        yield f"event_date BETWEEN DATE '{stretch[0]}' AND DATE '{stretch[-1]}'"
