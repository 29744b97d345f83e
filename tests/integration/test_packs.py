"""Packs on the whole line: structured events, batches, lists and SenML are readings, counted once and traceable."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.records import publications
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.proof.lineage import trace_message
from pipeline.proof.verification import verify
from pipeline.run import Run
from runtime.settings import Settings
from tests.support.landing import THERMOSTAT, reading, registered, rows, run_tick, send
from wire.envelope import CONTENT_TYPE, TELEMETRY_TOPIC, TIME, TYPE, Message, rfc3339, source_of, with_header

pytestmark = pytest.mark.every_engine

START = (datetime.now(UTC) - timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


def _at(minute: float) -> str:
    return rfc3339(START + timedelta(minutes=minute))


def _event(device: str, message_id: str, minute: int, value: str) -> str:
    return (
        f'{{"specversion":"1.0","type":"lakehouse.telemetry","source":"{source_of(device)}","id":"{message_id}",'
        f'"time":"{_at(minute)}","data":{{"temperature":{value}}}}}'
    )


def _record(device: str, kind: str, value: str) -> Message:
    return Message(TELEMETRY_TOPIC, device.encode(), [(CONTENT_TYPE, kind.encode())], value.encode())


def _packs() -> list[Message]:
    senml = f'[{{"bn":"urn:dev:s:","bt":{int(START.timestamp())},"n":"temperature","v":20.5}},' \
            '{"n":"temperature","t":3600,"v":21.5}]'  # fmt: skip
    return [
        _record("k", f"{STRUCTURED}; charset=utf-8", _event("k", "one", 0, "20")),
        # two messages of two hours, and one that is a repeat of another record
        _record("k", BATCH, f"[{_event('k', 'two', 10, '21')},{_event('k', 'three', 70, '22')},"
                            f"{_event('k', 'one', 0, '20')}]"),
        reading("k", "list", _at(20), b'[{"temperature":23},{"temperature":24}]'),
        reading("s", "senml", _at(0), senml.encode()),
    ]  # fmt: skip


def test_packs_are_readings_each_counted_once(spark: SparkSession, settings: Settings) -> None:
    """Every message of a pack is in one table, the pack is unpacked, the gate's sums meet, and a rebuild beside the
    lake comes to the same; a device that is registered later has its packs judged again."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, [registered("k", START), *_packs()])
    run_tick(spark, settings)
    expected = [
        ("k", "one", _at(0), 20.0, "telemetry#1"), ("k", "two", _at(10), 21.0, "telemetry#1"),
        ("k", "list#1", _at(20), 23.0, "telemetry#1"), ("k", "list#2", _at(20), 24.0, "telemetry#2"),
        ("k", "three", _at(70), 22.0, "telemetry#2"),
    ]  # fmt: skip
    columns = "device_id, message_id, measured_at, temperature_degc, topic"
    of_k = f"SELECT {columns} FROM t WHERE device_id = 'k' ORDER BY measured_at, message_id"
    found = [(*row[:2], rfc3339(row[2]), *row[3:]) for row in rows(settings, "silver.thermostats", of_k)]
    assert found == expected
    refused = "SELECT reason, count(*) FROM t GROUP BY ALL ORDER BY ALL"
    assert rows(settings, "silver.rejected", refused) == [
        ("duplicate", 1), ("unknown_device", 2), ("unpacked", 4),
    ]  # fmt: skip

    send(settings.kafka_bootstrap, [registered("s", START), *_packs()])
    run_tick(spark, settings)
    of_s = f"SELECT {columns} FROM t WHERE device_id = 's' ORDER BY measured_at, message_id"
    found = [(*row[:2], rfc3339(row[2]), row[3]) for row in rows(settings, "silver.thermostats", of_s)]
    assert found == [("s", "senml#1", _at(0), 20.5), ("s", "senml#2", _at(60), 21.5)]
    ((total,),) = rows(settings, "bronze.telemetry", "SELECT count(*) FROM t")
    in_silver = sum(
        rows(settings, name, "SELECT count(*) FROM t WHERE topic <> 'lifecycle'")[0][0]
        for name in ("silver.thermostats", "silver.rejected")
    )
    # eight records, and the messages in them
    assert total == in_silver == 2 * (4 + 1 + 3 + 2 + 2)

    models = known_models(settings)
    published = refresh_gold(Run(settings, models, "test", datetime.now(UTC)))
    newest = publications.newest(settings)
    assert published is not None
    assert newest is not None
    assert not newest.held
    verification = verify(spark, settings, models, newest, code_version="0+test")
    assert verification.is_same


def test_a_message_of_a_pack_is_traced(spark: SparkSession, settings: Settings) -> None:
    """By the place of its pack and its number; the pack says where its messages are."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, [registered("k", START), _packs()[1]])
    run_tick(spark, settings)
    models = known_models(settings)
    place = 'SELECT "partition", "offset" FROM t WHERE topic = \'telemetry\''
    ((partition, offset),) = rows(settings, "bronze.telemetry", place)
    part = trace_message(settings, models, "telemetry#2", partition, offset)
    assert (part.table, (part.row or {})["message_id"]) == ("silver.thermostats", "three")
    pack = trace_message(settings, models, "telemetry", partition, offset)
    assert pack.why_not == "rejected, unpacked: its messages stand under topic telemetry#1 and on"


def test_foreign_types_count_where_a_setting_says_so(spark: SparkSession, settings: Settings) -> None:
    """One by its name, and all that begin alike; others are refused as before."""
    bootstrap = settings.kafka_bootstrap
    assert bootstrap is not None
    settings = replace(settings, foreign_types="com.acme.reading,org.other.*")
    messages = [registered("k", START)]
    for minute, type_ in enumerate(("com.acme.reading", "org.other.x", "com.acme.reading.x", "com.acme")):
        message = with_header(reading("k", type_, _at(minute)), TYPE, type_.encode())
        messages.append(with_header(message, TIME, _at(minute).encode()))
    send(bootstrap, messages)
    run_tick(spark, settings)
    found = rows(settings, "silver.thermostats", "SELECT message_id FROM t ORDER BY ALL")
    assert found == [("com.acme.reading",), ("org.other.x",)]
    assert rows(settings, "silver.rejected", "SELECT reason, count(*) FROM t GROUP BY ALL") == [("bad_envelope", 2)]
    assert all(model == THERMOSTAT for (model,) in rows(settings, "silver.thermostats", "SELECT model_id FROM t"))
