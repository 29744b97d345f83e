"""How a new version of a model changes silver, as docs/guide/messages.md says: one table, two versions at a time."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.models.store import add_models
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.run import Run
from runtime.settings import Settings
from tests.support.landing import registered, rows, run_tick, send
from wire.envelope import TelemetryEnvelope, rfc3339

pytestmark = pytest.mark.every_engine

START = (datetime.now(UTC) - timedelta(days=1)).replace(hour=5, minute=0, second=0, microsecond=0)
FIRST, SECOND = "dtmi:test:boiler;1", "dtmi:test:boiler;2"


def declare(settings: Settings, folder: Path, model_id: str, telemetry: list[dict[str, Any]]) -> None:
    contents = [{"@type": ["Telemetry", *each.pop("semantic", [])], **each} for each in telemetry]
    document = {"@context": "dtmi:dtdl:context;2", "@id": model_id, "@type": "Interface", "contents": contents}
    path = folder / f"{model_id[-1]}.json"
    path.write_text(json.dumps(document))
    quality = folder / "quality.json"
    quality.write_text('{"max_rejected_ratio": 1}')
    add_models(settings, [path], quality)


def heat(unit: str) -> dict[str, Any]:
    return {"semantic": ["Temperature"], "name": "heat", "schema": "double", "unit": unit}


def message(device: str, minute: int, payload: str) -> Any:
    moment = rfc3339(START + timedelta(minutes=minute))
    return TelemetryEnvelope(device).message(f"{device}-{minute}", moment, payload.encode())


def test_two_versions_of_a_model_at_the_same_time(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    """Added, dropped, renamed, widened and re-measured telemetry: a column each, history stays, what is sent of another
    version is kept aside or rejected, and gold keeps the units apart."""
    assert settings.kafka_bootstrap is not None
    first = [heat("degreeCelsius"), {"name": "cycles", "schema": "integer"}, {"name": "flow", "schema": "double"},
             {"name": "noise", "schema": "double"}]  # fmt: skip
    declare(settings, tmp_path, FIRST, first)
    send(settings.kafka_bootstrap, [
        registered("old", START, FIRST),
        message("old", 0, '{"heat":60.5,"cycles":7,"flow":1.5,"noise":3.5}'),
    ])  # fmt: skip
    run_tick(spark, settings)
    second = [heat("degreeFahrenheit"), {"name": "cycles", "schema": "double"},
              {"name": "throughput", "schema": "double"},
              {"name": "pressure", "schema": "double"}, {"name": "mode", "schema": "string"}]  # fmt: skip
    declare(settings, tmp_path, SECOND, second)
    send(settings.kafka_bootstrap, [
        registered("new", START, SECOND),
        message("new", 1, '{"heat":141.5,"cycles":7.5,"throughput":2.5,"pressure":1.25,"mode":"eco"}'),
        message("old", 1, '{"heat":61.5,"cycles":8,"flow":1.75,"noise":3.75}'),
        message("old", 2, '{"heat":62.5,"cycles":8.5}'),  # the first version still says integer
        message("new", 2, '{"heat":142.5,"noise":4.5}'),  # the second has dropped noise
    ])  # fmt: skip
    run_tick(spark, settings)

    columns = "heat_degc, heat_degf, cycles, flow, throughput, noise, pressure, mode"
    assert rows(settings, "silver.boilers", f"SELECT message_id, {columns} FROM t ORDER BY message_id") == [
        ("new-1", None, 141.5, 7.5, None, 2.5, None, 1.25, "eco"),
        ("new-2", None, 142.5, None, None, None, None, None, None),
        ("old-0", 60.5, None, 7.0, 1.5, None, 3.5, None, None),
        ("old-1", 61.5, None, 8.0, 1.75, None, 3.75, None, None),
    ]
    aside = "SELECT message_id, unknown_telemetry FROM t WHERE unknown_telemetry IS NOT NULL"
    assert rows(settings, "silver.boilers", aside) == [("new-2", {"noise": "4.5"})]
    assert rows(settings, "silver.rejected", "SELECT message_id, reason FROM t") == [("old-2", "wrong_type")]

    outcome = refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))
    assert outcome is not None
    assert outcome.publication is not None
    metrics = (
        "SELECT metric_name, unit, sum(reading_count)::INT FROM t WHERE metric_name IN ('heat', 'cycles') GROUP BY ALL"
    )
    assert rows(settings, "gold.device_hours", f"{metrics} ORDER BY ALL") == [
        ("cycles", "1", 3), ("heat", "degc", 2), ("heat", "degf", 2),
    ]  # fmt: skip
