"""Pruning: the runs that Dagster need not remember any more, and all that it keeps of them.

Belongs here: which runs go, and taking them out of Dagster's SQLite files, whose layout is private to Dagster. With
`lakehouse up` a run begins every few seconds and leaves some 400 kB. The lake itself says what was published and why,
whatever becomes of these files.

Of a run that goes, the newest event of an asset's partition and the newest result of a check stay: these are what the
UI shows of slices, and so does the newest event that speaks for a span; what was told more than KEPT_TOLD ago, upkeep
tells together (see `settled_slices`). Of changes of freshness, which belong to no run, the newest of an asset stays.
Upkeep gives the room that has become free back to the disk.
"""

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from sqlalchemy import text

from dagster_project.runs.settled_slices import settle

KEPT_RUNS = 300
"""So many finished runs are kept, and failed ones for KEPT_FAILURES."""

KEPT_FAILURES = timedelta(days=7)
KEPT_TOLD = timedelta(days=7)
"""So long what was told of each slice is kept one by one."""

_AT_ONCE = 50
_WORTH_PAGES = 256
_FINISHED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]

# rows of runs that go, but for the newest of each asset's partition, or of each check's
_EVENTS = """DELETE FROM event_logs WHERE run_id IN (SELECT value FROM json_each(:runs)) AND id NOT IN (
    SELECT max(id) FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' GROUP BY asset_key, partition
    UNION SELECT max(event_id) FROM asset_event_tags WHERE key = 'lakehouse/slices' GROUP BY asset_key, value)"""
_RESULTS = """DELETE FROM asset_check_executions WHERE run_id IN (SELECT value FROM json_each(:runs)) AND id NOT IN (
    SELECT max(id) FROM asset_check_executions WHERE execution_status IN ('SUCCEEDED', 'FAILED')
    GROUP BY asset_key, check_name, partition)"""
_RUNS = "DELETE FROM runs WHERE run_id IN (SELECT value FROM json_each(:runs))"
_RUN_TAGS = "DELETE FROM run_tags WHERE run_id IN (SELECT value FROM json_each(:runs))"
_FRESHNESS = """DELETE FROM event_logs WHERE dagster_event_type = 'FRESHNESS_STATE_CHANGE' AND id NOT IN (
    SELECT max(id) FROM event_logs WHERE dagster_event_type = 'FRESHNESS_STATE_CHANGE' GROUP BY asset_key)"""
_TAGS = "DELETE FROM asset_event_tags WHERE event_id NOT IN (SELECT id FROM event_logs)"


def prune(instance: DagsterInstance, now: datetime, *, everything: bool = False) -> int:
    """Forget the runs beyond those that are kept; returns how many.

    A run of a refresh does it when some have come together, so that it costs hardly anything; with `everything`, as
    upkeep does it, all do, and the files become smaller.
    """
    events, runs = instance.event_log_storage, instance.run_storage
    if not isinstance(events, SqliteEventLogStorage) or not isinstance(runs, SqliteRunStorage):
        return 0  # somebody's own database, and their own rules
    gone = _runs_that_go(instance, now, everything=everything)
    if gone:
        _delete(events, runs, gone)
    if everything:
        _forget_freshness(events)
        settle(events, now - KEPT_TOLD)
        _shrink(Path(events.path_for_shard("index")))
        _shrink(Path(instance.root_directory) / "runs.db")
    return len(gone)


def _runs_that_go(instance: DagsterInstance, now: datetime, *, everything: bool) -> list[str]:
    finished = RunsFilter(statuses=_FINISHED)
    if instance.get_runs_count(finished) < KEPT_RUNS + (1 if everything else _AT_ONCE):
        return []
    since = (now - KEPT_FAILURES).timestamp()
    return [
        record.dagster_run.run_id
        for record in instance.get_run_records(finished)[KEPT_RUNS:]
        if record.dagster_run.status is not DagsterRunStatus.FAILURE or record.create_timestamp.timestamp() < since
    ]


def _delete(events: SqliteEventLogStorage, runs: SqliteRunStorage, gone: list[str]) -> None:
    """What is kept of these runs, in both databases and in their own files."""
    named = {"runs": json.dumps(gone)}
    with events.index_connection() as connection:
        for statement in (_EVENTS, _RESULTS, _TAGS):
            connection.execute(text(statement), named if ":runs" in statement else {})
    with runs.connect() as connection:
        for statement in (_RUN_TAGS, _RUNS):
            connection.execute(text(statement), named)
    for run_id in gone:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{events.path_for_shard(run_id)}{suffix}").unlink(missing_ok=True)


def _forget_freshness(events: SqliteEventLogStorage) -> None:
    for shard in ("index", RUNLESS_RUN_ID):
        if Path(events.path_for_shard(shard)).is_file():
            with events.run_connection(shard) as connection:
                connection.execute(text(_FRESHNESS))


def _shrink(path: Path) -> None:
    """Write a database anew when half of it is free. Where it cannot be, as while another process writes, it waits for
    the next upkeep.
    """
    if not path.is_file():
        return
    with closing(sqlite3.connect(path, timeout=5.0, isolation_level=None)) as connection:
        pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        if free < _WORTH_PAGES or free < pages / 2:
            return
        try:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError:
            return
