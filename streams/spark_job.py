"""Spark job: the hot path as a query of Structured Streaming, for more messages than one machine takes.

Belongs here: the query from the landing zone to `windows` and `alerts`, what cannot be asked of it, and keeping it
running. What its tasks do belongs in `spark_processor`.

Offsets and state are exactly once, by Spark's checkpoint. What is told is at least once: Spark's Kafka sink knows no
transactions. A batch that is run again tells the same records with the same identities.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from uuid import uuid4

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from ingestion.executor_probe import check_executors
from ingestion.kafka_offsets import COMMITTED_ONLY, broker_offsets
from ingestion.kafka_records import HEADERS, RECEIVED_US
from ingestion.spark_records import bronze_rows
from lake.code_version import versions
from lake.models.catalog import known_models
from lake.storage.delta import version_of
from lake.storage.duckdb_connection import connect as connect_duckdb
from lake.storage.locations import HOT_STATE, spark_uri
from lake.tables.bronze import BRONZE_LIFECYCLE
from runtime.errors import PlatformError
from runtime.kafka.clients import java_client_config
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark
from streams.declarations import Declarations
from streams.hot_registry import HotRegistry, events_of_the_lake
from streams.one_partition import FIRST_US, Given, bytes_of
from streams.output_topics import ALERTS, WINDOWS, ensure_output_topics
from streams.spark_limits import check_declared, check_slots
from streams.spark_processor import INPUT, OUTPUT, SHARE, PartitionProcessor
from streams.spark_progress import SparkProgress
from streams.whole_topics import WholeTopic
from wire.envelope import LIFECYCLE_TOPIC, TELEMETRY_TOPIC

_RECORDS_A_SLOT = 20_000
_TRIGGER = "1 second"
_LOOK_S = 0.5
_STATE = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"


def run_on_spark(settings: Settings, bootstrap: str, declared: Declarations, stop: Event,
                 tell: Callable[[str], None]) -> None:  # fmt: skip
    """Run until `stop`; what breaks off is begun anew from the checkpoint. Raises UsageError for what cannot be."""
    pause_s = 0.5
    while not stop.is_set():
        began = time.monotonic()
        try:
            with running_spark(settings) as address:
                spark = connect(address)
                try:
                    _run(spark, settings, bootstrap, declared, stop)
                finally:
                    spark.stop()
        except (PySparkException, PlatformError) as error:
            tell(f"Spark broke off: {_said(error)}. Going on from the checkpoint.")
            pause_s = 0.5 if time.monotonic() - began > 60 else min(10.0, pause_s * 2)
            stop.wait(pause_s)


def checkpoint(settings: Settings) -> str:
    """Where Spark keeps offsets and state: in the lake, which all executors reach."""
    return spark_uri(settings, HOT_STATE)


def _run(spark: SparkSession, settings: Settings, bootstrap: str, declared: Declarations, stop: Event) -> None:
    partitions = len(broker_offsets(bootstrap, TELEMETRY_TOPIC))
    check_declared(declared, partitions)
    if version_of(settings, BRONZE_LIFECYCLE.name) is not None:  # what is to be made first, a tick makes
        check_executors(spark, settings, bootstrap, TELEMETRY_TOPIC, "streams.spark_processor")
    slots = _slots(spark)
    check_slots(slots, partitions)
    ensure_output_topics(bootstrap)
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    spark.conf.set("spark.sql.streaming.stateStore.providerClass", _STATE)
    spark.conf.set("spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled", "true")
    spark.conf.set("spark.sql.streaming.minBatchesToRetain", "10")
    given = _given(settings, bootstrap, declared)
    rows = _rows(_records(spark, bootstrap, partitions), partitions)
    told = rows.groupBy(SHARE).transformWithStateInPandas(
        PartitionProcessor(given), OUTPUT, outputMode="Append", timeMode="ProcessingTime"
    )
    query = (
        _messages(told).writeStream.format("kafka").options(**_kafka(bootstrap))
        .option("checkpointLocation", checkpoint(settings)).queryName("lakehouse-streams")
        .trigger(processingTime=_TRIGGER).outputMode("append").start()
    )  # fmt: skip
    _await(query, bootstrap, stop, partitions, slots)


def _said(error: PySparkException | PlatformError) -> str:
    """What a task of ours or Spark says, without the stacks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    ours = [line for line in lines if "Error: " in line] or lines[:1] or [""]
    return ours[-1][:300].rstrip(".")


def _slots(spark: SparkSession) -> int:
    """How many tasks Spark runs at a time: into so many it divides what says nothing of it."""
    found = spark.range(10_000).select(F.spark_partition_id().alias("p")).agg(F.count_distinct("p")).first()
    return int(found[0]) if found is not None else 0


def _given(settings: Settings, bootstrap: str, declared: Declarations) -> Given:
    with connect_duckdb(settings, threads=1) as connection:
        registry = HotRegistry(connection, events_of_the_lake(connection, settings))
        topic = WholeTopic(bootstrap, LIFECYCLE_TOPIC, registry.next_offset)
        try:
            registry.add(topic.to_the_end())
        finally:
            topic.close()
        events = bytes_of(registry.events())
    # of actions executors need to know nothing
    ours = Declarations(declared.windows, declared.rules)
    return Given(uuid4().hex, versions(), dict(known_models(settings)), settings.telemetry_types, ours, events)


def _records(spark: SparkSession, bootstrap: str, slots: int) -> DataFrame:
    return (
        spark.readStream.format("kafka")
        .options(**_kafka(bootstrap))
        .option("subscribe", f"{TELEMETRY_TOPIC},{LIFECYCLE_TOPIC}")
        # both only count when there is no checkpoint
        .option("startingTimestamp", str((time.time_ns() // 1000 - FIRST_US) // 1000))
        .option("startingOffsetsByTimestampStrategy", "latest")
        .option("includeHeaders", "true")
        .option("failOnDataLoss", "true")
        .option("kafka.isolation.level", COMMITTED_ONLY)
        .option("maxOffsetsPerTrigger", str(_RECORDS_A_SLOT * slots))
        .load()
    )


def _rows(records: DataFrame, partitions: int) -> DataFrame:
    """Records as the processor takes them, telemetry for its partition and lifecycle events for each."""
    each = F.sequence(F.lit(0), F.lit(partitions - 1))
    is_event = F.col("topic") == LIFECYCLE_TOPIC
    # the hot path goes by the time in the record, whoever set it
    found = bronze_rows(records.withColumn("timestampType", F.lit(1)), 0, datetime.now(UTC))
    return found.select(
        F.explode(F.when(is_event, each).otherwise(F.array("partition"))).alias(SHARE),
        *(_column(name) for name in INPUT),
    )


def _kafka(bootstrap: str) -> dict[str, str]:
    return {f"kafka.{name}": value for name, value in java_client_config(bootstrap).items()}


def _column(name: str) -> Column:
    """Bytes and whole numbers alone: a time of a strange clock would not fit what pandas has for times."""
    if name == RECEIVED_US:
        return F.unix_micros("received_at").alias(RECEIVED_US)
    return F.col(name).cast("binary").alias(name) if name in HEADERS.values() else F.col(name)


def _messages(told: DataFrame) -> DataFrame:
    """What Spark's Kafka sink takes."""
    headers = [
        F.struct(F.lit(header).alias("key"), F.col(name).cast("binary").alias("value"))
        for header, name in HEADERS.items()
    ]
    is_there = F.filter(F.array(*headers), lambda header: header["value"].isNotNull())
    return told.where(F.col("topic").isin(WINDOWS, ALERTS)).select("topic", "key", "value", is_there.alias("headers"))


def _await(query: StreamingQuery, bootstrap: str, stop: Event, partitions: int, slots: int) -> None:
    """Until `stop`; raises what ended the query, or PlatformError or UsageError when partitions were added."""
    progress = SparkProgress(bootstrap)
    try:
        while not stop.wait(_LOOK_S):
            if not query.isActive:
                ended = query.exception()
                raise ended if ended is not None else PlatformError("the query has ended")
            found = len(broker_offsets(bootstrap, TELEMETRY_TOPIC))
            if found != partitions:
                check_slots(slots, found)
                raise PlatformError(f"{TELEMETRY_TOPIC} has other partitions than it had")
            progress.commit(query)
    finally:
        progress.close()
        query.stop()
