"""Helpers of tests that put messages into the landing zone.

Belongs here: sending single messages and reading tables back. The simulator is for many.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka import Message as Record
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.storage.delta import version_of
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from pipeline.run import Run
from pipeline.silver.tick import TickReport, tick
from runtime.kafka.clients import client_config
from runtime.settings import Settings
from wire.envelope import REGISTERED, Message, TelemetryEnvelope, lifecycle_message, rfc3339

THERMOSTAT = "dtmi:lakehouse:thermostat;1"


def send(bootstrap: str, messages: Iterable[Message]) -> None:
    """Send messages and wait until the broker has them all, in order."""
    producer = Producer(
        {
            **client_config(bootstrap),
            "enable.idempotence": True,
            "message.max.bytes": 8_000_000,
            "compression.type": "lz4",
            "log_level": 0,
        }
    )
    for message in messages:
        producer.produce(message.topic, message.value, message.key, headers=list(message.headers))
    assert producer.flush(120) == 0


def received(bootstrap: str, topic: str, count: int) -> list[Record]:
    """The first records of a topic, of all its partitions."""
    consumer = Consumer({**client_config(bootstrap), "group.id": "test", "auto.offset.reset": "earliest"})
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        return consumer.consume(count, 60)
    finally:
        consumer.close()


def registered(device: str, since: datetime, model: str = THERMOSTAT, site: str = "north", **more: Any) -> Message:
    """The registration of a device."""
    attributes = {"model_id": model, "site_id": site, **more}
    return lifecycle_message(device, f"registered-{device}-{rfc3339(since)}", REGISTERED, rfc3339(since), attributes)


def reading(device: str, message_id: str, moment: datetime | str, payload: bytes | float = 21.5) -> Message:
    """A reading; a number is a temperature."""
    time = moment if isinstance(moment, str) else rfc3339(moment)
    body = payload if isinstance(payload, bytes) else b'{"temperature":%s}' % str(payload).encode()
    return TelemetryEnvelope(device).message(message_id, time, body)


def run_tick(spark: SparkSession, settings: Settings, run_id: str = "test") -> TickReport:
    """One tick of everything that was sent."""
    assert settings.kafka_address is not None
    run = Run(settings, known_models(settings), run_id, datetime.now(UTC))
    return tick(lambda: spark, run, settings.kafka_address)


def rows(settings: Settings, table: str, sql: str = "SELECT * FROM t ORDER BY ALL") -> list[tuple[Any, ...]]:
    """What DuckDB reads of a table as it is now; `t` in the SQL is the table."""
    with connect(settings) as connection:
        version = version_of(settings, table)
        assert version is not None
        return connection.sql(f"WITH t AS (FROM {scan(table_uri(settings, table), version)}) {sql}").fetchall()
