"""Rows of a device out of silver and bronze, by ordinary commits of Spark.

Belongs here: which rows are the device's, and the commits that take them out. What becomes of older versions is in
`pipeline.erasure.removal`.

A record is the device's when its key or subject is the id, or when its source or message id names it; a row of silver
is, when its record is. So the layers still add up. Silver goes first: as long as bronze has the records, a killed run
finds its rows again. Each table's last commit names nothing, and carries on what earlier ones said of the progress.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from ingestion.bronze_ingest import BRONZE_TABLES
from lake.models.catalog import Model, silver_tables
from lake.records import erasures
from lake.records.erasures import Erasure
from lake.slices import runs_of, slice_of
from lake.storage.delta import version_of
from lake.storage.format_version import KEEP_LOG
from lake.storage.locations import spark_uri
from lake.storage.spark_commits import committing, newest_commit, read_table
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED
from pipeline.erasure.mentions import pattern_of
from runtime.errors import UsageError
from runtime.settings import Settings
from wire.envelope import SITE_DECLARED

_PLACE = ["topic", "partition", "offset"]
_RECORDS = "erased_records"


def erase_rows(
    spark: SparkSession, settings: Settings, models: Mapping[str, Model], device_id: str, erasure: Erasure
) -> None:
    """Take the device's rows out of silver and bronze; notes them and their slices in `erasure`, and saves it first.

    Raises UsageError when there are none, and none were taken out before.
    """
    # PySpark 4.2 takes the result for one of the process's active session, so there may be no other than `spark`
    records = _records(spark, settings, device_id).localCheckpoint(eager=True)
    records.createOrReplaceTempView(_RECORDS)
    rows = {
        table: _rows_of(spark, settings, table, records)
        for table in (*silver_tables(models.values()), SILVER_REJECTED.name)
    }
    history = read_table(spark, settings, SILVER_DEVICES.name).where(F.col("device_id") == device_id)
    first = history.agg(F.unix_micros(F.min("valid_from"))).collect()[0][0]
    counts = {name: sum(row["n"] for row in found) for name, found in rows.items()}
    counts[SILVER_DEVICES.name] = history.count()
    counts |= _bronze_counts(records)
    erasure.slices = sorted({*erasure.slices, *(row["slice"] for found in rows.values() for row in found)})
    _note(settings, erasure, counts, device_id)
    for name, found in rows.items():
        slices = [row["slice"] for row in found]
        if slices:
            with committing(spark, settings, {"step": "erasure", "slices": runs_of(slices)}):
                _take_out(spark, settings, name)
    if first is not None:
        since = slice_of(datetime.fromtimestamp(first / 1_000_000, UTC))
        with committing(spark, settings, {"step": "erasure", "intervals": [[since, None]]}):
            spark.sql(
                f"DELETE FROM {_named(settings, SILVER_DEVICES.name)} WHERE device_id = {_text(device_id)}"
            ).collect()
    for table in BRONZE_TABLES.values():
        if counts[table.name]:
            with committing(spark, settings, {"step": "erasure"}):
                _take_out(spark, settings, table.name)
    for name in (*rows, SILVER_DEVICES.name, *(table.name for table in BRONZE_TABLES.values())):
        _close(spark, settings, name)


def _records(spark: SparkSession, settings: Settings, device_id: str) -> DataFrame:
    """Topic, partition and offset of the device's records."""
    key = f"device_id = {_text(device_id)} OR key = X'{device_id.encode().hex()}'"
    pattern = _text(pattern_of(device_id))
    named = f"ce_subject = {_text(device_id)} OR ce_source RLIKE {pattern} OR ce_id RLIKE {pattern}"
    telemetry = read_table(spark, settings, BRONZE_TELEMETRY.name).where(f"{key} OR {named}")
    # a lifecycle record speaks of the device that is its key, but for a site's declaration
    lifecycle = read_table(spark, settings, BRONZE_LIFECYCLE.name).where(
        f"({key}) AND NOT ce_type <=> '{SITE_DECLARED}'"
    )
    return telemetry.select(*_PLACE).unionByName(lifecycle.select(*_PLACE))


def _rows_of(spark: SparkSession, settings: Settings, table: str, records: DataFrame) -> list[Row]:
    """How many rows of a silver table come from those records, slice by slice."""
    ours = read_table(spark, settings, table).join(F.broadcast(records), _PLACE, "left_semi")
    slice_ = F.format_string("%sT%02d", F.col("event_date").cast("string"), "event_hour")
    return ours.groupBy(slice_.alias("slice")).agg(F.count("*").alias("n")).collect()


def _bronze_counts(records: DataFrame) -> dict[str, int]:
    of_topic = F.substring_index("topic", "#", 1).alias("topic")
    found = {row["topic"]: row["count"] for row in records.groupBy(of_topic).count().collect()}
    return {table.name: found.get(topic, 0) for topic, table in BRONZE_TABLES.items()}


def _note(settings: Settings, erasure: Erasure, counts: Mapping[str, int], device_id: str) -> None:
    """Write down what is about to be taken out; what an interrupted run noted stays."""
    if not any(counts.values()) and not erasure.tables:
        earlier = [each.path for each in erasures.list_all(settings) if each.is_of(device_id)]
        hint = f"{earlier[-1]} certifies its erasure." if earlier else "Is the id spelt as in gold.devices?"
        raise UsageError(f"The lake has no row of {device_id}. {hint}")
    for name, count in counts.items():
        before = version_of(settings, name) or 0
        erasure.tables.setdefault(name, {"rows_removed": count, "version_before": before})
    erasures.save(settings, erasure)


def _take_out(spark: SparkSession, settings: Settings, table: str) -> None:
    """Delete the rows that come from the records; so no commit has the id in its condition."""
    same = " AND ".join(f"t.`{name}` = e.`{name}`" for name in _PLACE)
    spark.sql(f"MERGE INTO {_named(settings, table)} t USING {_RECORDS} e ON {same} WHEN MATCHED THEN DELETE").collect()


def _close(spark: SparkSession, settings: Settings, table: str) -> None:
    """A commit that names nothing and says how far bronze has come, for the log to begin with."""
    is_bronze = any(table == each.name for each in BRONZE_TABLES.values())
    commit = newest_commit(settings, table, "offsets") if is_bronze else None
    known = {} if commit is None else commit.metadata
    reached = {name: known[name] for name in ("offsets", "topic_id") if name in known}
    with committing(spark, settings, {"step": "erasure", **reached}):
        spark.sql(f"ALTER TABLE {_named(settings, table)} SET TBLPROPERTIES ('{KEEP_LOG}' = 'false')").collect()


def _named(settings: Settings, table: str) -> str:
    return f"delta.`{spark_uri(settings, table)}`"


def _text(text: str) -> str:
    """A text for Spark's SQL, whatever characters it has."""
    return f"decode(X'{text.encode().hex()}', 'UTF-8')"
