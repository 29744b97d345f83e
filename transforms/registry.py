"""Lifecycle events to the history of the device registry (SCD2).

Belongs here: which lifecycle events count and what state a device has after each. Events are ordered by the time at
which they take effect, not by arrival, so an event that comes late lands where it belongs.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ingestion.envelope import LIFECYCLE_TYPES, MAINTENANCE_STARTED, REGISTERED, RETIRED, UPDATED
from lake.tables import SILVER_DEVICES
from transforms.envelope_rules import WHITE_SPACE, Rule, envelope_rules, first_reason, shown
from transforms.reasons import Reason
from transforms.repeats import identity_pool, refuse_repeats, repeated_hashes, repeated_identities

_SCHEMA = "struct<model_id:string,site_id:string,reporting_interval_s:int,_corrupt:string>"
_JSON_OPTIONS = {"columnNameOfCorruptRecord": "_corrupt", "allowNonNumericNumbers": "false"}


def judge_lifecycle(bronze: DataFrame) -> DataFrame:
    """Every bronze lifecycle row once, with `event` parsed and a `reason` where it is refused."""
    text = F.col("value").cast("string")
    event = F.col("event")
    is_object = (
        F.ltrim(text, F.lit(WHITE_SPACE)).startswith("{") & F.json_object_keys(text).isNotNull() & F.is_valid_utf8(text)
    )
    rules: list[Rule] = [
        *envelope_rules(sorted(LIFECYCLE_TYPES)),
        (
            ~F.coalesce(is_object, F.lit(False)),
            Reason.NOT_JSON,
            F.concat(F.lit("not a JSON object: "), shown(text)),
        ),
        (
            event.isNull() | event["_corrupt"].isNotNull(),
            Reason.WRONG_TYPE,
            F.concat(F.lit("a value is not of its declared type: "), shown(text)),
        ),
        (
            event["reporting_interval_s"] <= 0,
            Reason.OUT_OF_RANGE,
            F.concat(F.lit("reporting_interval_s is "), shown(event["reporting_interval_s"]), F.lit(", below 1")),
        ),
    ]
    reason, detail = first_reason(rules)
    named = (
        bronze.withColumn("event", F.from_json(text, _SCHEMA, _JSON_OPTIONS))
        .withColumn("source", F.col("ce_source"))
        .withColumn("message_id", F.col("ce_id"))
        .withColumn("model_id", F.col("event.model_id"))
        .withColumn("payload_digest", F.xxhash64("value"))
        .withColumn("table_name", F.lit(SILVER_DEVICES.name))
        # a lifecycle record counts when it arrived: its own time may lie years back by right
        .withColumn("clock_status", F.lit("ok"))
        .withColumn("event_at", F.col("received_at"))
        .withColumn("event_date", F.to_date("event_at"))
        .withColumn("event_hour", F.hour("event_at"))
        .withColumn("reason", reason)
        .withColumn("detail", detail)
    )
    pool = identity_pool(named)
    return refuse_repeats(named, repeated_identities(pool, repeated_hashes(pool)))


def device_history(judged: DataFrame) -> DataFrame:
    """The rows of `silver.devices` from judged lifecycle events: one a device and change.

    Attributes hold until an event names them anew. Of several events at one moment the last to arrive wins.
    """
    order = ["measured_at", "ingest_id", "partition", "offset"]
    so_far = Window.partitionBy("device_id").orderBy(*order).rowsBetween(Window.unboundedPreceding, 0)
    whole = Window.partitionBy("device_id")
    moment = Window.partitionBy("device_id", "measured_at").orderBy(*[F.col(c).desc() for c in order[1:]])
    by_time = Window.partitionBy("device_id").orderBy("valid_from")
    status = (
        F.when(F.col("ce_type") == MAINTENANCE_STARTED, "maintenance")
        .when(F.col("ce_type") == RETIRED, "retired")
        .when(F.col("ce_type") != UPDATED, "in_service")
    )
    registered_at = F.min(F.when(F.col("ce_type") == REGISTERED, F.col("measured_at"))).over(whole)
    events = judged.where("reason IS NULL").withColumn("_status", status)
    history = (
        events.select(
            *("device_id", "topic", "partition", "offset", "ingest_id", "measured_at"),
            F.coalesce(F.last("_status", ignorenulls=True).over(so_far), F.lit("in_service")).alias("status"),
            F.coalesce(registered_at, F.min("measured_at").over(whole)).alias("in_service_at"),
            *[
                F.last(F.col("event")[name], ignorenulls=True).over(so_far).alias(name)
                for name in ("model_id", "site_id", "reporting_interval_s")
            ],
            F.row_number().over(moment).alias("_rank"),
        )
        .where("_rank = 1")
        .withColumn("valid_from", F.col("measured_at"))
        .withColumn("valid_to", F.lead("valid_from").over(by_time))
        .withColumn("is_current", F.col("valid_to").isNull())
    )
    return history.select(*SILVER_DEVICES.column_names)


def judging_facts(history: DataFrame) -> DataFrame:
    """What judging telemetry needs of the registry, one row a device: `in_service_at` and its `models` over time."""
    models = F.sort_array(F.collect_list(F.when(F.col("model_id").isNotNull(), F.struct("valid_from", "model_id"))))
    return history.groupBy("device_id").agg(F.min("in_service_at").alias("in_service_at"), models.alias("models"))
