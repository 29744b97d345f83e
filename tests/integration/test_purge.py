"""Purging the landing zone: what bronze has is gone from Kafka, what it has not stays, and the line goes on."""

from datetime import UTC, datetime

from pyspark.sql import SparkSession

from ingestion.kafka_offsets import broker_offsets
from ingestion.purge import purge
from runtime.settings import Settings
from tests.support.landing import reading, registered, run_tick, send

AT = datetime(2026, 11, 20, 5, tzinfo=UTC)


def held(settings: Settings) -> int:
    """Messages that the broker has of both topics."""
    assert settings.kafka_bootstrap is not None
    topics = [broker_offsets(settings.kafka_bootstrap, topic) for topic in ("telemetry", "lifecycle")]
    return sum(high - low for topic in topics for low, high in topic.values())


def test_only_what_bronze_has_is_deleted(settings: Settings, spark: SparkSession) -> None:
    """Three messages go, one that came later stays and is the only one that the next tick brings."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, [registered("d1", AT), reading("d1", "m1", AT), reading("d1", "m2", AT)])
    run_tick(spark, settings)
    send(settings.kafka_bootstrap, [reading("d1", "m3", AT)])
    assert held(settings) == 4
    assert purge(settings, settings.kafka_bootstrap).total == 3
    assert held(settings) == 1
    assert run_tick(spark, settings).ingested == {"telemetry": 1, "lifecycle": 0}
    assert purge(settings, settings.kafka_bootstrap).total == 1
    assert purge(settings, settings.kafka_bootstrap).total == 0
