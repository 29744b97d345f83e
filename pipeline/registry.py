"""Lifecycle events to `silver.devices`, and judging anew what a change of the registry or of the models touches.

Belongs here: reading, committing, and which slices have to be judged again. What an event means is in
`transforms.registry`. The history is small, so it is computed whole from bronze whenever an event comes.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ingestion.bronze import APP_ID as INGEST_APP
from lake.commits import append_once, commits_after, ensure_table, progress_of, read_table, replace_all
from lake.settings import Settings
from lake.slices import runs_of, slice_of, slices_of_runs
from lake.tables import BRONZE_LIFECYCLE, SILVER_DEVICES, SILVER_REJECTED
from pipeline.silver import APP_ID as TELEMETRY_APP
from pipeline.silver import Models, computed, ensure_silver, rebuild_slices
from transforms.clock import is_plausible
from transforms.registry import device_history, judge_lifecycle
from transforms.registry_changes import DeviceChange, changes, merged
from transforms.silver import rejected

APP_ID = "lifecycle"
REJUDGE = "rejudge"


def update_registry(spark: SparkSession, settings: Settings, models: Models, run_id: str) -> int:
    """Bring `silver.devices` up to all lifecycle events in bronze; returns how many devices changed.

    The commit says when which records differ (`intervals`) and which slices must be judged anew (`rejudge`).
    """
    tables = ensure_silver(spark, settings, models)
    ensure_table(spark, settings, BRONZE_LIFECYCLE)
    target = progress_of(settings, BRONZE_LIFECYCLE.name, INGEST_APP)
    done = progress_of(settings, SILVER_REJECTED.name, APP_ID)
    if target <= done:
        return 0
    bronze = read_table(spark, settings, BRONZE_LIFECYCLE.name).where(F.col("ingest_id") <= target)
    judged = computed(judge_lifecycle(bronze))
    history = computed(device_history(judged))
    before = _rows(read_table(spark, settings, SILVER_DEVICES.name))
    found = changes(before, _rows(history))
    if found and progress_of(settings, SILVER_DEVICES.name, APP_ID) < target:
        intervals = merged(interval for change in found for interval in change.intervals)
        metadata = {
            "step": "devices",
            "intervals": [[slice_of(start), None if end is None else slice_of(end)] for start, end in intervals],
            REJUDGE: runs_of(_slices_to_judge(spark, settings, list(tables), found)),
            "run_id": run_id,
        }
        replace_all(history.coalesce(1), settings, SILVER_DEVICES, APP_ID, target, metadata)
    refused = rejected(judged.where(F.col("ingest_id") > done)).coalesce(1)
    slices = [row[0] for row in refused.select(F.date_format("event_at", "yyyy-MM-dd'T'HH")).distinct().collect()]
    closing = {"step": "devices", "slices": runs_of(slices), "run_id": run_id}
    append_once(refused, settings, SILVER_REJECTED, APP_ID, target, closing)
    return len(found)


def judge_anew(spark: SparkSession, settings: Settings, models: Models, run_id: str) -> list[str]:
    """Rebuild the silver slices whose judgement a registry change touched; returns them.

    A killed run is made up for: what is due stands in the commits of `silver.devices` since the last one done.
    """
    done = progress_of(settings, SILVER_REJECTED.name, REJUDGE)
    due = commits_after(settings, SILVER_DEVICES.name, done)
    slices = sorted({s for commit in due for s in slices_of_runs(commit.metadata.get(REJUDGE, []))})
    if slices:
        rebuild_slices(spark, settings, models, slices, run_id, closing=(REJUDGE, due[0].version))
    return slices


def judge_new_models(spark: SparkSession, settings: Settings, models: Models, run_id: str) -> list[str]:
    """Rebuild the slices of records whose model was unknown and is declared by now; returns them.

    Which set of models has been seen to is an application id of `silver.rejected`, so a tick asks no more than its log.
    """
    seen = f"models-{hashlib.sha256(' '.join(sorted(models)).encode()).hexdigest()[:16]}"
    reached = progress_of(settings, SILVER_REJECTED.name, TELEMETRY_APP)
    if reached < 0 or progress_of(settings, SILVER_REJECTED.name, seen) >= 0:
        return []
    every = read_table(spark, settings, SILVER_REJECTED.name)
    refused = every.where("topic = 'telemetry' AND reason = 'unknown_model'").where(
        F.col("model_id").isin(list(models))
    )
    slices = sorted(row[0] for row in _slices(refused).distinct().collect())
    if slices:
        rebuild_slices(spark, settings, models, slices, run_id, closing=(seen, reached))
    else:
        append_once(every.limit(0), settings, SILVER_REJECTED, seen, reached, {"step": "models", "run_id": run_id})
    return slices


def _slices_to_judge(
    spark: SparkSession, settings: Settings, tables: list[str], found: list[DeviceChange]
) -> Iterable[str]:
    """Slices of the records whose judgement may differ.

    These are refused records of devices that are new or changed, and readings of changed ones from the first difference
    on. A record counts at measured_at or at received_at, so both are taken.
    """
    changed = [change for change in found if change.is_judged_anew]
    if not changed or progress_of(settings, SILVER_REJECTED.name, TELEMETRY_APP) < 0:
        return []
    refused = read_table(spark, settings, SILVER_REJECTED.name).where("topic = 'telemetry'")
    frames = [_slices(refused.join(_devices(spark, changed), "device_id"))]
    known = [change for change in changed if not change.is_new]
    if known:
        for table in tables:
            rows = read_table(spark, settings, table).join(_devices(spark, known), "device_id")
            frames.append(_slices(rows.where("clock_status != 'ok' OR measured_at >= since OR event_at >= since")))
    return {row[0] for frame in frames for row in frame.distinct().collect()}


def _devices(spark: SparkSession, found: list[DeviceChange]) -> DataFrame:
    rows = [(change.device_id, int(change.intervals[0][0].timestamp() * 1_000_000)) for change in found]
    frame = spark.createDataFrame(rows, "device_id string, micros bigint")
    return F.broadcast(frame.select("device_id", F.timestamp_micros("micros").alias("since")))


def _rows(history: DataFrame) -> list[dict[str, Any]]:
    """Rows with times in UTC: a collected timestamp would come in the machine's own zone, without saying so."""
    times = ("valid_from", "in_service_at")
    rows = history.withColumns({name: F.unix_micros(name) for name in times}).drop("valid_to").collect()
    return [row.asDict() | {name: datetime.fromtimestamp(row[name] / 1_000_000, UTC) for name in times} for row in rows]


def _slices(rows: DataFrame) -> DataFrame:
    moments = F.array_compact(F.array("event_at", "measured_at", "received_at"))
    each = rows.select(F.explode(moments).alias("moment")).where(is_plausible(F.col("moment")))
    return each.select(F.date_format("moment", "yyyy-MM-dd'T'HH").alias("slice"))
