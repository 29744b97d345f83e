"""Kafka's records read by this process: a bounded range of offsets, a batch at a time, in one commit to bronze.

Belongs here: reading without Spark, which small ticks do since a Spark job costs more than their records do. What a
record's columns are is `kafka_records`; which range is read is decided in `bronze_ingest`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from ingestion.kafka_offsets import COMMITTED_ONLY
from ingestion.kafka_records import UnreadableHeaderError, bronze_batch, place_of
from ingestion.offset_ranges import OffsetRange
from lake.storage.applications import App
from lake.storage.delta import append_transaction, arrow_schema
from lake.tables.contracts import Table
from runtime.errors import LakehouseError, LandingZoneError, PlatformError, StepError
from runtime.kafka.clients import client_config
from runtime.settings import Settings

_PATIENCE_S = 90.0
_AT_ONCE = 500
_BATCH_RECORDS = 20_000
_BATCH_BYTES = 16_000_000


def append_records(
    settings: Settings, table: Table, bootstrap: str, offsets: OffsetRange, read_at: datetime,
    metadata: Mapping[str, Any],
) -> bool:  # fmt: skip
    """Append the committed records of a range in one commit, unless it is there. The caller holds the lease.

    Memory holds a batch of 16 MB and what the client reads ahead. False, with nothing written, where a header has a
    name that is not UTF-8, which this client cannot take apart. Raises PlatformError, LandingZoneError, StepError.
    """
    failure: list[LakehouseError] = []

    def rows() -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(arrow_schema(table), batches())

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for messages in read_records(bootstrap, offsets):
                yield bronze_batch(messages, offsets.ingest_id, read_at)
        except LakehouseError as error:
            failure.append(error)
            raise

    try:
        append_transaction(settings, table, rows, (App.INGEST, offsets.ingest_id), metadata)
    except StepError as error:
        if not failure:
            raise
        if isinstance(failure[-1], UnreadableHeaderError):
            return False
        raise failure[-1] from error  # what the writer makes of it hides why
    return True


def read_records(bootstrap: str, offsets: OffsetRange) -> Iterator[list[Message]]:
    """Lists of committed records, each partition's in order."""
    left = {p: end for p, end in offsets.end.items() if offsets.start[p] < end}
    consumer = Consumer(
        {
            **client_config(bootstrap),
            "group.id": "lakehouse-ingest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": COMMITTED_ONLY,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )
    try:
        consumer.assign([TopicPartition(offsets.topic, p, offsets.start[p]) for p in left])
        records: list[Message] = []
        size, reading = 0, set(left)
        while left:
            first = _next(consumer, offsets.topic)
            # what is there already: given a time, it would wait for as many records
            for message in (first, *consumer.consume(_AT_ONCE, 0)):
                if _is_in(message, offsets, left):
                    records.append(message)
                    size += len(message.value() or b"")
            if ended := reading - left.keys():
                # or who sends to these would keep us from seeing that another one is silent
                consumer.pause([TopicPartition(offsets.topic, p) for p in ended])
                reading -= ended
            if records and (len(records) >= _BATCH_RECORDS or size >= _BATCH_BYTES or not left):
                yield records
                records, size = [], 0
    finally:
        consumer.close()


def _next(consumer: Consumer, topic: str) -> Message:
    """What comes next; a broker that starts again or stands still is waited for."""
    found = consumer.poll(_PATIENCE_S)
    if found is None:
        raise PlatformError(f"Kafka showed no record of {topic} for {_PATIENCE_S:.0f} s. Is the broker running?")
    return found


def _is_in(message: Message, offsets: OffsetRange, left: dict[int, int]) -> bool:
    """Whether a message is a record of the range; partitions that are read to their end are taken out of `left`.

    The end may be that of a transaction, which is no record: then the end of what is stable tells, or a later record.
    """
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise _refused(offsets.topic, message, error)
    partition, offset = place_of(message)
    end = left.get(partition)
    if end is None:
        return False
    is_record = error is None and offset < end
    if offset >= end - is_record:
        del left[partition]
    return is_record


def _refused(topic: str, message: Message, error: KafkaError) -> LakehouseError:
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        return LandingZoneError(
            f"Kafka topic {topic}, partition {message.partition()}: records that bronze needs are gone from the broker "
            f"while they were read ({error.str()}). Run `lakehouse ingest` again: it says which."
        )
    return PlatformError(f"Kafka refuses to be read: {error.str()}.")
