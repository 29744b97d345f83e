"""Bronze: every Kafka record as it came.

Belongs here: its tables. What a record means is judged downstream.
"""

from lake.tables.contracts import OFFSET, RECEIVED, Table, optional, required

_BRONZE_COLUMNS = (
    *OFFSET,
    *RECEIVED,
    *required(("received_date", "date", "UTC date of received_at")),
    *optional(
        ("key", "binary", "Kafka key as it came: the device id"),
        ("headers", "array<struct<key:string,value:binary>>", "Kafka headers that no column below holds as they came"),
        ("value", "binary", "The payload as it came"),
        ("ce_specversion", "string", "CloudEvents attribute specversion"),
        ("ce_id", "string", "CloudEvents attribute id; with ce_source the identity of the message"),
        ("ce_source", "string", "CloudEvents attribute source"),
        ("ce_type", "string", "CloudEvents attribute type: the kind of message"),
        ("ce_subject", "string", "CloudEvents attribute subject: the component, if any"),
        ("ce_time", "string", "CloudEvents attribute time as it came: the device's clock"),
        ("ce_dataschema", "string", "CloudEvents attribute dataschema: the model's DTMI"),
        ("content_type", "string", "Header content-type"),
        ("device_id", "string", "The key as text; null when it is missing or not UTF-8"),
        ("measured_at", "timestamp", "ce_time as a timestamp; null when it is not one"),
        ("measured_hour", "bigint", "Hours since 1970 of measured_at; lets readers skip files"),
        ("received_hour", "bigint", "Hours since 1970 of received_at; lets readers skip files"),
        ("producer_at", "timestamp", "The record's timestamp where its producer set it (CreateTime); else null"),
    ),
)


def _bronze(topic: str) -> Table:
    return Table(
        name=f"bronze.{topic}",
        grain="Kafka record",
        columns=_BRONZE_COLUMNS,
        key=("topic", "partition", "offset"),
        writer="spark",
        partition_by=("received_date",),
        statistics=("partition", "offset", "ingest_id", "received_at", "device_id", "measured_at", "measured_hour",
                    "received_hour"),
    )  # fmt: skip


BRONZE_TELEMETRY = _bronze("telemetry")
OF_TELEMETRY = "topic LIKE 'telemetry%'"
"""SQL, in any engine, for rows of telemetry: records, and the messages of packs, whose topic ends in their number."""
BRONZE_LIFECYCLE = _bronze("lifecycle")
