"""Driver: the part of a tick that no executor shares, for logs of many files, in seconds of processor time.

Belongs here: logs of tables whose files are not there, and what the driver does with these: choosing files of bronze,
cutting them into portions, and committing what tasks wrote. Nothing is judged.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from time import process_time

import pyarrow as pa
from deltalake import CommitProperties, Transaction
from deltalake.transaction import AddAction

from bench.harness import DifferenceError, Result, Times
from ingestion.offset_ranges import next_range
from lake.models.catalog import known_models, silver_tables
from lake.storage.applications import App
from lake.storage.delta import HOOKS, arrow_schema, ensure_table, require_table
from lake.storage.lease import writer_lease
from lake.storage.skipping import portions
from lake.storage.slice_commits import NewRows, append_once
from lake.tables.bronze import BRONZE_TELEMETRY
from lake.tables.contracts import Table
from pipeline.silver.bronze_portions import RECORDS_A_TASK, new_files
from runtime.settings import Settings

_ROUNDS = 5
_COMMITS = 100
_RECORDS = 50_000
_PARTITIONS = 10_000


def run(folder: Path, is_quick: bool) -> list[Result]:
    """100,000 files in 100 commits, a tick of 1,000 and one of all; quick a tenth of that."""
    settings = Settings(home=folder / "home", lake_uri=str(folder / "lake"))
    files = 10_000 if is_quick else 100_000
    a_tick = files // _COMMITS
    silver = silver_tables(known_models(settings).values())["silver.thermostats"]
    rounds = 2 if is_quick else _ROUNDS
    with writer_lease(settings, "bench"):
        for number in range(_COMMITS):
            _commit(settings, BRONZE_TELEMETRY, "received_date", _actions(number, a_tick, "received_date"), number)
        plans = [
            Times(f"plan {name}", _timed(rounds, partial(_plan, settings, done, expected)))
            for name, done, expected in (
                (f"{a_tick:,} new files", _COMMITS - 2, a_tick),
                (f"{files:,} new files", -1, files),
            )
        ]
        commits = [
            Times(f"commit {new:,} files to {held:,}", _commit_times(settings, silver, rounds, held, new))
            for held, new in ((0, a_tick), (0, files), (files, a_tick))
        ]
        offsets = _timed(rounds, _offsets)
    what = f"the driver's part, {files:,} files in bronze"
    sides = (*plans, *commits, Times(f"offsets of {_PARTITIONS:,} partitions", offsets))
    return [Result("driver", what, files, "files", sides, "no goal: what breaks first", is_alone=True)]


def _timed(rounds: int, work: Callable[[], object]) -> tuple[float, ...]:
    seconds = []
    for _ in range(rounds):
        began = process_time()
        work()
        seconds.append(process_time() - began)
    return tuple(seconds)


def _commit_times(settings: Settings, table: Table, rounds: int, held: int, new: int) -> tuple[float, ...]:
    """Commits of `new` files to a table that has `held`, each to a copy of its own."""
    original, copy = (replace(settings, lake_uri=f"{settings.lake_uri}-{held}-{name}") for name in ("held", "round"))
    ensure_table(original, table)
    if held:
        _append(original, table, held)
    seconds: list[float] = []
    for _ in range(rounds):
        shutil.copytree(original.lake_uri, copy.lake_uri)
        seconds += _timed(1, partial(_append, copy, table, new))
        committed = require_table(copy, table.name).get_add_actions().num_rows
        if committed != held + new:
            raise DifferenceError(f"{committed} files are committed, not {held + new}")
        shutil.rmtree(copy.lake_uri)
    return tuple(seconds)


def _plan(settings: Settings, done: int, expected: int) -> None:
    """Open bronze's log, choose what is new and cut it."""
    planned = sum(map(len, portions(new_files(settings, done, _COMMITS - 1), RECORDS_A_TASK)))
    if planned != expected:
        raise DifferenceError(f"{planned} files were planned, {expected} are there")


def _append(settings: Settings, table: Table, count: int) -> None:
    """One commit of so many files, and no row from the driver."""
    reached = require_table(settings, table.name).transaction_version(App.TELEMETRY)
    number = 0 if reached is None else reached + 1
    rows = partial(_no_rows, table)
    actions = list(_actions(number, count, "event_date"))
    append_once(settings, table, NewRows(rows, {"step": "tick"}, {}, (App.TELEMETRY, number), actions))


def _no_rows(table: Table) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(arrow_schema(table), [])


def _offsets() -> None:
    """The next range of a topic of many partitions, and its commit's text."""
    committed = {number: number * 1000 for number in range(_PARTITIONS)}
    found = next_range("telemetry", committed, {number: (0, end + 1000) for number, end in committed.items()})
    if len(json.dumps({p: [found.start[p], found.end[p]] for p in found.end})) < _PARTITIONS:
        raise DifferenceError("partitions are missing")


def _actions(number: int, count: int, column: str) -> Iterator[AddAction]:
    """Files of a commit, with the statistics that ours have."""
    day = date(2026, 1, 1) + timedelta(days=number % 30)
    at = datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat().replace("+00:00", "Z")
    hour = (day - date(1970, 1, 1)).days * 24
    least = {"ingest_id": number, "measured_hour": hour, "received_hour": hour, "received_at": at, "measured_at": at}
    stats = json.dumps({"numRecords": _RECORDS, "minValues": least, "maxValues": least, "nullCount": {}})
    for file in range(count):
        path = f"{column}={day}/part-{number:05}-{file:06}.parquet"
        yield AddAction(path, 5_000_000, {column: str(day)}, 1_700_000_000_000, True, stats)


def _commit(settings: Settings, table: Table, column: str, actions: Iterator[AddAction], number: int) -> None:
    opened = ensure_table(settings, table)
    said = CommitProperties(app_transactions=[Transaction(App.INGEST, number)])
    opened.create_write_transaction(
        list(actions), "append", opened.schema(), [column], commit_properties=said, post_commithook_properties=HOOKS
    )
