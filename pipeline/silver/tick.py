"""One tick: everything new in Kafka to bronze and silver, in the order that keeps every record judged once.

Belongs here: the order of the steps and the lease around them. The registry comes before telemetry, so that a device's
first reading finds it registered; slices whose judgement a change of the registry or of the models touches are judged
anew last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from ingestion.bronze_ingest import ingest_topic
from ingestion.landing_topics import ensure_topics
from lake.slices import day_of
from lake.storage.lease import writer_lease
from pipeline.silver.append import Models, SilverReport, append_new, ensure_silver, rebuild_slices
from pipeline.silver.device_registry import judge_anew, judge_new_models, update_registry
from runtime.settings import Settings

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """The progress of a caller that does not want any."""


@dataclass(frozen=True)
class TickReport:
    """What a tick did: records a topic, devices changed, rows a silver table, rejected a reason, slices touched."""

    ingested: dict[str, int] = field(default_factory=dict)
    devices_changed: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    slices: list[str] = field(default_factory=list)


def tick(spark: SparkSession, settings: Settings, bootstrap: str, models: Models, *, run_id: str,
         accept_gap: bool = False, wait_s: float = 0.0, progress: Progress = silent) -> TickReport:  # fmt: skip
    """Bring all new records to bronze and silver. Raises LandingZoneError, LeaseError, PlatformError."""
    with writer_lease(settings, "tick", wait_s):
        ingested = ingest(spark, settings, bootstrap, run_id=run_id, accept_gap=accept_gap, progress=progress)
        report = fill_silver(spark, settings, models, run_id=run_id, progress=progress)
    return TickReport(ingested, report.devices_changed, report.rows, report.rejected, report.slices)


def ingest(spark: SparkSession, settings: Settings, bootstrap: str, *, run_id: str, accept_gap: bool = False,
           progress: Progress = silent) -> dict[str, int]:  # fmt: skip
    """Kafka to bronze, both topics; returns records a topic. The caller holds the lease.

    Telemetry is bounded before lifecycle is read: whatever was registered before a reading is then in this tick too.
    """
    ensure_topics(bootstrap)
    records = {}
    for topic in ("telemetry", "lifecycle"):
        progress(f"bronze.{topic}")
        records[topic] = ingest_topic(spark, settings, bootstrap, topic, run_id, accept_gap)
    return records


def fill_silver(spark: SparkSession, settings: Settings, models: Models, *, run_id: str,
                progress: Progress = silent) -> TickReport:  # fmt: skip
    """Bronze to silver: the registry, the new telemetry, and what a registry change or a new model puts in doubt. The
    caller holds the lease."""
    progress("silver.devices")
    ensure_silver(spark, settings, models)
    changed = update_registry(settings, models, run_id)
    progress("silver readings")
    report = append_new(settings, models, run_id)
    anew = judge_anew(spark, settings, models, run_id)
    of_new_models = judge_new_models(spark, settings, models, run_id)
    slices = sorted({*report.slices, *anew, *of_new_models})
    return TickReport({}, changed, report.rows, report.rejected, slices)


def rebuild_silver(spark: SparkSession, settings: Settings, models: Models, slices: Sequence[str], *, run_id: str,
                   wait_s: float = 0.0, progress: Progress = silent) -> SilverReport:  # fmt: skip
    """Judge slices anew from bronze, a day at a time, so that memory follows a day and a crash loses a day's work."""
    rows: dict[str, int] = {}
    refused: dict[str, int] = {}
    with writer_lease(settings, "rebuild of silver", wait_s):
        for day in sorted({day_of(slice_) for slice_ in slices}):
            progress(f"silver {day}")
            ours = [slice_ for slice_ in slices if day_of(slice_) == day]
            report = rebuild_slices(spark, settings, models, ours, run_id)
            for total, part in ((rows, report.rows), (refused, report.rejected)):
                for name, count in part.items():
                    total[name] = total.get(name, 0) + count
    return SilverReport(rows, refused, list(slices))
