"""Kafka records as Arrow, with the columns of bronze.

Belongs here: reading headers and keys as bronze has them, for the hot path and for small ticks. Spark does the same
for large ones in `spark_records`; a test holds both together. What a record means is judged in `transforms`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from lake.slices import HOUR_MICROS
from lake.sql_text import quoted_names
from lake.storage.delta import arrow_schema
from lake.tables.bronze import BRONZE_TELEMETRY
from runtime.errors import LandingZoneError
from runtime.kafka.record_headers import Headers, headers_of
from wire.envelope import ATTRIBUTES, CONTENT_TYPE, TIME
from wire.times import micros_of_rfc3339


class UnreadableHeaderError(LandingZoneError):
    """A header has a name that is not UTF-8: confluent-kafka cannot take it apart, Spark's client can."""


HEADERS = {name: name for name in ATTRIBUTES} | {CONTENT_TYPE: "content_type"}
"""Kafka header -> column."""
RECEIVED_US = "received_us"
"""The time in a record, in microseconds since 1970."""
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
        *((name, pa.string()) for name in HEADERS.values()),
        ("device_id", pa.string()),
        ("measured_at", _TIME),
    ]
)

FROM_RECORDS = f"""
    WITH with_hours AS (
        SELECT *, epoch_us(measured_at) // {HOUR_MICROS} AS measured_hour,
            epoch_us(received_at) // {HOUR_MICROS} AS received_hour,
            make_timestamp(epoch_us(received_at))::DATE AS received_date, NULL::TIMESTAMPTZ AS producer_at
        FROM kafka_records)
    SELECT {quoted_names(c.name for c in BRONZE_TELEMETRY.columns if c.name != "headers")} FROM with_hours"""
"""SQL for rows of bronze, without headers, from `kafka_records`, what `record_columns` made."""


def record_columns(messages: Sequence[Message], ingest_id: int = 0) -> pa.Table:
    """The records with what bronze has of them, but for columns that SQL adds (see FROM_RECORDS)."""
    return records_of(messages, ingest_id)[0]


def records_of(messages: Sequence[Message], ingest_id: int = 0) -> tuple[pa.Table, list[tuple[int, int]]]:
    """The same, and partition and offset of the records that are there without headers, since one of these has a name
    that is not UTF-8."""
    headers = [headers_of(message) for message in messages]
    odd = [place_of(message) for message, found in zip(messages, headers, strict=True) if found is None]
    return _columns(messages, [found or [] for found in headers], ingest_id), odd


def _columns(messages: Sequence[Message], found_headers: Sequence[Headers], ingest_id: int) -> pa.Table:
    headers = [dict(each) for each in found_headers]  # of headers with one name the last
    milliseconds = pa.array([message.timestamp()[1] for message in messages], pa.int64())
    said = {
        "topic": [message.topic() for message in messages],
        "partition": [message.partition() for message in messages],
        "offset": [message.offset() for message in messages],
        RECEIVED_US: pc.multiply(milliseconds, 1000),
        "key": [message.key() for message in messages],
        "value": [message.value() for message in messages],
        **{column: [found.get(header) for found in headers] for header, column in HEADERS.items()},
    }
    return columns_of(said, ingest_id)


def columns_of(said: Mapping[str, Any], ingest_id: int = 0) -> pa.Table:
    """The same of records that are given as columns: their place, RECEIVED_US, key, value and HEADERS as bytes."""
    keys = pa.array(said["key"], pa.binary())
    texts = {column: texts_of(said[column]) for column in HEADERS.values()}
    columns = {
        **{name: said[name] for name in ("topic", "partition", "offset", "value")},
        "ingest_id": [ingest_id] * len(keys),
        "received_at": pa.array(said[RECEIVED_US], pa.int64()).cast(_TIME),
        "key": keys,
        **texts,
        "device_id": texts_of(keys),
        "measured_at": moments_of(texts[HEADERS[TIME]]),
    }
    return pa.table(columns, _SCHEMA)


def bronze_batch(messages: Sequence[Message], ingest_id: int, read_at: datetime) -> pa.RecordBatch:
    """The records with the columns of bronze, nothing refused; `read_at` is the present.

    `received_at` is a clock that no producer can set: the broker's, where the topic has that (LogAppendTime), else that
    of who read the record. What a producer has set is kept beside it.
    """
    headers = [headers_of(message) for message in messages]
    readable = [each for each in headers if each is not None]
    if len(readable) < len(headers):
        raise UnreadableHeaderError("A header of a record has a name that is not UTF-8.")
    columns = _columns(messages, readable, ingest_id)
    stamped = columns["received_at"].combine_chunks()
    is_producers = pa.array([message.timestamp()[0] == TIMESTAMP_CREATE_TIME for message in messages], pa.bool_())
    received = pc.if_else(is_producers, pa.scalar(read_at, _TIME), stamped)
    schema = arrow_schema(BRONZE_TELEMETRY)
    found = {name: columns[name].combine_chunks() for name in columns.column_names} | {
        "received_at": received,
        "producer_at": pc.if_else(is_producers, stamped, None),
        "received_date": received.cast(pa.date32()),
        "headers": pa.array(_other_headers(readable, columns), schema.field("headers").type),
        "measured_hour": _hours(columns["measured_at"].combine_chunks()),
        "received_hour": _hours(received),
    }
    arrays = [found[field.name].cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _other_headers(every: Sequence[Headers], columns: pa.Table) -> list[Headers | None]:
    """The headers that the columns do not hold whole; null for an ordinary message."""
    texts = {header: columns[column].to_pylist() for header, column in HEADERS.items()}
    others: list[Headers | None] = []
    for place, headers in enumerate(every):
        held = {header: found[place] for header, found in texts.items()}
        if len(headers) <= sum(text is not None for text in held.values()):
            others.append(None)
        elif len({name for name, _ in headers}) < len(headers):
            others.append(headers)
        else:
            others.append([
                (name, value) for name, value in headers
                if name not in held or value != (None if held[name] is None else held[name].encode())
            ])  # fmt: skip
    return others


def _hours(moments: pa.Array) -> pa.Array:
    """Whole hours since 1970, also of the years before."""
    return pc.divide(pc.floor_temporal(moments, unit="hour").cast(pa.int64()), HOUR_MICROS)


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
    """`micros_of_rfc3339` of each text; when all are spelt as most are, Arrow reads them in a hundredth of the time."""
    if pc.all(pc.match_substring_regex(texts, _PLAIN)).as_py() is not False:
        try:
            return texts.cast(_TIME)
        except pa.ArrowInvalid:  # there is no such day
            pass
    return pa.array([micros_of_rfc3339(text or "") for text in texts.to_pylist()], pa.int64()).cast(_TIME)
