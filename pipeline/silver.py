"""Bronze to silver: the tick that appends what is new, and the rebuild that replaces slices.

Belongs here: reading the bronze rows at hand and the earlier readings that they may repeat, calling the transforms, and
committing. What a record means belongs in `transforms`.

Progress is one transaction version a table, the newest `ingest_id` that it holds. A tick commits `silver.rejected`
last, so its progress is the tick's; a table that a killed tick had already committed is ahead of it, and the next tick
leaves out of that table what it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from ingestion.bronze import APP_ID as INGEST_APP
from lake.commits import append_once, ensure_table, progress_of, read_table, replace_slices
from lake.delta import open_table
from lake.models import Model, silver_tables
from lake.retention import final_before
from lake.settings import Settings
from lake.slices import predicate, runs_of, slice_start
from lake.tables import BRONZE_TELEMETRY, SILVER_DEVICES, SILVER_REJECTED, Table
from transforms.registry import judging_facts
from transforms.repeats import identity_pool, refuse_repeats, repeated_hashes, repeated_identities
from transforms.silver import judge_telemetry, readings, rejected

APP_ID = "telemetry"
Models = Mapping[str, Model]

# few slices come as few files anyway; many would make a file a slice and task
_SLICES_WITHOUT_SHUFFLE = 3


@dataclass(frozen=True)
class SilverReport:
    """What a step wrote: rows a table, rejected records a reason, and the slices touched."""

    rows: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    slices: list[str] = field(default_factory=list)


def append_new(spark: SparkSession, settings: Settings, models: Models, run_id: str) -> SilverReport:
    """Judge all bronze telemetry that silver does not have yet and append it, each record to one table, once."""
    tables = ensure_silver(spark, settings, models)
    done = progress_of(settings, SILVER_REJECTED.name, APP_ID)
    target = progress_of(settings, BRONZE_TELEMETRY.name, INGEST_APP)
    if target <= done:
        return SilverReport()
    bronze = read_table(spark, settings, BRONZE_TELEMETRY.name).where(
        (F.col("ingest_id") > done) & (F.col("ingest_id") <= target)
    )
    judged = computed(judge_telemetry(bronze, _facts(spark, settings), models))
    counts = _counts(judged)
    touched = _slices_by_table(counts)
    earlier = _earlier_readings(spark, settings, tables, judged, touched, done)
    repeated = _repeated(judged, earlier)
    final = refuse_repeats(judged, repeated)
    report = _report(counts if repeated is None else _counts(final))
    metadata = {"step": "tick", "ingest_id": target, "run_id": run_id}
    for table in tables.values():
        slices = touched.get(table.name, [])
        if slices:
            rows = final.where(F.col("ingest_id") > progress_of(settings, table.name, APP_ID))
            rows = _arranged(readings(rows, table, models), slices)
            append_once(rows, settings, table, APP_ID, target, metadata | {"slices": runs_of(slices)})
    # closes the tick, so it is written even when nothing was rejected
    rows = _arranged(rejected(final), report.slices)
    refused_in = touched.get(None, []) if not report.rejected else report.slices
    append_once(rows, settings, SILVER_REJECTED, APP_ID, target, metadata | {"slices": runs_of(refused_in)})
    return report


def rebuild_slices(spark: SparkSession, settings: Settings, models: Models, slices: list[str], run_id: str,
                   closing: tuple[str, int] | None = None) -> SilverReport:  # fmt: skip
    """Judge the bronze telemetry of these slices anew and replace them in every silver table.

    `closing` is an application and transaction version to record with the last commit: the caller's own progress.
    Takes bronze up to where silver has come, so that what is not ticked yet is not counted twice later. Final slices,
    of which bronze no longer has all records, stay as they are.
    """
    final_until = final_before(settings)
    slices = [slice_ for slice_ in slices if slice_ >= final_until]
    if not slices:
        return SilverReport()
    tables = ensure_silver(spark, settings, models)
    done = progress_of(settings, SILVER_REJECTED.name, APP_ID)
    bronze = read_table(spark, settings, BRONZE_TELEMETRY.name).where(F.col("ingest_id") <= done)
    facts = _facts(spark, settings)
    hours = [int(slice_start(slice_).timestamp()) // 3600 for slice_ in slices]
    is_ours = F.expr(predicate(slices))
    candidates = bronze.where(F.col("measured_hour").isin(hours) | F.col("received_hour").isin(hours))
    # a wrong clock's reading counts where it was received, yet its first may have come in another hour
    parked = judge_telemetry(candidates, facts, models).where(is_ours & (F.col("clock_status") != "ok"))
    elsewhere = [
        row[0]
        for row in parked.select(F.floor(F.unix_seconds("measured_at") / 3600).cast("bigint")).distinct().collect()
        if row[0] not in set(hours)
    ]
    if elsewhere:
        wanted = F.col("measured_hour").isin(hours + elsewhere) | F.col("received_hour").isin(hours)
        candidates = bronze.where(wanted)
    commit = {"step": "rebuild", "slices": runs_of(slices), "run_id": run_id}
    judged = computed(judge_telemetry(candidates, facts, models))
    final = refuse_repeats(judged, _repeated(judged, None)).where(is_ours)
    report = _report(_counts(final))
    for table in tables.values():
        rows = _arranged(readings(final, table, models), slices)
        replace_slices(rows, settings, table, slices, commit)
    # lifecycle records are not judged by slices: theirs stay
    rows = _arranged(rejected(final), slices)
    theirs = f"topic = '{BRONZE_TELEMETRY.short_name}'"
    replace_slices(rows, settings, SILVER_REJECTED, slices, commit, where=theirs, closing=closing)
    return report


def ensure_silver(spark: SparkSession, settings: Settings, models: Models) -> dict[str, Table]:
    """Create or widen every silver table that the models declare; returns the reading tables by name."""
    tables = silver_tables(models.values())
    for table in (*tables.values(), SILVER_REJECTED, SILVER_DEVICES, BRONZE_TELEMETRY):
        ensure_table(spark, settings, table)
    return tables


def computed(frame: DataFrame) -> DataFrame:
    """A frame that several commits read, computed once, now.

    Not a cache: every action on a cached frame has its whole plan analysed anew, which for the judging of all models
    costs seconds each time. A checkpoint leaves the rows and no plan. They are freed with the frame.
    On disk: in memory, as by default, two million readings leave a heap of 2 GB nothing to look for repeats with.
    """
    return frame.localCheckpoint(eager=True, storageLevel=StorageLevel.DISK_ONLY)


def _facts(spark: SparkSession, settings: Settings) -> DataFrame:
    return judging_facts(read_table(spark, settings, SILVER_DEVICES.name))


def _repeated(judged: DataFrame, earlier: DataFrame | None) -> DataFrame | None:
    """The identities that come more than once; None when there is none, as in most ticks, which ends the search."""
    pool = identity_pool(judged, earlier)
    hashes = computed(repeated_hashes(pool))
    return None if hashes.isEmpty() else computed(repeated_identities(pool, hashes))


def _counts(records: DataFrame) -> list[Row]:
    """Records by `name` (the reading table; null when refused), `reason` and `slice`, as `count`."""
    name = F.when(F.col("reason").isNull(), F.col("table_name"))
    slice_ = F.date_format("event_at", "yyyy-MM-dd'T'HH")
    return records.groupBy(name.alias("name"), "reason", slice_.alias("slice")).agg(F.count("*").alias("n")).collect()


def _slices_by_table(counts: list[Row]) -> dict[str | None, list[str]]:
    """Touched slices by reading table; under None those with records refused for their own fault."""
    touched: dict[str | None, set[str]] = {}
    for row in counts:
        touched.setdefault(row["name"], set()).add(row["slice"])
    return {name: sorted(slices) for name, slices in touched.items()}


def _earlier_readings(
    spark: SparkSession,
    settings: Settings,
    tables: Mapping[str, Table],
    judged: DataFrame,
    touched: Mapping[str | None, list[str]],
    done: int,
) -> DataFrame | None:
    """Readings of earlier ticks that the new ones may repeat: those of the touched slices, where a repeat with a good
    clock lies, and those with a wrong clock at the same times, which may be parked in any slice."""
    result: DataFrame | None = None
    if done < 0:
        return None
    identities = judged.where("reason IS NULL").select("table_name", "source", "message_id", "measured_at").distinct()
    for name, table in tables.items():
        slices = touched.get(name, [])
        opened = open_table(settings, name)
        if not slices or opened is None or opened.version() == 0:
            continue
        existing = read_table(spark, settings, table.name).where(F.col("ingest_id") <= done)
        near = existing.where(predicate(slices))
        parked = existing.where("clock_status <> 'ok'").where(~F.expr(predicate(slices)))
        ours = identities.where(F.col("table_name") == name).drop("table_name")
        found = (
            near.unionByName(parked)
            .select(
                "source", "message_id", "measured_at", "ingest_id", "topic", "partition", "offset", "payload_digest"
            )
            .join(ours, ["source", "message_id", "measured_at"], "left_semi")
            .withColumn("table_name", F.lit(name))
        )
        result = found if result is None else result.unionByName(found)
    return result


def _arranged(rows: DataFrame, slices: list[str]) -> DataFrame:
    """Rows laid out so that a commit writes few files: one a slice when there are many slices."""
    if len(slices) <= _SLICES_WITHOUT_SHUFFLE:
        return rows.coalesce(1)
    return rows.repartition("event_date", "event_hour")


def _report(counts: list[Row]) -> SilverReport:
    rows: dict[str, int] = {}
    refused: dict[str, int] = {}
    for row in counts:
        total, name = (rows, row["name"]) if row["reason"] is None else (refused, row["reason"])
        total[name] = total.get(name, 0) + row["n"]
    return SilverReport(rows, refused, sorted({row["slice"] for row in counts}))
