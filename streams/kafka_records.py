"""Kafka records as Arrow, with the columns of bronze.

Belongs here: reading headers and keys as bronze does. Spark does the same for the lake in `ingestion.bronze_ingest`; a
test holds both together. What a record means is judged in `transforms`.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Message

from lake.slices import HOUR_MICROS
from lake.sql_text import quoted_names
from lake.tables.bronze import BRONZE_TELEMETRY
from wire.envelope import ATTRIBUTES, CONTENT_TYPE, TIME
from wire.times import moment_of_rfc3339

_HEADERS = {name: name for name in ATTRIBUTES} | {CONTENT_TYPE: "content_type"}
_TIME = pa.timestamp("us", tz="UTC")
_PLAIN = (
    r"^[1-9][0-9]{3}-(0[1-9]|1[0-2])-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.([0-9]{3}|[0-9]{6}))?Z\z"
)
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
    SELECT {quoted_names(c.name for c in BRONZE_TELEMETRY.columns if c.name != "headers")}
    FROM (SELECT *, epoch_us(measured_at) // {HOUR_MICROS} AS measured_hour,
              epoch_us(received_at) // {HOUR_MICROS} AS received_hour,
              make_timestamp(epoch_us(received_at))::DATE AS received_date, NULL::TIMESTAMPTZ AS producer_at
          FROM kafka_records)"""
"""SQL for rows of bronze, without headers, from `kafka_records`, what `record_columns` made."""


def record_columns(messages: Sequence[Message], ingest_id: int = 0) -> pa.Table:
    """The records with what bronze has of them, but for columns that SQL adds (see FROM_RECORDS)."""
    headers = [dict(message.headers() or ()) for message in messages]  # of headers with one name the last
    keys = pa.array([message.key() for message in messages], pa.binary())
    milliseconds = pa.array([message.timestamp()[1] for message in messages], pa.int64())
    texts = {column: texts_of([found.get(header) for found in headers]) for header, column in _HEADERS.items()}
    columns = {
        "topic": [message.topic() for message in messages],
        "partition": [message.partition() for message in messages],
        "offset": [message.offset() for message in messages],
        "ingest_id": [ingest_id] * len(messages),
        "received_at": pc.multiply(milliseconds, 1000).cast(_TIME),
        "key": keys,
        "value": [message.value() for message in messages],
        **texts,
        "device_id": texts_of(keys),
        "measured_at": moments_of(texts[_HEADERS[TIME]]),
    }
    return pa.table(columns, _SCHEMA)


def place_of(message: Message) -> tuple[int, int]:
    """Partition and offset of a record that was read."""
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset


def texts_of(values: pa.Array | Sequence[bytes | str | None]) -> pa.Array:
    """Bytes as texts; null also for what is not UTF-8."""
    found = pa.array(values, pa.binary())
    try:
        return found.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_text(value) for value in found.to_pylist()], pa.string())


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def moments_of(texts: pa.Array) -> pa.Array:
    """`moment_of_rfc3339` of each text; when all are spelt as most are, Arrow reads them in a hundredth of the time."""
    if pc.all(pc.match_substring_regex(texts, _PLAIN)).as_py() is not False:
        try:
            return texts.cast(_TIME)
        except pa.ArrowInvalid:  # there is no such day
            pass
    return pa.array([moment_of_rfc3339(text or "") for text in texts.to_pylist()], _TIME)
