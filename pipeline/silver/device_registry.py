"""Lifecycle events to `silver.devices` and `silver.sites`, and judging anew what a change touches.

Belongs here: reading, committing, and which slices a change of the registry or of the models makes due. What an event
means is in `transforms.device_history` and `transforms.site_history`. Histories are small, so they are computed whole
from bronze whenever an event comes.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa

from lake.models.catalog import silver_tables
from lake.slices import HOUR_MICROS, runs_of, slice_of, slices_of_runs
from lake.sql_text import Expression, Relation, quoted_names
from lake.storage.applications import App
from lake.storage.duckdb_connection import connect
from lake.storage.slice_commits import NewRows, append_once, replace_once
from lake.storage.spark_commits import commits_after, progress_of
from lake.tables.bronze import BRONZE_LIFECYCLE, OF_TELEMETRY
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, SILVER_SITES
from pipeline.silver.append import Models, rebuild_slices
from pipeline.silver.judging import FINAL, arrow_rows, counts, judging, refuse_repeats, take
from pipeline.silver.stored import newest_rows
from pipeline.silver.unpacking import unpack
from runtime.settings import Settings
from runtime.spark.connect_server import SparkSource
from transforms.clock import is_plausible
from transforms.device_history import device_history, judge_event, judged_lifecycle
from transforms.readings import rejected
from transforms.refusal_rules import listed
from transforms.registry_changes import DeviceChange, changes, merged
from transforms.site_history import site_history

_HISTORY, _SITES = "history", "sites"
_SITE_COLUMNS = quoted_names(SILVER_SITES.column_names)
_MOMENTS = ("event_at", "measured_at", "received_at")


def update_registry(settings: Settings, models: Models, run_id: str) -> int:
    """Bring `silver.devices` and `silver.sites` up to all lifecycle events; returns how many devices changed.

    The tables are there (see `append.ensure_silver`). The commit of devices says when which records differ
    (`intervals`) and which slices must be judged anew (`rejudge`).
    """
    target = progress_of(settings, BRONZE_LIFECYCLE.name, App.INGEST)
    done = progress_of(settings, SILVER_REJECTED.name, App.LIFECYCLE)
    if target <= done:
        return 0
    with judging(settings) as connection:
        unpack(connection, settings, BRONZE_LIFECYCLE, done, target, run_id)
        landed = newest_rows(settings, BRONZE_LIFECYCLE.name)
        events = Relation(f"(SELECT * FROM {landed} WHERE ingest_id <= {target})")
        take(connection, judged_lifecycle(events), judge_event)
        refuse_repeats(connection, None)
        connection.execute(f"CREATE TABLE {_HISTORY} AS {device_history(FINAL)}")
        before, after = _rows(connection, newest_rows(settings, SILVER_DEVICES.name)), _rows(connection, _HISTORY)
        found = changes(before, after)
        # an event that repeats what holds already changes no figure and is a record all the same
        if before != after and progress_of(settings, SILVER_DEVICES.name, App.LIFECYCLE) < target:
            intervals = merged(interval for change in found for interval in change.intervals)
            metadata = {
                "step": "devices",
                "intervals": [[slice_of(start), None if end is None else slice_of(end)] for start, end in intervals],
                App.REJUDGE: runs_of(
                    _slices_to_judge(connection, settings, list(silver_tables(models.values())), found)
                ),
                "run_id": run_id,
            }
            history = partial(arrow_rows, connection, f"FROM {_HISTORY}")
            replace_once(settings, SILVER_DEVICES, NewRows(history, metadata, closing=(App.LIFECYCLE, target)))
        _update_sites(connection, settings, target, run_id)
        new = Relation(f"(FROM {FINAL} WHERE ingest_id > {done})")
        refused = {each.slice: each.records for each in counts(connection, new, "reason IS NOT NULL")}
        said = {"step": "devices", "slices": runs_of(refused), "run_id": run_id}
        rows = partial(arrow_rows, connection, rejected(new))
        append_once(settings, SILVER_REJECTED, NewRows(rows, said, refused, (App.LIFECYCLE, target)))
    return len(found)


def _update_sites(connection: duckdb.DuckDBPyConnection, settings: Settings, target: int, run_id: str) -> None:
    connection.execute(f"CREATE TABLE {_SITES} AS {site_history(FINAL)}")
    before, after = (
        connection.sql(f"SELECT {_SITE_COLUMNS} FROM {source} ORDER BY ALL").fetchall()
        for source in (newest_rows(settings, SILVER_SITES.name), _SITES)
    )
    if before != after and progress_of(settings, SILVER_SITES.name, App.LIFECYCLE) < target:
        rows = partial(arrow_rows, connection, f"FROM {_SITES}")
        said = {"step": "sites", "run_id": run_id}
        replace_once(settings, SILVER_SITES, NewRows(rows, said, closing=(App.LIFECYCLE, target)))


def judge_anew(spark: SparkSource, settings: Settings, models: Models, run_id: str) -> list[str]:
    """Rebuild the silver slices whose judgement a registry change touched; returns them.

    A killed run is made up for: what is left to do stands in the commits of `silver.devices` since the last one done.
    """
    done = progress_of(settings, SILVER_REJECTED.name, App.REJUDGE)
    due = commits_after(settings, SILVER_DEVICES.name, done)
    slices = sorted({s for commit in due for s in slices_of_runs(commit.metadata.get(App.REJUDGE, []))})
    if slices:
        rebuild_slices(spark, settings, models, slices, run_id, closing=(App.REJUDGE, due[0].version))
    return slices


def judge_new_models(spark: SparkSource, settings: Settings, models: Models, run_id: str) -> list[str]:
    """Rebuild the slices of records whose model was unknown and is declared by now; returns them.

    Which set of models has been seen to is an application id of `silver.rejected`, so a tick asks no more than its log.
    """
    seen = f"models-{hashlib.sha256(' '.join(sorted(models)).encode()).hexdigest()[:16]}"
    reached = progress_of(settings, SILVER_REJECTED.name, App.TELEMETRY)
    if reached < 0 or progress_of(settings, SILVER_REJECTED.name, seen) >= 0:
        return []
    with connect(settings) as connection:
        every = newest_rows(settings, SILVER_REJECTED.name)
        unknown = f"{OF_TELEMETRY} AND reason = 'unknown_model' AND model_id IN {listed(models)}"
        slices = sorted(_slices(connection, f"(SELECT * FROM {every} WHERE {unknown})"))
        if slices:
            rebuild_slices(spark, settings, models, slices, run_id, closing=(seen, reached))
        else:
            nothing = partial(arrow_rows, connection, f"FROM {every} LIMIT 0")
            said = {"step": "models", "run_id": run_id}
            append_once(settings, SILVER_REJECTED, NewRows(nothing, said, closing=(seen, reached)))
    return slices


def _slices_to_judge(
    connection: duckdb.DuckDBPyConnection, settings: Settings, tables: list[str], found: list[DeviceChange]
) -> Iterable[str]:
    """Slices of the records whose judgement may differ.

    These are refused records of devices that are new or changed, and readings of changed ones from the first difference
    on. A record counts at measured_at or at received_at, so both are taken.
    """
    changed = [change for change in found if change.is_judged_anew]
    if not changed or progress_of(settings, SILVER_REJECTED.name, App.TELEMETRY) < 0:
        return set()
    rows = {
        "device_id": [change.device_id for change in changed],
        "since": pa.array([change.intervals[0][0] for change in changed], pa.timestamp("us", tz="UTC")),
        "is_new": [change.is_new for change in changed],
    }
    connection.register("changed", pa.table(rows))
    refused = newest_rows(settings, SILVER_REJECTED.name)
    slices = _slices(connection, f"(SELECT * FROM {refused} JOIN changed USING (device_id) WHERE {OF_TELEMETRY})")
    for name in tables if any(not change.is_new for change in changed) else []:
        later = "NOT is_new AND (clock_status <> 'ok' OR measured_at >= since OR event_at >= since)"
        readings = newest_rows(settings, name)
        slices |= _slices(connection, f"(SELECT * FROM {readings} JOIN changed USING (device_id) WHERE {later})")
    return slices


def _rows(connection: duckdb.DuckDBPyConnection, history: str) -> list[dict[str, Any]]:
    columns = [column.name for column in SILVER_DEVICES.columns if column.name != "valid_to"]
    names = quoted_names(columns)
    found = connection.execute(f"SELECT {names} FROM {history} ORDER BY ALL").fetchall()
    return [dict(zip(columns, row, strict=True)) for row in found]


def _slices(connection: duckdb.DuckDBPyConnection, rows: str) -> set[str]:
    moments = " UNION ALL ".join(f"SELECT {name} AS moment FROM {rows}" for name in _MOMENTS)
    found = connection.execute(
        f"SELECT DISTINCT epoch_us(moment) // {HOUR_MICROS} FROM ({moments}) WHERE {is_plausible(Expression('moment'))}"
    )
    return {slice_of(datetime.fromtimestamp(hour * 3600, UTC)) for (hour,) in found.fetchall()}
