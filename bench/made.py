"""A made lake: bronze and silver of a steady fleet, without the hours that sending its messages would take.

Belongs here: records as Kafka would hand them to Spark, made by Spark itself. They go through the same columns, judging
and commits as records that were sent. Devices are of one model and report on time; what else comes is `ingest`'s.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ingestion.bronze_ingest import BRONZE_TABLES
from ingestion.spark_records import bronze_rows
from lake.models.catalog import known_models
from lake.storage.applications import App
from lake.storage.spark_commits import append_once, ensure_table
from pipeline.run import Run
from pipeline.silver.tick import fill_silver
from runtime.settings import Settings
from runtime.spark.connect_server import interpret_small
from wire import envelope

THERMOSTAT, PUMP = "dtmi:lakehouse:thermostat;1", "dtmi:lakehouse:pump;1"
_PARTITIONS = 8
SITES = 20
HALTING = 10  # every tenth device sends half of what its registration promises
_RECORDS_A_FILE = 500_000


@dataclass(frozen=True)
class SteadyFleet:
    """So many devices (a multiple of 8), each reporting every `interval_s` seconds from `start` on."""

    start: datetime
    devices: int
    interval_s: int
    model: str = THERMOSTAT

    def readings(self, hours: int) -> int:
        """How many come in so many hours."""
        return self.devices * (hours * 3600 // self.interval_s)


def fill(spark: SparkSession, settings: Settings, fleet: SteadyFleet, first_hour: int, hours: int) -> int:
    """Bring the readings of `hours`, from `first_hour` after the fleet's start, to bronze and silver; returns them.

    The first call registers the devices too. Calls follow one another without a gap.
    """
    count = fill_bronze(spark, settings, fleet, first_hour, hours)
    fill_silver(lambda: spark, Run(settings, known_models(settings), "bench", datetime.now(UTC)))
    return count


def fill_bronze(spark: SparkSession, settings: Settings, fleet: SteadyFleet, first_hour: int, hours: int) -> int:
    """As `fill`, to bronze only."""
    first, last = fleet.readings(first_hour), fleet.readings(first_hour + hours)
    if first == 0:
        _append(spark, settings, "lifecycle", _registrations(spark, fleet), fleet.devices, fleet.devices)
    _append(spark, settings, "telemetry", _readings(spark, fleet, first, last), last - first, last)
    return last - first


def _append(spark: SparkSession, settings: Settings, topic: str, records: DataFrame, count: int, end: int) -> None:
    table = BRONZE_TABLES[topic]
    ensure_table(lambda: spark, settings, table)
    interpret_small(spark, count)
    metadata = {"step": "ingest", "offsets": {0: [0, end]}, "run_id": "bench"}
    append_once(bronze_rows(records, end, datetime.now(UTC)), settings, table, App.INGEST, end, metadata)


def _readings(spark: SparkSession, fleet: SteadyFleet, first: int, last: int) -> DataFrame:
    """Reading `id` is of device `id % devices`; its offset counts the readings of the devices of its partition."""
    rows = spark.range(first, last, 1, max(1, (last - first) // _RECORDS_A_FILE))
    device, turn = F.col("id") % fleet.devices, F.expr(f"id div {fleet.devices}")
    moment = F.timestamp_millis(F.lit(int(fleet.start.timestamp() * 1000)) + turn * (fleet.interval_s * 1000))
    return _records(
        rows,
        "telemetry",
        device,
        offset=turn * (fleet.devices // _PARTITIONS) + F.floor(device / _PARTITIONS),
        moment=moment,
        message_id=F.concat(F.lit("m-"), F.col("id").cast("string")),
        kind=envelope.TELEMETRY_TYPE,
        payload=_payload(fleet.model),
    )


def _payload(model: str) -> Column:
    """Uneven values, the same in every run. A pump changes its state some five times in 50 readings."""
    if model == PUMP:
        pressure = F.round(F.lit(100) + F.pmod(F.hash("id"), F.lit(1000)) / 100, 2)
        state = F.when(F.pmod(F.hash("id"), F.lit(20)) == 0, "stopped").otherwise("running")
        return F.format_string(
            '{"state":"%s","isRunning":%s,"pressure":%s}',
            state,
            (state == "running").cast("string"),
            pressure.cast("string"),
        )
    temperature = F.round(F.lit(20) + F.pmod(F.hash("id"), F.lit(1000)) / 100, 2)
    humidity = F.round(F.lit(30) + F.pmod(F.hash(F.col("id") + 7), F.lit(3000)) / 100, 2)
    return F.format_string('{"temperature":%s,"humidity":%s}', temperature.cast("string"), humidity.cast("string"))


def _registrations(spark: SparkSession, fleet: SteadyFleet) -> DataFrame:
    rows = spark.range(0, fleet.devices, 1, 1)
    promised_s = F.when(F.col("id") % HALTING == 0, fleet.interval_s // 2).otherwise(fleet.interval_s)
    payload = F.format_string(
        f'{{"model_id":"{fleet.model}","site_id":"site-%02d","reporting_interval_s":%d}}',
        F.col("id") % SITES,
        promised_s,
    )
    return _records(
        rows,
        "lifecycle",
        F.col("id"),
        offset=F.floor(F.col("id") / _PARTITIONS),
        moment=F.timestamp_millis(F.lit(int(fleet.start.timestamp() * 1000))),
        message_id=F.concat(F.lit("r-"), F.col("id").cast("string")),
        kind=envelope.REGISTERED,
        payload=payload,
    )


def _records(
    rows: DataFrame, topic: str, device: Column, *, offset: Column, moment: Column, message_id: Column,
    kind: str, payload: Column,
) -> DataFrame:  # fmt: skip
    """Rows as Spark's Kafka source has them."""
    name = F.format_string("d-%05d", device)
    headers = {
        envelope.SPECVERSION: F.lit("1.0"),
        envelope.ID: message_id,
        envelope.SOURCE: F.concat(F.lit(envelope.source_of("")), name),
        envelope.TYPE: F.lit(kind),
        envelope.TIME: F.date_format(moment, "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"),
        envelope.CONTENT_TYPE: F.lit("application/json"),
    }
    entries = [F.struct(F.lit(k).alias("key"), v.cast("binary").alias("value")) for k, v in headers.items()]
    return rows.select(
        F.lit(topic).alias("topic"),
        (device % _PARTITIONS).cast("int").alias("partition"),
        offset.cast("bigint").alias("offset"),
        (moment + F.expr("INTERVAL 2 SECONDS")).alias("timestamp"),
        F.lit(1).alias("timestampType"),
        name.cast("binary").alias("key"),
        payload.cast("binary").alias("value"),
        F.array(*entries).alias("headers"),
    )
