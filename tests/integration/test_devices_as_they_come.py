"""Devices as people have them: ids of any spelling, two models in one device, producers of any kind."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.run import Run
from runtime.settings import Settings
from tests.support.landing import THERMOSTAT, reading, registered, rows, run_tick, send
from wire.envelope import UPDATED, TelemetryEnvelope, lifecycle_message, rfc3339

pytestmark = pytest.mark.every_engine

AT = datetime(2026, 11, 20, tzinfo=UTC)
IDS = (
    "pump-1", "Pump-1", "pump 1", " pump-1", "pump-1 ", "pump-1\u200b", "pump/1", "../../etc", "%2F", "pump\\1",
    "pump:1", "pump;1", "Pumpe-Süd", "\u00e9", "e\u0301", "泵-1", "o'brien\"x", "null", "0012", "12", "-1", "a" * 300,
)  # fmt: skip
RAIN = "dtmi:example:rain;1"


def test_every_spelling_is_a_device_of_its_own(settings: Settings, spark: SparkSession) -> None:
    """Case, spaces, slashes, quotes, scripts, 300 characters: as many devices in the registry and in gold as ids."""
    assert settings.kafka_bootstrap is not None
    messages = [registered(device, AT) for device in IDS]
    messages += [reading(device, "m", AT + timedelta(hours=1), float(number)) for number, device in enumerate(IDS)]
    send(settings.kafka_bootstrap, messages)
    assert run_tick(spark, settings).rejected == {}
    outcome = refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))
    assert outcome is not None
    assert outcome.held == []
    found = rows(settings, "gold.device_hours", "SELECT device_id, value_last FROM t WHERE metric_name = 'temperature'")
    assert dict(found) == {device: float(number) for number, device in enumerate(IDS)}
    assert sorted(rows(settings, "gold.devices", "SELECT device_id FROM t")) == sorted((device,) for device in IDS)


def test_two_models_in_one_device(settings: Settings, spark: SparkSession) -> None:
    """Messages that name their model are of it, also before the registry knew it and after it named the other one."""
    assert settings.kafka_bootstrap is not None
    settings.models_folder.mkdir(parents=True)
    interface = {"@context": "dtmi:dtdl:context;3", "@id": RAIN, "@type": "Interface", "displayName": "Rain",
                 "contents": [{"@type": "Telemetry", "name": "rainfall", "schema": "double"}]}  # fmt: skip
    (settings.models_folder / "rain.json").write_text(json.dumps(interface))
    station, rain = TelemetryEnvelope("c08", dataschema=THERMOSTAT), TelemetryEnvelope("c08", dataschema=RAIN)
    later = AT + timedelta(hours=3, minutes=5)
    send(
        settings.kafka_bootstrap,
        [
            registered("c08", AT + timedelta(hours=1)),
            lifecycle_message("c08", "other", UPDATED, rfc3339(later), {"model_id": RAIN}),
            *(
                station.message(f"t{hour}", rfc3339(AT + timedelta(hours=hour)), b'{"temperature":%d}' % hour)
                for hour in range(1, 6)
            ),
            *(
                rain.message(f"r{hour}", rfc3339(later + timedelta(hours=hour)), b'{"rainfall":%d}' % hour)
                for hour in range(5)
            ),
        ],
    )
    assert run_tick(spark, settings).rejected == {}
    outcome = refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))
    assert outcome is not None
    assert outcome.held == []
    sql = "SELECT metric_name, sum(reading_count)::INT, max(value_max) FROM t GROUP BY ALL ORDER BY ALL"
    assert rows(settings, "gold.device_hours", sql) == [("rainfall", 5, 4.0), ("temperature", 5, 5.0)]


def test_records_that_producers_may_write(settings: Settings, spark: SparkSession) -> None:
    """A tombstone and 3 MB are refused with their reason, a record compressed by zstd is read, and of a repeated header
    the last holds."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, [registered("k5", AT)])
    producer = Producer(
        {"bootstrap.servers": settings.kafka_bootstrap, "compression.type": "zstd", "message.max.bytes": 10_000_000}
    )
    good = reading("k5", "good", AT + timedelta(minutes=1))
    twice = reading("k5", "first", AT + timedelta(minutes=2))
    twice.headers.append(("ce_id", b"last"))
    tombstone = reading("k5", "tombstone", AT + timedelta(minutes=3))
    large = reading("k5", "large", AT + timedelta(minutes=4), b'{"temperature":20,"note":"%s"}' % (b"x" * 3_000_000))
    for message, value in ((good, good.value), (twice, twice.value), (tombstone, None), (large, large.value)):
        producer.produce(message.topic, value, message.key, headers=list(message.headers))
    assert producer.flush(120) == 0
    assert run_tick(spark, settings).ingested["telemetry"] == 4
    assert rows(settings, "silver.thermostats", "SELECT message_id FROM t ORDER BY 1") == [("good",), ("last",)]
    refused = rows(settings, "silver.rejected", "SELECT message_id, reason FROM t ORDER BY 1")
    assert refused == [("large", "too_large"), ("tombstone", "not_json")]
