"""Kafka records as Arrow, with the columns of bronze.

Belongs here: reading headers and keys as bronze does. Spark does the same for the lake in `ingestion.bronze_ingest`; a
test holds both together. What a record means is judged in `transforms`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa
from confluent_kafka import Message

from lake.tables.bronze import BRONZE_TELEMETRY
from wire.envelope import ATTRIBUTES, CONTENT_TYPE, TIME
from wire.times import moment_of_rfc3339

_HEADERS = {name: name for name in ATTRIBUTES} | {CONTENT_TYPE: "content_type"}
_TIME = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("ingest_id", pa.int64()),
        ("received_at", _TIME),
        ("key", pa.binary()),
        ("value", pa.binary()),
        *((name, pa.string()) for name in _HEADERS.values()),
        ("device_id", pa.string()),
        ("measured_at", _TIME),
    ]
)

FROM_RECORDS = f"""
    SELECT {", ".join(f'"{c.name}"' for c in BRONZE_TELEMETRY.columns if c.name != "headers")}
    FROM (SELECT *, epoch_us(measured_at) // 3600000000 AS measured_hour,
              epoch_us(received_at) // 3600000000 AS received_hour,
              make_timestamp(epoch_us(received_at))::DATE AS received_date, NULL::TIMESTAMPTZ AS producer_at
          FROM kafka_records)"""
"""SQL for rows of bronze, without headers, from `kafka_records`, what `record_columns` made."""


def record_columns(messages: Sequence[Message], ingest_id: int = 0) -> pa.Table:
    """The records with what bronze has of them, but for columns that SQL adds (see FROM_RECORDS)."""
    columns: dict[str, list[object]] = {name: [] for name in _SCHEMA.names}
    for message in messages:
        key = message.key()
        raw = key.encode() if isinstance(key, str) else key
        columns["topic"].append(message.topic())
        columns["partition"].append(message.partition())
        columns["offset"].append(message.offset())
        columns["ingest_id"].append(ingest_id)
        columns["received_at"].append(datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC))
        columns["key"].append(raw)
        columns["value"].append(message.value())
        found = dict(message.headers() or [])  # of headers with one name the last
        for header, column in _HEADERS.items():
            columns[column].append(_text(found.get(header)))
        columns["device_id"].append(_text(raw))
        columns["measured_at"].append(moment_of_rfc3339(_text(found.get(TIME)) or ""))
    return pa.table(columns, _SCHEMA)


def place_of(message: Message) -> tuple[int, int]:
    """Partition and offset of a record that was read."""
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset


def _text(value: bytes | str | None) -> str | None:
    """None also for what is not UTF-8."""
    if value is None or isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
