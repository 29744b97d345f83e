"""Packs in bronze to the messages that they hold, which stand in bronze beside them.

Belongs here: which new records are packs, and the commit of their messages. What a pack is made of is in `wire.packs`.

A message of a pack has the pack's place, with its number behind the topic (`telemetry#2`), the pack's `ingest_id`, key
and time of reception, and attributes and payload of its own. So all that is done with a record is done with it: it
lies in the hour that it was measured in, is judged, rebuilt, traced and erased by itself. The pack is `unpacked` in
`silver.rejected`, and the sums of bronze and silver meet. What a pack holds follows from its bytes, so a killed tick
that comes again makes the same, once.
"""

from collections.abc import Iterator
from functools import partial

import duckdb
import pyarrow as pa

from lake.sql_text import quoted_name
from lake.storage.applications import App
from lake.storage.delta import append_transaction, require_table
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.tables.contracts import Table
from pipeline.silver.judging import arrow_rows
from runtime.settings import Settings
from transforms.packed import is_packed, messages_in


def unpack(
    connection: duckdb.DuckDBPyConnection, settings: Settings, table: Table, done: int, target: int, run_id: str
) -> int:
    """Put the messages of the packs with an `ingest_id` above `done`, up to `target`, into their table of bronze, in
    one commit.

    Returns how many packs there were. The caller holds the lease.
    """
    opened = require_table(settings, table.name)
    every = scan(table_uri(settings, table.name), opened.version())
    new = f"ingest_id > {done} AND ingest_id <= {target}"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE packs AS SELECT * FROM {every} WHERE {new} AND {is_packed()}")
    count = _waiting(connection)
    if count:
        # those of a tick that was killed behind its unpacking, and of a lake that was copied, have their messages
        first = f'SELECT "partition", "offset" FROM {every} WHERE {new} AND topic = \'{table.short_name}#1\''
        connection.execute(f'DELETE FROM packs WHERE ("partition", "offset") IN ({first})')
        count = _waiting(connection)
    if count:
        names = ", ".join(quoted_name(field.name) for field in opened.schema().fields)
        said = {"step": "unpack", "ingest_id": target, "packs": count, "run_id": run_id}
        rows = partial(_messages, connection, f"SELECT {names} FROM packs")
        append_transaction(settings, table, rows, (App.UNPACK, target), said)
    connection.execute("DROP TABLE packs")
    return count


def _waiting(connection: duckdb.DuckDBPyConnection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM packs").fetchall()
    return int(count)


def _messages(connection: duckdb.DuckDBPyConnection, query: str) -> pa.RecordBatchReader:
    packs = arrow_rows(connection, query)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in packs:
            yield from messages_in(pa.Table.from_batches([batch])).to_batches()

    return pa.RecordBatchReader.from_batches(packs.schema, batches())
