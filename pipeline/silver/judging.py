"""Judging: records on their way from bronze to silver, in a DuckDB of their own.

Belongs here: running the SQL of `transforms` step by step, the closer look at payloads that SQL cannot vouch for, and
what each step leaves for the next. Which records are judged and where they go is decided by the caller.

Memory is bounded: what does not fit lies in the work folder until the connection is closed.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from lake.models.catalog import Model
from lake.sql_text import Query, Relation, quoted, relation
from lake.storage.duckdb_connection import connect
from runtime.settings import Settings
from transforms.closer_look import CLOSER, Judge, looked_at
from transforms.payload import payloads_of
from transforms.readings import judged_telemetry
from transforms.repeats import COLUMNS, repeated_hashes, repeats
from transforms.strict_payload import Judgement, judge

FINAL = Relation("final")
"""The view of all records after `refuse_repeats`: `reason` null for those that silver takes."""

_MEMORY_MB, _A_CORE_MB = 1024, 256
_BATCH = 20_000
_ROWS_A_BATCH = 100_000


@dataclass(frozen=True)
class Count:
    """Records by the reading table (None when refused), reason and slice."""

    name: str | None
    reason: str | None
    slice: str
    records: int


@contextmanager
def judging(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to judge on; what it holds is gone with it. The caller holds the lease, so it is the only one."""
    folder = settings.work_folder / "judging"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir(parents=True)
    with judging_in(settings, folder) as connection:
        yield connection
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def judging_in(settings: Settings, folder: Path, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """As `judging`, with what does not fit into memory in `folder`; `threads` None takes all cores."""
    with connect(settings, threads=threads) as connection:
        memory_mb = max(_MEMORY_MB, _A_CORE_MB * (threads or os.cpu_count() or 1))
        connection.execute(f"SET memory_limit = '{memory_mb}MB'; SET temp_directory = {quoted(str(folder))}")
        # rows come to silver in any order, and keeping theirs would hold back whole row groups
        connection.execute("SET preserve_insertion_order = false")
        yield connection


def judge_telemetry(
    connection: duckdb.DuckDBPyConnection, settings: Settings, models: Mapping[str, Model], facts: Query, bronze: Query
) -> None:
    """Judge the bronze rows of a query, knowing of the devices the `facts` of `device_history`."""
    shapes = payloads_of(models.values())

    def closely(value: bytes | None, shape: int | None) -> Judgement:
        return judge(value, None if shape is None else shapes[shape])

    connection.execute(f"CREATE OR REPLACE TABLE facts AS {facts}")
    types = settings.telemetry_types
    take(connection, judged_telemetry(relation(bronze), Relation("facts"), models, types), closely)


def take(connection: duckdb.DuckDBPyConnection, query: Query, judge: Judge) -> None:
    """Judge the records of `query`, from `transforms`, one by one where they have neither `reason` nor `text`."""
    connection.execute(f"CREATE OR REPLACE TABLE records AS {query}")
    connection.register("none", pa.Table.from_batches([], CLOSER))
    connection.execute("CREATE OR REPLACE TABLE closer AS FROM none")
    waiting = 'SELECT topic, "partition", "offset", shape, value FROM records WHERE reason IS NULL AND text IS NULL'
    # one cursor answers one question at a time
    for batch in connection.cursor().sql(waiting).to_arrow_reader(_BATCH):
        connection.register("looked_at", looked_at(batch, judge))
        connection.execute("INSERT INTO closer FROM looked_at")
        connection.unregister("looked_at")
    connection.execute(
        """CREATE OR REPLACE VIEW judged AS SELECT r.* REPLACE (coalesce(r.reason, c.reason) AS reason,
            coalesce(r.detail, c.detail) AS detail), c.mended, c.unknown AS unknown_telemetry
        FROM records r LEFT JOIN closer c
            ON r.topic = c.topic AND r."partition" = c."partition" AND r."offset" = c."offset" """
    )


def refuse_repeats(connection: duckdb.DuckDBPyConnection, earlier: Query | None) -> None:
    """Make FINAL: the judged records, those refused that repeat one of them or one of `earlier`.

    `earlier` is SQL for earlier readings with the columns of `repeats.COLUMNS`, or None.
    """
    pool = f"SELECT {COLUMNS} FROM judged WHERE reason IS NULL"
    connection.execute(f"CREATE TABLE earlier AS {earlier or f'{pool} AND false'}")
    connection.execute(f"CREATE VIEW pool AS {pool} UNION ALL SELECT {COLUMNS} FROM earlier")
    connection.execute(f"CREATE TABLE hashes AS {repeated_hashes(Relation('pool'))}")
    connection.execute(f"CREATE TABLE again AS {repeats(Relation('pool'), Relation('hashes'))}")
    connection.execute(
        f"""CREATE VIEW {FINAL} AS SELECT j.* REPLACE (coalesce(j.reason, a.reason) AS reason,
            coalesce(j.detail, a.detail) AS detail), a.repeats
        FROM judged j LEFT JOIN again a
            ON j.topic = a.topic AND j."partition" = a."partition" AND j."offset" = a."offset" """
    )


def counts(connection: duckdb.DuckDBPyConnection, judged: Relation, where: str = "true") -> list[Count]:
    """Records of `judged` or of FINAL."""
    rows = connection.execute(
        f"""SELECT CASE WHEN reason IS NULL THEN table_name END AS name, reason,
            strftime(event_date, '%Y-%m-%d') || 'T' || lpad(event_hour::VARCHAR, 2, '0') AS slice, count(*)
        FROM {judged} WHERE {where} GROUP BY ALL"""
    ).fetchall()
    return [Count(*row) for row in rows]


def records_of(found: Iterable[Count], name: str | None) -> dict[str, int]:
    """Rows of each slice that come to a reading table, or to `silver.rejected` (None)."""
    records: dict[str, int] = {}
    for each in found:
        if (each.name if each.reason is None else None) == name:
            records[each.slice] = records.get(each.slice, 0) + each.records
    return records


def arrow_rows(connection: duckdb.DuckDBPyConnection, query: str) -> pa.RecordBatchReader:
    """The result of a query, as it comes."""
    return connection.sql(query).to_arrow_reader(_ROWS_A_BATCH)
