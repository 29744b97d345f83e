"""Bronze telemetry to judged records, and judged records to the rows of silver tables.

Belongs here: the order of the steps and the final selects, which are the contracts of the tables. A tick and a rebuild
both come through here; they differ only in the bronze rows and the earlier readings that they bring.
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.models import Model
from lake.tables import READING_COLUMNS, SILVER_REJECTED, Table
from transforms.envelope_rules import first_of, judge_envelopes
from transforms.payload import judge_payloads, payloads_of, telemetry_columns

JUDGED_COLUMNS = (
    "topic", "partition", "offset", "ingest_id", "received_at", "event_at", "event_date", "event_hour",
    "clock_status", "reason", "detail", "device_id", "model_id", "component_name", "source", "message_id",
    "measured_at", "payload_digest", "unknown_telemetry", "value", "table_name",
)  # fmt: skip


def judge_telemetry(bronze: DataFrame, devices: DataFrame, models: Mapping[str, Model]) -> DataFrame:
    """Every bronze row once, with its slice, its parsed payload and a `reason` where it is refused for its own fault.

    Repeats are not judged here: `repeats.refuse_repeats` comes next.
    """
    payloads = payloads_of(models.values())
    judged = judge_payloads(judge_envelopes(bronze, devices, models), payloads)
    table_of = first_of(
        [F.col("model_id") == model.model_id for model in models.values()],
        [F.lit(model.table) for model in models.values()],
        F.lit(None).cast("string"),
    )
    return judged.withColumn("table_name", table_of).select(*JUDGED_COLUMNS, *[p.column for p in payloads])


def readings(judged: DataFrame, table: Table, models: Mapping[str, Model]) -> DataFrame:
    """The rows of one silver reading table, in its declared order of columns."""
    payloads = payloads_of(models.values())
    ours = [p for p in payloads if p.model.table == table.name]
    common = [column.name for column in READING_COLUMNS]
    telemetry = {c.name: c.type for c in table.columns if c.name not in common}
    rows = judged.where(F.col("reason").isNull() & (F.col("table_name") == table.name))
    return rows.select(*_columns(common), *telemetry_columns(ours, telemetry))


def rejected(judged: DataFrame) -> DataFrame:
    """The rows of `silver.rejected`."""
    return judged.where("reason IS NOT NULL").select(*_columns(SILVER_REJECTED.column_names))


def _columns(names: tuple[str, ...] | list[str]) -> list[Column]:
    return [F.col(name) for name in names]
