"""Copying a publication into PostgreSQL: changed slices only, and readers move in the one commit that brings them.

Belongs here: what is copied, kept and let go. A copy of a slice is written once and never changed; a publication shows
some of them. So a statement of a reader is of one publication, and so is a whole transaction that is REPEATABLE READ:
its snapshot has the rows, the copies and the newest publication's number of one moment. Killed before the commit, it
has changed nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb
import psycopg
from psycopg import Connection, errors

from lake.models.catalog import Model
from lake.records import publications
from lake.records.publications import Publication
from lake.tables.contracts import Table
from lake.tables.gold import GOLD_TABLES
from runtime.errors import PlatformError, StepError, UsageError
from runtime.settings import Settings
from runtime.wording import counted
from serving.bi.gold_slices import Content, PinnedTable, open_gold
from serving.bi.postgres_layout import declared_views, made_views, make_schema, make_views, prepare, run
from serving.bi.postgres_tables import CONTROL, definition, store_statements, table_views

KEPT = 3
"""Publications that have a schema of their own, the newest among them."""
_LOCK = 0x1A4E0005
# a reader that holds a view in an open transaction is waited for so long; then the copy is tried again later
_WAIT_FOR_READERS = "10s"


@dataclass(frozen=True)
class Copied:
    """What a copy brought: the publication, and the slices and rows that were written for it."""

    publication_id: int
    slices: int
    rows: int


def connect(address: str) -> Connection:
    """A connection for `copy_newest` and `sync_readers`, to a database that is laid out. Raises PlatformError."""
    connection = psycopg.connect(address, autocommit=True, application_name="lakehouse copy")
    prepare(connection)
    return connection


def copy_newest(settings: Settings, connection: Connection, models: Iterable[Model]) -> Copied | None:
    """Copy the newest publication; None when it is there already, or none is published.

    Raises PlatformError, StepError, psycopg.Error.
    """
    publication = publications.newest(settings)
    if publication is None:
        return None
    with connection.transaction():
        run(connection, f"SET LOCAL lock_timeout = '{_WAIT_FOR_READERS}'")
        if run(connection, "SELECT pg_try_advisory_xact_lock(%s)", [_LOCK]).fetchone() != (True,):
            raise PlatformError("Another lakehouse copies into this database: give each home a database of its own.")
        store, is_new = _store(settings, connection, publication)
        views = declared_views(store, list(models))
        number = publication.publication_id
        if not is_new and _newest_of(connection, store) == number and made_views(connection) == views:
            return None
        copied = Copied(number, 0, 0)
        if _newest_of(connection, store) != number:
            copied = _bring(settings, connection, store, publication)
        make_views(connection, views)
        if is_new:
            _drop_other_stores(connection, store)
    if is_new:
        run(connection, "ANALYZE")
    _let_go(settings, connection, store)
    return copied


def _store(settings: Settings, connection: Connection, publication: Publication) -> tuple[str, bool]:
    """The store that goes on from what was copied before, or a new one where it cannot; and whether it is new."""
    row = run(
        connection,
        f"SELECT store, definition, publication_id, published_at, run_id FROM {CONTROL}.publications "
        f"JOIN {CONTROL}.stores USING (store) ORDER BY publication_id DESC LIMIT 1",
    ).fetchone()
    if row is not None and row[1] == definition() and _is_before(settings, row[2:], publication):
        return str(row[0]), False
    number = run(connection, f"SELECT coalesce(max(substr(store, 7)::int), 0) + 1 FROM {CONTROL}.stores").fetchone()
    store = f"store_{number[0] if number else 1}"
    run(connection, store_statements(store))
    run(connection, f"INSERT INTO {CONTROL}.stores VALUES (%s, %s)", [store, definition()])
    return store, True


def _is_before(settings: Settings, copied: tuple[object, ...], publication: Publication) -> bool:
    """False when what was copied is not of this lake's past: another lake, one put back, or a device was erased."""
    number, published_at, run_id = copied
    try:
        found = publications.get(settings, int(str(number)))
    except UsageError:
        return False
    is_same = (found.published_at, found.run_id) == (published_at, run_id)
    return is_same and found.publication_id <= publication.publication_id


def _newest_of(connection: Connection, store: str) -> int | None:
    row = run(connection, f"SELECT max(publication_id) FROM {CONTROL}.publications WHERE store = %s", [store])
    found: tuple[int | None] | None = row.fetchone()
    return found[0] if found else None


def _bring(settings: Settings, connection: Connection, store: str, publication: Publication) -> Copied:
    slices = rows = 0
    number = publication.publication_id
    with open_gold(settings) as duck:
        for table in GOLD_TABLES:
            version = publication.tables.get(table.name)
            pinned = None if version is None else PinnedTable(settings, table, version)
            written = _copy_table(connection, duck, store, table, pinned, number)
            slices, rows = slices + written[0], rows + written[1]
    values = [number, publication.published_at, publication.run_id, publication.first_slice, publication.last_slice]
    # from this row's commit on it is the newest; those of another store are dropped with it
    run(connection, f"DELETE FROM {CONTROL}.publications WHERE store <> %s", [store])
    run(connection, f"INSERT INTO {CONTROL}.publications VALUES (%s, %s, %s, %s, %s, %s)", [*values, store])
    schema = f"publication_{number}"
    # a schema of that name was of another store
    run(connection, f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    make_schema(connection, schema, f"Published gold, as publication {number} has it")
    for view in table_views(schema, store, str(number)):
        run(connection, view.statement)
    return Copied(number, slices, rows)


def _copy_table(
    connection: Connection, duck: duckdb.DuckDBPyConnection, store: str, table: Table, pinned: PinnedTable | None,
    number: int,
) -> tuple[int, int]:  # fmt: skip
    """Write the slices that differ; returns how many, and their rows."""
    files = {} if pinned is None else pinned.files_by_day()
    known: dict[str, str] = dict(
        run(connection, f"SELECT day, files FROM {store}.days WHERE table_name = %s", [table.name]).fetchall()
    )
    changed = sorted(day for day, digest in files.items() if known.get(day) != digest)
    touched = [*changed, *(day for day in known if day not in files)]
    if not touched:
        return 0, 0
    contents = {} if pinned is None or not changed else pinned.contents(duck, changed)
    new = _renew_copies(connection, store, table, touched, contents, number)
    if pinned is not None and new:
        _write_rows(connection, duck, f"{store}.{table.short_name}", pinned, new, contents)
    run(connection, f"DELETE FROM {store}.days WHERE table_name = %s AND day = ANY(%s)", [table.name, touched])
    run(
        connection,
        f"INSERT INTO {store}.days SELECT %s, * FROM unnest(%s::text[], %s::text[])",
        [table.name, changed, [files[day] for day in changed]],
    )
    return len(new), sum(contents[slice_].row_count for slice_ in new)


def _renew_copies(
    connection: Connection, store: str, table: Table, days: list[str], contents: dict[str, Content], number: int
) -> dict[str, int]:
    """End the copies that no longer hold, and begin others; returns the new ones, a slice to its copy's number."""
    held = run(
        connection,
        f"SELECT slice, content, copy_id FROM {store}.copies WHERE table_name = %s AND last_publication IS NULL "
        "AND left(slice, 10) = ANY(%s)",
        [table.name, days],
    ).fetchall()
    same = {slice_ for slice_, digest, _ in held if slice_ in contents and contents[slice_].digest == digest}
    ended = [copy_id for slice_, _, copy_id in held if slice_ not in same]
    run(connection, f"UPDATE {store}.copies SET last_publication = %s WHERE copy_id = ANY(%s)", [number - 1, ended])
    begun = sorted(set(contents) - same)
    return dict(
        run(
            connection,
            f"INSERT INTO {store}.copies (table_name, slice, content, row_count, first_publication) "
            "SELECT %s, slice, content, row_count, %s FROM unnest(%s::text[], %s::text[], %s::bigint[]) "
            "AS new(slice, content, row_count) RETURNING slice, copy_id",
            [table.name, number, begun, [contents[s].digest for s in begun], [contents[s].row_count for s in begun]],
        ).fetchall()
    )


def _write_rows(
    connection: Connection, duck: duckdb.DuckDBPyConnection, name: str, pinned: PinnedTable, new: dict[str, int],
    contents: dict[str, Content],
) -> None:  # fmt: skip
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY {name} FROM STDIN (FORMAT csv)".encode()) as copy:
            for block in pinned.csv_of(duck, new):
                copy.write(block)
        expected = sum(contents[slice_].row_count for slice_ in new)
        if cursor.rowcount != expected:
            raise StepError(
                f"Of {pinned.table.name} the copy has {counted(cursor.rowcount, 'row')}, published: {expected:,}."
            )


def _drop_other_stores(connection: Connection, store: str) -> None:
    kept = {f"publication_{_newest_of(connection, store)}", store}
    schemas = run(connection, r"SELECT nspname FROM pg_namespace WHERE nspname ~ '^(store|publication)_\d+$'")
    for schema in sorted({name for (name,) in schemas.fetchall()} - kept):
        run(connection, f"DROP SCHEMA {schema} CASCADE")
    run(connection, f"DELETE FROM {CONTROL}.stores WHERE store <> %s", [store])


def _let_go(settings: Settings, connection: Connection, store: str) -> None:
    """Drop publications but the newest few that the lake still has, and the copies that no other one shows."""
    there = {each.publication_id for each in publications.list_all(settings)}
    rows = run(connection, f"SELECT publication_id FROM {CONTROL}.publications ORDER BY 1 DESC").fetchall()
    gone = [number for place, (number,) in enumerate(rows) if place >= KEPT or number not in there]
    if not gone:
        return
    try:
        with connection.transaction():
            run(connection, "SET LOCAL lock_timeout = '1s'")
            for number in gone:
                run(connection, f"DROP SCHEMA IF EXISTS publication_{number} CASCADE")
            run(connection, f"DELETE FROM {CONTROL}.publications WHERE publication_id = ANY(%s)", [gone])
            shown = f"FROM {CONTROL}.publications p WHERE p.publication_id >= c.first_publication"
            shown += " AND (c.last_publication IS NULL OR p.publication_id <= c.last_publication)"
            unshown = f"DELETE FROM {store}.copies c WHERE NOT EXISTS (SELECT 1 {shown}) RETURNING copy_id, table_name"
            by_table: dict[str, list[int]] = {}
            for copy_id, table_name in run(connection, unshown).fetchall():
                by_table.setdefault(table_name.partition(".")[2], []).append(copy_id)
            for name, copies in by_table.items():
                run(connection, f"DELETE FROM {store}.{name} WHERE copy_id = ANY(%s)", [copies])
    except errors.LockNotAvailable:
        pass  # somebody reads that publication: next time
