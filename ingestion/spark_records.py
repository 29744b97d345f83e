"""Kafka's records as Spark reads them, with the columns of bronze.

Belongs here: the Spark read of a range of offsets, and the rule of each column as a Spark expression. `kafka_records`
and `local_records` do the same without Spark, and a test holds both together; who reads decides `bronze_ingest`.
"""

import json
from datetime import datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ingestion.kafka_offsets import COMMITTED_ONLY
from ingestion.offset_ranges import OffsetRange, Offsets
from ingestion.spark_times import moment_of_text
from lake.tables.bronze import BRONZE_TELEMETRY
from runtime.kafka.clients import java_client_config
from wire.envelope import ATTRIBUTES, CONTENT_TYPE

_CREATE_TIME = 0  # as Kafka numbers the kinds of a record's timestamp; 1 is the broker's


def read_records(spark: SparkSession, bootstrap: str, offsets: OffsetRange, read_at: datetime) -> DataFrame:
    """The records of a range with the columns of bronze; `read_at` is the present."""
    records = (
        spark.read.format("kafka")
        .options(**{f"kafka.{name}": value for name, value in java_client_config(bootstrap).items()})
        .option("subscribe", offsets.topic)
        .option("startingOffsets", _offsets_json(offsets.topic, offsets.start))
        .option("endingOffsets", _offsets_json(offsets.topic, offsets.end))
        .option("includeHeaders", "true")
        .option("failOnDataLoss", "true")
        .option("kafka.isolation.level", COMMITTED_ONLY)
        # at the end of a partition the broker would hold its answer back for half a second, in case more comes
        .option("kafka.fetch.max.wait.ms", "10")
        .option("kafka.max.poll.records", "5000")
        .load()
    )
    return bronze_rows(records, offsets.ingest_id, read_at)


def bronze_rows(records: DataFrame, ingest_id: int, read_at: datetime) -> DataFrame:
    """Kafka records as Spark reads them -> the columns of bronze, nothing refused.

    `received_at` is a clock that no producer can set: the broker's, where the topic has that (LogAppendTime), else that
    of who read the record (`read_at`). What a producer has set is kept beside it.
    """
    is_producers = F.col("timestampType") == _CREATE_TIME
    read = F.timestamp_micros(_not_in_code(round(read_at.timestamp() * 1_000_000)))
    return (
        records.withColumn("received_at", F.when(is_producers, read).otherwise(F.col("timestamp")))
        .withColumn("producer_at", F.when(is_producers, F.col("timestamp")))
        .withColumn("last_names", F.reverse(F.col("headers")["key"]))
        .withColumns({name: _attribute(header) for header, name in _HEADERS.items()})
        .withColumn("headers", _other_headers())
        .withColumns(
            {
                "ingest_id": _not_in_code(ingest_id),
                "received_date": F.to_date("received_at"),
                "device_id": F.try_validate_utf8(F.col("key").cast("string")),
                "measured_at": moment_of_text("ce_time"),
            }
        )
        .withColumns({"measured_hour": _hour("measured_at"), "received_hour": _hour("received_at")})
        .select(*BRONZE_TELEMETRY.column_names)
    )


# Kafka header -> column
_HEADERS = {name: name for name in ATTRIBUTES} | {CONTENT_TYPE: "content_type"}


def _attribute(name: str) -> Column:
    """The last header of that name as text; null when it is missing or not UTF-8.

    Looked for in the list of names, last one first: with a map a record, a million cost 1.6 s of CPU more. A name that
    is missing has position 0 there, so it is looked up past the end of the headers.
    """
    index = F.size("headers") - F.array_position("last_names", F.lit(name)).cast("int")
    return F.try_validate_utf8(F.get("headers", index)["value"].cast("string"))


def _other_headers() -> Column:
    """The headers that the columns do not hold whole; null for an ordinary message.

    Writing all headers again cost more than the rest of a record. A column that is not null has taken one header, so
    equal counts leave none over. `array_except` and not `filter`: Spark generates no code for a step that has a lambda.
    """
    taken = sum((F.col(name).isNotNull().cast("int") for name in _HEADERS.values()), F.lit(0))
    held = [
        F.struct(F.lit(header).alias("key"), F.col(name).cast("binary").alias("value"))
        for header, name in _HEADERS.items()
    ]
    is_repeated = F.size("headers") > F.size(F.array_distinct("last_names"))
    others = F.when(is_repeated, F.col("headers")).otherwise(F.array_except("headers", F.array(*held)))
    return F.when(F.size("headers") > taken, others)


def _not_in_code(number: int) -> Column:
    """A number that differs from tick to tick, looked up in a list of one.

    Spark writes a plain number into the code that it generates, which would be new code in every tick: a million
    records cost 2 s of CPU more, to compile it and to run it until the JVM has. `isnull` keeps the optimiser from
    writing it there after all.
    """
    return F.get(F.array(F.lit(number).cast("bigint")), F.isnull("partition").cast("int"))


def _hour(moment: str) -> Column:
    return F.floor(F.unix_seconds(F.col(moment)) / 3600).cast("bigint")


def _offsets_json(topic: str, offsets: Offsets) -> str:
    return json.dumps({topic: {str(partition): offset for partition, offset in offsets.items()}})
