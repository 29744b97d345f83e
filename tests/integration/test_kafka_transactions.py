"""Transactions of producers: only what was committed is a message, in every place that reads or counts Kafka."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from pyspark.sql import SparkSession

from ingestion.kafka_offsets import broker_offsets, count_records, open_transactions, settle
from ingestion.purge import purge
from ingestion.waiting import waiting_messages, waiting_records
from lake.models.catalog import known_models
from pipeline.lake_state import lake_status
from runtime.kafka.record_headers import headers_of
from runtime.settings import Settings
from tests.support.awaiting import awaited
from tests.support.landing import reading, registered, rows, run_tick, send

pytestmark = pytest.mark.every_reader

AT = datetime(2026, 11, 20, 5, tzinfo=UTC)
VALUES = "SELECT message_id, temperature_degc FROM t ORDER BY ALL"


@contextmanager
def transaction(settings: Settings, *, timeout_ms: int = 60_000) -> Iterator[Producer]:
    """A producer in a transaction that the block ends, or leaves open."""
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "transactional.id": str(uuid.uuid4()),
            "transaction.timeout.ms": timeout_ms,
            "log_level": 0,
        }
    )
    producer.init_transactions(120)
    producer.begin_transaction()
    yield producer


def _ended(settings: Settings, end: Callable[[float], object]) -> None:
    """End a transaction, and wait for its marker in partition 0, which follows the coordinator's answer."""
    before = _end_of(settings)
    end(120)
    awaited(lambda: _end_of(settings) > before, "the marker of the transaction's end")


def _end_of(settings: Settings) -> int:
    """Offset behind the last record of partition 0, stable or not."""
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": "ends", "log_level": 0,
                         "isolation.level": "read_uncommitted"})  # fmt: skip
    try:
        return int(consumer.get_watermark_offsets(TopicPartition("telemetry", 0), timeout=60)[1])
    finally:
        consumer.close()


def put(producer: Producer, message_id: str, value: float, minute: int = 0) -> None:
    """One reading of device d1 into partition 0, where the broker has it when this returns."""
    message = reading("d1", message_id, AT + timedelta(minutes=minute), value)
    producer.produce(message.topic, message.value, message.key, partition=0, headers=list(message.headers))
    assert producer.flush(120) == 0


def committed(settings: Settings, *values: tuple[str, float]) -> None:
    """A transaction with these readings that is committed."""
    with transaction(settings) as producer:
        for message_id, value in values:
            put(producer, message_id, value)
        _ended(settings, producer.commit_transaction)


def aborted(settings: Settings, *values: tuple[str, float]) -> None:
    """A transaction with these readings that is aborted."""
    with transaction(settings) as producer:
        for message_id, value in values:
            put(producer, message_id, value)
        _ended(settings, producer.abort_transaction)


def waiting(settings: Settings) -> int:
    """Records that wait, as `lakehouse status` counts them."""
    return sum(each.lag or 0 for each in lake_status(settings, known_models(settings)).partitions)


def test_aborted_records_are_no_readings(settings: Settings, spark: SparkSession) -> None:
    """An aborted value is nowhere, nor does it beat its committed correction under the same identity; ends of
    transactions count as nothing in what a tick, the status and a purge say."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, [registered("d1", AT)])
    committed(settings, ("a", 20))
    aborted(settings, ("b", 999), ("c", 999))
    committed(settings, ("b", 21))
    assert broker_offsets(settings.kafka_bootstrap, "telemetry")[0] == (0, 7)
    assert waiting(settings) == 3
    ids = [
        dict(headers_of(each) or [])["ce_id"]
        for each in waiting_records(settings, settings.kafka_bootstrap, "telemetry")
    ]
    assert ids == [b"a", b"b"]
    report = run_tick(spark, settings)
    assert report.ingested == {"telemetry": 2, "lifecycle": 1}
    assert report.rejected == {}
    assert rows(settings, "silver.thermostats", VALUES) == [("a", 20.0), ("b", 21.0)]
    assert waiting(settings) == 0
    assert waiting_messages(settings) == 0
    assert list(waiting_records(settings, settings.kafka_bootstrap, "telemetry")) == []
    assert purge(settings, settings.kafka_bootstrap).total == 3


def test_a_tick_of_nothing_but_aborted_records(settings: Settings, spark: SparkSession) -> None:
    """It brings no row and goes on behind them, so that they wait for nobody."""
    assert settings.kafka_bootstrap is not None
    aborted(settings, ("a", 1), ("b", 2))
    assert (waiting(settings), waiting_messages(settings)) == (0, 3)
    assert run_tick(spark, settings).ingested == {"telemetry": 0, "lifecycle": 0}
    assert waiting_messages(settings) == 0
    send(settings.kafka_bootstrap, [registered("d1", AT)])
    committed(settings, ("c", 3))
    assert run_tick(spark, settings).ingested == {"telemetry": 1, "lifecycle": 1}


def test_an_open_transaction_holds_back_what_follows(settings: Settings, spark: SparkSession) -> None:
    """A tick takes what is stable and does not hang; what follows is named as such, does not wait for a tick, and comes
    in the tick after the end of the transaction, in order."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, [registered("d1", AT)])
    committed(settings, ("a", 1))
    with transaction(settings, timeout_ms=600_000) as producer:
        put(producer, "b", 2)
        committed(settings, ("c", 3))
        assert open_transactions(settings.kafka_bootstrap, "telemetry") == {0: (2, 5)}
        said: list[str] = []
        assert settle(settings.kafka_bootstrap, "telemetry", 0, said.append) == [
            "left for a later tick: an open transaction in the topic telemetry (partition 0 from offset 2) and what "
            "follows it"
        ]
        assert run_tick(spark, settings).ingested == {"telemetry": 1, "lifecycle": 1}
        assert waiting_messages(settings) == 0
        [lag] = [each for each in lake_status(settings, {}).partitions if each.behind_open]
        assert (lag.topic, lag.partition, lag.high, lag.behind_open, lag.lag) == ("telemetry", 0, 2, 3, 0)
        ends = threading.Thread(target=producer.commit_transaction)

        def told(text: str) -> None:
            said.append(text)
            ends.start()

        assert settle(settings.kafka_bootstrap, "telemetry", 60, told) == []
        ends.join()
    assert said == ["waiting up to 60 s for an open transaction in the topic telemetry (partition 0 from offset 2)"]
    assert run_tick(spark, settings).ingested == {"telemetry": 2, "lifecycle": 0}
    assert rows(settings, "silver.thermostats", VALUES) == [("a", 1.0), ("b", 2.0), ("c", 3.0)]


def test_a_producer_that_died_in_its_transaction(settings: Settings, spark: SparkSession) -> None:
    """Kafka ends the transaction, which is waited for; its record is none."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, [registered("d1", AT)])
    committed(settings, ("b", 21))
    said: list[str] = []
    # the broker looks every 10 s for what is over
    with transaction(settings, timeout_ms=5000) as producer:
        put(producer, "a", 999)
    settle(settings.kafka_bootstrap, "telemetry", 60, said.append)
    assert len(said) == 1
    assert run_tick(spark, settings).ingested == {"telemetry": 1, "lifecycle": 1}
    assert rows(settings, "silver.thermostats", VALUES) == [("b", 21.0)]


def test_many_small_transactions(settings: Settings, spark: SparkSession) -> None:
    """Half of the offsets are ends of transactions: each record is there once, and is counted once."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, [registered("d1", AT)])
    with transaction(settings) as producer:
        for number in range(200):
            put(producer, f"m{number:03d}", number / 10)
            producer.commit_transaction(120)
            producer.begin_transaction()
        producer.abort_transaction(120)
    spans = {0: (0, 400)}
    assert count_records(settings.kafka_bootstrap, "telemetry", spans) == {0: 200}
    assert run_tick(spark, settings).ingested["telemetry"] == 200
    assert rows(settings, "silver.thermostats", "SELECT count(DISTINCT message_id), count(*) FROM t") == [(200, 200)]
