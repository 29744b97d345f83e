"""Bronze portions: the bronze telemetry of a tick or of slices, cut into queries that tasks run side by side.

Belongs here: which files of bronze and silver a step has to read, and the SQL for each portion of them. Running it
belongs in `executor_tasks`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import duckdb
from deltalake import DeltaTable

from lake.slices import HOUR_MICROS, slice_start
from lake.sql_text import Expression, Query
from lake.storage.delta import open_table, require_table
from lake.storage.locations import table_uri
from lake.storage.skipping import DataFile, address, files_within, limits, portions, rows_of_files
from lake.storage.slice_files import slice_files
from lake.tables.bronze import BRONZE_TELEMETRY
from runtime.settings import Settings
from transforms.repeats import identity_hash

RECORDS_A_TASK = 250_000


@dataclass(frozen=True)
class Portions:
    """What to judge, portion by portion.

    Of `beside`, which is bronze too, only what the judged may repeat or be repeated by is judged; `earlier` are queries
    for the hashes of readings that it may repeat. `slices` are those whose records are wanted, None for all.
    """

    judged: tuple[Query, ...]
    beside: tuple[Query, ...] = ()
    earlier: tuple[Query, ...] = ()
    slices: tuple[str, ...] | None = None


def new_files(settings: Settings, done: int, target: int) -> list[DataFile]:
    """The files of the bronze telemetry with an `ingest_id` above `done`, up to `target`."""
    opened = require_table(settings, BRONZE_TELEMETRY.name)
    return files_within(opened, table_uri(settings, BRONZE_TELEMETRY.name), "ingest_id", done + 1, target)


def new_portions(
    connection: duckdb.DuckDBPyConnection, settings: Settings, tables: Iterable[str], done: int, target: int
) -> Portions:
    """A tick: what is new, and the readings in `tables` of silver that it may repeat."""
    files, where = new_files(settings, done, target), f"ingest_id > {done} AND ingest_id <= {target}"
    earlier: list[Query] = []
    if done >= 0:
        hours = _hours(connection, files, f"measured_hour IS NOT NULL AND {where}")
        for name in tables if hours else ():
            opened = open_table(settings, name)
            if opened is not None and opened.version() > 0:
                earlier += _earlier(settings, name, opened, hours, done)
    return Portions(_queries(files, where), earlier=tuple(earlier))


def hour_files(settings: Settings, hours: Collection[int], columns: Sequence[str]) -> list[DataFile]:
    """The files of the bronze telemetry of which one of `columns`, hours since 1970, may be one of `hours`."""
    opened, uri = require_table(settings, BRONZE_TELEMETRY.name), table_uri(settings, BRONZE_TELEMETRY.name)
    found: dict[str, DataFile] = {}
    for column in columns if hours else ():
        known = {address(uri, path): limit for path, limit in limits(opened, column).items()}
        for file in files_within(opened, uri, column, min(hours), max(hours)):
            low, high = known[file.uri]
            if low is None or high is None or any(low <= hour <= high for hour in hours):
                found[file.uri] = file
    return [found[each] for each in sorted(found)]


def slice_portions(
    connection: duckdb.DuckDBPyConnection, settings: Settings, slices: Sequence[str], done: int
) -> Portions:
    """Slices: what was measured or received in them, and what was measured when their late records were, of which one
    with a wrong clock counts where it was received."""
    hours = {_hour(slice_) for slice_ in slices}
    files = hour_files(settings, hours, ("measured_hour", "received_hour"))
    measured, received = (f"{column} IN ({_listed(hours)})" for column in ("measured_hour", "received_hour"))
    theirs = f"ingest_id <= {done} AND (coalesce({measured}, false) OR {received})"
    others = _hours(connection, files, f"ingest_id <= {done} AND {received} AND NOT {measured}")
    beside: tuple[Query, ...] = ()
    if others:
        where = f"ingest_id <= {done} AND measured_hour IN ({_listed(others)}) AND NOT {received}"
        beside = _queries(hour_files(settings, others, ("measured_hour",)), where)
    return Portions(_queries(files, theirs), beside, slices=tuple(slices))


def hashes_of(bronze: Query) -> Query:
    """SQL for the hashes of the identities in a query of bronze.

    Without a source, an id or a time a record is refused whatever it repeats, and all such records have one hash.
    """
    hashed = identity_hash(*map(Expression, ("ce_source", "ce_id", "measured_at")))
    known = "ce_source <> '' AND ce_id <> '' AND measured_at IS NOT NULL"
    return Query(f"SELECT {hashed} AS identity FROM ({bronze}) WHERE {known}")


def _queries(files: Sequence[DataFile], where: str) -> tuple[Query, ...]:
    return tuple(
        Query(f"SELECT * FROM {rows_of_files(portion)} WHERE {where}") for portion in portions(files, RECORDS_A_TASK)
    )


def _hours(connection: duckdb.DuckDBPyConnection, files: Sequence[DataFile], where: str) -> set[int]:
    """The hours in which records of bronze were measured, as hours since 1970."""
    if not files:
        return set()
    found = connection.execute(f"SELECT DISTINCT measured_hour FROM {rows_of_files(files)} WHERE {where}")
    return {hour for (hour,) in found.fetchall()}


def _earlier(settings: Settings, name: str, opened: DeltaTable, hours: Collection[int], done: int) -> list[Query]:
    """SQL for the hashes of a table's readings that were measured in `hours`: in their slices, where those with a good
    clock lie, and wherever one with a wrong clock may be parked."""
    uri, clocks = table_uri(settings, name), limits(opened, "clock_status")
    near = [
        DataFile(address(uri, file.path), file.records)
        for file in slice_files(settings, name, opened)
        if clocks[file.path] != ("ok", "ok") or any(_hour(slice_) in hours for slice_ in file.slices)
    ]
    first, last = min(hours) * HOUR_MICROS, (max(hours) + 1) * HOUR_MICROS
    within = f"measured_at BETWEEN make_timestamptz({first}) AND make_timestamptz({last}) AND ingest_id <= {done}"
    hashed = identity_hash(*map(Expression, ("source", "message_id", "measured_at")))
    return [
        Query(f"SELECT {hashed} AS identity FROM {rows_of_files(portion)} WHERE {within}")
        for portion in portions(near, RECORDS_A_TASK)
    ]


def _hour(slice_: str) -> int:
    return int(slice_start(slice_).timestamp()) // 3600


def _listed(hours: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(hours)))
