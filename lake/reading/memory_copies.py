"""Keeper: copies of pinned gold tables in memory, for a reader that is asked again and again.

Belongs here: what is copied, in which order, and up to how many bytes. Which version is pinned, and when a question is
answered from a copy rather than from files, is for `queries`.

A pinned version never changes, so its copy cannot go stale. It is made in the background by the scan that questions
use, so it has the same rows and types; by days and keys and compressed, it takes about the room of the files. Until it
is done questions go to the files, and for good where its rows are not as many as the log counts.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
from deltalake.exceptions import DeltaError

from lake.storage.delta import open_table
from lake.tables.contracts import Table
from lake.tables.gold import GOLD_TABLES
from runtime.errors import LakehouseError, StepError
from runtime.settings import Settings

_TABLES = {table.name: table for table in GOLD_TABLES}
_DAY = "event_date"
_PIECE_ROWS = 250_000
# before a piece is compressed a value takes 16 bytes, but for long texts, and a column the rest of a block
_VALUE_BYTES, _COLUMN_BYTES = 16, 256 * 1024


@dataclass(frozen=True)
class _Piece:
    """Rows to copy at once: of the days from `first` to `last`, or of a table without days all."""

    rows: int
    first: date | None = None
    last: date | None = None

    @property
    def condition(self) -> str:
        return "true" if self.first is None else f"{_DAY} BETWEEN DATE '{self.first}' AND DATE '{self.last}'"


class Keeper:
    """Copies of the tables of one publication, within `limit` bytes; of a table that is too large the newest days.

    Make it before the connection's configuration is locked, close it before the connection.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings, limit: int) -> None:
        self._connection, self._settings, self._limit = connection.cursor(), settings, limit
        self._connection.execute("SET enable_progress_bar = false")
        # one table at a time, since the questions that come meanwhile need a core too
        self._worker = ThreadPoolExecutor(1, "keeper")
        self._copies: dict[str, Future[str | None]] = {}
        self._is_closed = False

    def keep(self, name: str, version: int, source: str) -> None:
        """Begin, once, to copy a gold table at a version, which the SQL `source` reads."""
        if name not in self._copies:
            self._copies[name] = self._worker.submit(self._copy, _TABLES[name], version, source)

    def source(self, name: str) -> str | None:
        """SQL that reads the same by way of the copy; None when it is not there, yet or at all."""
        copy = self._copies.get(name)
        return copy.result() if copy is not None and copy.done() else None

    def wait(self) -> None:
        """Until all that was begun is done."""
        for copy in self._copies.values():
            copy.result()

    def used(self) -> int:
        """Bytes that the copies take."""
        sql = "SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE'"
        ((used,),) = self._connection.cursor().execute(sql).fetchall()
        return int(used)

    def close(self) -> None:
        """Give up what is under way."""
        self._is_closed = True
        self._connection.interrupt()
        self._worker.shutdown(cancel_futures=True)
        self._connection.close()

    def _copy(self, table: Table, version: int, source: str) -> str | None:
        # a catalog for each table, so that nobody reads what is being compressed
        catalog = f'"{table.name} in memory"'
        answer = None
        # closed, or no memory; of what cannot be read the question that needs it will tell
        with suppress(duckdb.Error, DeltaError, LakehouseError):
            pieces = list(_pieces(self._settings, table, version))
            self._connection.execute(f"ATTACH ':memory:' AS {catalog} (COMPRESS, HIDDEN)")
            answer = self._filled(catalog, table, pieces, source)
        if answer is None and not self._is_closed:
            self._connection.execute(f"DETACH DATABASE IF EXISTS {catalog}")
        return answer

    def _filled(self, catalog: str, table: Table, pieces: list[_Piece], source: str) -> str | None:
        copy, order = f"{catalog}.{table.short_name}", ", ".join(dict.fromkeys([*table.partition_by[:1], *table.key]))
        self._connection.execute(f"CREATE TABLE {copy} AS FROM {source} LIMIT 0")
        done = 0
        for piece in pieces:
            uncompressed = len(table.columns) * (piece.rows * _VALUE_BYTES + _COLUMN_BYTES)
            if self._is_closed or self.used() + uncompressed > self._limit:
                break
            self._connection.execute(f"INSERT INTO {copy} FROM {source} WHERE {piece.condition} ORDER BY {order}")
            self._connection.execute(f"CHECKPOINT {catalog}")
            done += 1
        ((rows,),) = self._connection.execute(f"SELECT count(*) FROM {copy}").fetchall()
        if rows != sum(piece.rows for piece in pieces[:done]):
            return None
        if done == len(pieces):
            return copy
        return f"(FROM {copy} UNION ALL FROM {source} WHERE {_DAY} < DATE '{pieces[done - 1].first}')" if done else None


def _pieces(settings: Settings, table: Table, version: int) -> Iterator[_Piece]:
    """What a version has, from its log, the newest first. Raises StepError when the log does not tell."""
    opened = open_table(settings, table.name, version)
    if opened is None:
        raise StepError(f"{table.name} is not there.")
    files = opened.get_add_actions(flatten=True)

    def column(name: str) -> Any:
        return files[name].to_pylist() if name in files.schema.names else [None] * files.num_rows

    has_days = _DAY in table.partition_by
    counts, days = column("num_records"), column(f"partition.{_DAY}") if has_days else [date.min] * files.num_rows
    if None in counts or None in days:
        raise StepError(f"The log of {table.name} does not tell how many rows each day has.")
    if not has_days:
        yield _Piece(sum(counts))
        return
    rows: Counter[date] = Counter()
    for day, count in zip(days, counts, strict=True):
        rows[day] += count
    piece: _Piece | None = None
    for day in sorted(rows, reverse=True):
        if piece is not None and piece.rows + rows[day] > _PIECE_ROWS:
            yield piece
            piece = None
        piece = _Piece(rows[day], day, day) if piece is None else _Piece(piece.rows + rows[day], day, piece.last)
    if piece is not None:
        yield piece
