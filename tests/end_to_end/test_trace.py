"""`lakehouse trace`: a message's rows and a row's messages are each other's mirror."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lake.models.catalog import known_models
from lake.tables.gold import GOLD_TABLES
from pipeline.proof.lineage import MessageTrace, trace_message, trace_row
from runtime.errors import UsageError
from runtime.settings import Settings
from tests.end_to_end.lakehouse import lakehouse, query
from tests.support.landing import reading, registered, send

START = (datetime.now(UTC) - timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)
Place = tuple[str, int, int]


def places(settings: Settings, where: str) -> list[Place]:
    """Topic, partition and offset of records in bronze."""
    sql = f'SELECT topic, "partition", "offset" FROM bronze.telemetry WHERE {where} ORDER BY ALL'
    return [(row["topic"], row["partition"], row["offset"]) for row in query(settings, sql)]


def up(settings: Settings, place: Place) -> MessageTrace:
    return trace_message(settings, known_models(settings), *place)


def key_of(table: str, row: dict[str, Any]) -> dict[str, str]:
    """The row's key as a person types it."""
    (declared,) = [each for each in GOLD_TABLES if each.name == table]
    return {name: row[name].isoformat() if hasattr(row[name], "isoformat") else str(row[name]) for name in declared.key}


def test_messages_and_figures_lead_to_each_other(settings: Settings) -> None:
    """Up to every row that a message counts in and down again; else the reason why it counts in none."""
    assert settings.kafka_bootstrap is not None
    messages = [registered("t-1", START), registered("t-2", START, site="south")]
    for minute in range(120):
        # the second hour of both is held: a third of it is impossible
        value = 999.0 if 60 <= minute < 80 else 20.0 + minute / 100
        messages += [reading(device, f"{device}-{minute}", START + timedelta(minutes=minute), value)
                     for device in ("t-1", "t-2")]  # fmt: skip
    repeated = reading("t-1", "t-1-5", START + timedelta(minutes=5), 20.05)
    send(settings.kafka_bootstrap, [*messages, repeated, reading("t-1", "broken", START, b"{")])
    lakehouse(settings, "refresh", exit_codes=[3])

    first, second = places(settings, "ce_id = 't-1-5'")
    followed = up(settings, first)
    assert followed.table == "silver.thermostats"
    assert {table for table, _ in followed.gold} == {
        "gold.device_minutes", "gold.device_hours", "gold.device_completeness", "gold.gauge_hours"
    }  # fmt: skip
    assert "held hour" in (followed.why_not or "")  # days wait for the held hour
    for table, row in followed.gold:
        traced = trace_row(settings, known_models(settings), table, key_of(table, row))
        assert first in {(each["topic"], each["partition"], each["offset"]) for each in traced.readings}
        assert len(traced.readings) == row.get("reading_count", row.get("received_count"))
        assert all(verdict["is_passing"] for verdict in traced.verdicts)
        assert {verdict["table_name"] for verdict in traced.verdicts} >= {table, "silver.thermostats"}

    assert up(settings, second).why_not == f"rejected, duplicate: repeats {':'.join(map(str, first))}"
    (broken,) = places(settings, "ce_id = 'broken'")
    assert "rejected, not_json" in (up(settings, broken).why_not or "")
    (held,) = places(settings, "ce_id = 't-2-90'")
    assert "is held" in (up(settings, held).why_not or "")

    send(settings.kafka_bootstrap, [reading("t-2", "late", START + timedelta(minutes=7, seconds=30), 25.0)])
    lakehouse(settings, "ingest")
    (late,) = places(settings, "ce_id = 'late'")
    assert "is stale" in (up(settings, late).why_not or "")
    lakehouse(settings, "release", f"{START + timedelta(hours=1):%Y-%m-%dT%H}", "--why", "seen")
    lakehouse(settings, "refresh")
    followed = up(settings, late)
    assert followed.why_not is None
    tables, views = followed.gold[:7], dict(followed.gold[7:])  # all but the latest value, which is a later one
    assert list(views) == ["gold.site_weeks", "gold.site_months"]
    for table, row in tables:
        traced = trace_row(settings, known_models(settings), table, key_of(table, row))
        assert late in {(each["topic"], each["partition"], each["offset"]) for each in traced.readings}
        assert len(traced.readings) == row.get("reading_count", row.get("received_count"))

    week = views["gold.site_weeks"]
    key = [f"{name}={week[name]}" for name in ("site_id", "metric_name", "unit", "week_date")]
    assert "Made of 1 day of gold.site_days" in lakehouse(settings, "trace", "site_weeks", *key).output
    of_device = trace_row(settings, known_models(settings), "gold.devices", {"device_id": "t-2"})
    (registration,) = of_device.registry
    assert [each["event_at"] for each in of_device.readings] == [of_device.row["last_event_at"]]
    assert {verdict["table_name"] for verdict in of_device.verdicts} >= {"gold.devices", "silver.devices"}
    place = (registration["topic"], registration["partition"], registration["offset"])
    assert up(settings, place).gold == (("gold.devices", of_device.row),)

    shown = lakehouse(settings, "trace", "--message", ":".join(map(str, late)))
    assert "It counts in 9 rows of gold" in shown.output
    key = [f"{name}={value}" for name, value in key_of(*followed.gold[1]).items()]
    answer = json.loads(lakehouse(settings, "trace", followed.gold[1][0], *key, "--json").output)
    assert len(answer["readings"]) == followed.gold[1][1]["reading_count"]
    with pytest.raises(UsageError, match="bronze has no telemetry:0:99999"):
        up(settings, ("telemetry", 0, 99999))
    with pytest.raises(UsageError, match="name one, by"):
        trace_row(settings, known_models(settings), "gold.device_hours", {"device_id": "t-1"})
    with pytest.raises(UsageError, match="has no row"):
        trace_row(settings, known_models(settings), "gold.device_hours", {"device_id": "t-9"})
    with pytest.raises(UsageError, match="no column"):
        trace_row(settings, known_models(settings), "gold.device_hours", {"devise_id": "t-1"})
