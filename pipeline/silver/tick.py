"""One tick: everything new in Kafka to bronze and silver, in the order that keeps every record judged once.

Belongs here: the order of the steps and the lease around them. The registry comes before telemetry, so that a device's
first reading finds it registered; slices whose judgement a change of the registry or of the models touches are judged
anew last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ingestion.bronze_ingest import ingest_topic
from ingestion.executor_probe import check_executors
from ingestion.landing_topics import ensure_topics
from ingestion.made_topics import made_by
from ingestion.topic_misfits import misfits
from lake.slices import day_of
from lake.storage.lease import writer_lease
from lake.storage.open_logs import open_logs
from pipeline.engines import TASKS, Engine
from pipeline.run import Run
from pipeline.silver.append import SilverReport, append_new, ensure_silver, rebuild_slices
from pipeline.silver.device_registry import judge_anew, judge_new_models, update_registry
from runtime.spark.connect_server import SparkSource


@dataclass(frozen=True)
class TickReport:
    """What a tick did: records a topic, devices changed, rows a silver table, rejected a reason, slices touched.

    `notes` say what an operator should know of Kafka: records that were lost, settings of topics that do not fit.
    """

    ingested: dict[str, int] = field(default_factory=dict)
    devices_changed: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    slices: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def tick(spark: SparkSource, run: Run, bootstrap: str, *, accept_gap: bool = False) -> TickReport:
    """Bring all new records to bronze and silver. Raises LandingZoneError, LeaseError, PlatformError."""
    with writer_lease(run.settings, "tick", run.wait_s):
        landed = ingest(spark, run, bootstrap, accept_gap=accept_gap)
        report = fill_silver(spark, run)
    return replace(report, ingested=landed.ingested, notes=landed.notes)


def ingest(spark: SparkSource, run: Run, bootstrap: str, *, accept_gap: bool = False) -> TickReport:
    """Kafka to bronze, both topics; reports what was ingested and the notes. The caller holds the lease.

    Telemetry is bounded before lifecycle is read: whatever was registered before a reading is then in this tick too.
    """
    ensure_topics(bootstrap, made=made_by(run.settings))
    if run.settings.engine == Engine.SPARK:  # whoever reads, they judge
        check_executors(spark(), run.settings, bootstrap, "telemetry", TASKS)
    notes = [str(misfit) for misfit in misfits(bootstrap) if misfit.is_harmful]
    records = {}
    for topic in ("telemetry", "lifecycle"):
        run.progress(f"bronze.{topic}")
        landed = ingest_topic(spark, run.settings, bootstrap, topic, run.run_id, accept_gap)
        records[topic] = landed.records
        notes += landed.notes
    for note in notes:
        run.progress(note)
    return TickReport(records, notes=tuple(notes))


@open_logs()
def fill_silver(spark: SparkSource, run: Run) -> TickReport:
    """Bronze to silver: the registry, the new telemetry, and what a registry change or a new model puts in doubt. The
    caller holds the lease."""
    settings, models, run_id = run.settings, run.models, run.run_id
    run.progress("silver.devices")
    ensure_silver(spark, settings, models)
    changed = update_registry(settings, models, run_id)
    run.progress("silver readings")
    report = append_new(settings, models, run_id, spark)
    anew = judge_anew(spark, settings, models, run_id)
    of_new_models = judge_new_models(spark, settings, models, run_id)
    slices = sorted({*report.slices, *anew, *of_new_models})
    return TickReport({}, changed, report.rows, report.rejected, slices)


def rebuild_silver(spark: SparkSource, run: Run, slices: Sequence[str]) -> SilverReport:
    """Judge slices anew from bronze, a day at a time, so that memory follows a day and a crash loses a day's work."""
    rows: dict[str, int] = {}
    refused: dict[str, int] = {}
    with writer_lease(run.settings, "rebuild of silver", run.wait_s):
        for day in sorted({day_of(slice_) for slice_ in slices}):
            run.progress(f"silver {day}")
            ours = [slice_ for slice_ in slices if day_of(slice_) == day]
            report = rebuild_slices(spark, run.settings, run.models, ours, run.run_id)
            for total, part in ((rows, report.rows), (refused, report.rejected)):
                for name, count in part.items():
                    total[name] = total.get(name, 0) + count
    return SilverReport(rows, refused, list(slices))
