"""Devices as people have them: ids of any spelling, two models in one device, producers of any kind."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lakehouse.cli.commands.replay import replay
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.run import Run
from runtime.errors import InputError
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


def declare_rain(settings: Settings) -> None:
    """A model of rain gauges, beside the built-in ones."""
    settings.models_folder.mkdir(parents=True)
    interface = {"@context": "dtmi:dtdl:context;3", "@id": RAIN, "@type": "Interface", "displayName": "Rain",
                 "contents": [{"@type": "Telemetry", "name": "rainfall", "schema": "double"}]}  # fmt: skip
    (settings.models_folder / "rain.json").write_text(json.dumps(interface))


def replayed(folder: Path, device: str, model: str, text: str) -> None:
    """A file of that text, by the command."""
    path = folder / "recording.csv"
    path.write_text(text)
    done = CliRunner().invoke(replay, [str(path), "--model", model, "--device", device], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_two_models_in_one_device(
    settings: Settings, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that name their model are of it, also before the registry knew it and after it named the other one, and
    so are the files of a device that are replayed as two models; a file that has a row in eleven days comes to as many
    hours, and to silences between them."""
    assert settings.kafka_bootstrap is not None
    for name, value in settings.child_environment().items():
        monkeypatch.setenv(name, value)
    declare_rain(settings)
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
    temperatures = [f"2025-01-14T0{hour}:00:00Z,{hour}" for hour in range(1, 6)]
    replayed(tmp_path, "c18", THERMOSTAT, "\n".join(["timestamp,temperature", *temperatures]))
    rainfalls = [f"2025-01-14T0{hour}:05:00Z,{hour}" for hour in range(3, 8)]
    replayed(tmp_path, "c18", RAIN, "\n".join(["timestamp,rainfall", *rainfalls]))
    days = [datetime(2023, 1, 1, 12, tzinfo=UTC) + n * timedelta(days=11) for n in range(30)]
    seldom = [f"{day:%Y-%m-%dT%H:%M:%SZ},{n - 20}" for n, day in enumerate(days)]
    replayed(tmp_path, "c23", THERMOSTAT, "\n".join(["timestamp,temperature", *seldom]))

    assert run_tick(spark, settings).rejected == {}
    # an export with one column more is another message a row, and would bring the temperatures again
    with pytest.raises(InputError, match=r"first temperature of c18 at 2025-01-14T05:00:00.000Z.*would count twice"):
        replayed(tmp_path, "c18", THERMOSTAT, "timestamp,temperature,humidity\n2025-01-14T05:00:00Z,5,40\n")
    outcome = refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))
    assert outcome is not None
    assert outcome.held == []
    sql = """SELECT device_id, metric_name, sum(reading_count)::INT, max(value_max) FROM t
        WHERE device_id <> 'c23' GROUP BY ALL ORDER BY ALL"""
    both = [("rainfall", 5, 4.0), ("temperature", 5, 5.0), ("rainfall", 5, 7.0), ("temperature", 5, 5.0)]
    found = rows(settings, "gold.device_hours", sql)
    assert found == [(device, *each) for device, each in zip(("c08", "c08", "c18", "c18"), both, strict=True)]
    of_seldom = "SELECT hour_at, reading_count, value_mean FROM t WHERE device_id = 'c23' ORDER BY 1"
    assert rows(settings, "gold.device_hours", of_seldom) == [(day, 1, n - 20.0) for n, day in enumerate(days)]


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
