"""An hour with impossible readings: held with a reason, its neighbours published, then released or mended."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lake.models.catalog import BUILT_IN_MODELS
from runtime.settings import Settings
from tests.end_to_end.lakehouse import lakehouse, query
from tests.support.landing import reading, registered, send

START = (datetime.now(UTC) - timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)
BAD_HOUR = f"{START + timedelta(hours=1):%Y-%m-%dT%H}"
HOURS = """
    SELECT strftime(hour_at, '%Y-%m-%dT%H') AS hour, sum(reading_count)::INT AS n
    FROM gold.device_hours GROUP BY ALL ORDER BY hour
"""


def send_three_hours(bootstrap: str, seed: str, impossible: int) -> None:
    """Three hours of one thermostat, a reading a minute; `impossible` of the second hour are at 999 degrees."""
    messages = [registered("t-1", START)]
    for minute in range(180):
        value = 999.0 if 60 <= minute < 60 + impossible else 20.0 + minute / 100
        messages.append(reading("t-1", f"{seed}-{minute}", START + timedelta(minutes=minute), value))
    send(bootstrap, messages)


def published(settings: Settings) -> dict[str, int]:
    return {row["hour"]: row["n"] for row in query(settings, HOURS)}


def test_a_bad_hour_is_held_and_a_release_publishes_it(settings: Settings) -> None:
    """A third of impossible readings holds the hour; `release` publishes it and says who, when and why."""
    assert settings.kafka_bootstrap is not None
    send_three_hours(settings.kafka_bootstrap, "a", impossible=20)
    refused = lakehouse(settings, "refresh", exit_codes=[3])
    assert BAD_HOUR in refused.output

    first, _, third = sorted({*published(settings), BAD_HOUR})
    assert published(settings) == {first: 60, third: 60}
    status = json.loads(lakehouse(settings, "status", "--json").output)
    (held,) = {entry["slice"] for entry in status["held"]}
    assert held == BAD_HOUR
    assert "out_of_range" in json.dumps(status["held"])
    assert query(settings, "SELECT count(*) AS n FROM gold.device_days") == [{"n": 0}]

    lakehouse(settings, "release", BAD_HOUR, "--why", "sensor was being replaced", "--by", "ada")
    assert published(settings) == {first: 60, BAD_HOUR: 40, third: 60}
    assert query(
        settings, "SELECT sum(reading_count)::INT AS n FROM gold.device_days WHERE metric_name = 'temperature'"
    ) == [{"n": 160}]
    status = json.loads(lakehouse(settings, "status", "--json").output)
    assert status["held"] == []
    assert "sensor was being replaced" in json.dumps(status["publication"]["releases"])
    noted = lakehouse(settings, "sql", HOURS)
    assert "ada" in noted.errors
    assert "sensor was being replaced" in noted.errors


def test_a_bad_hour_is_published_once_its_limit_is_mended(settings: Settings, tmp_path: Path) -> None:
    """Declaring that the readings are possible, and judging the hour anew, publishes it with all of them."""
    assert settings.kafka_bootstrap is not None
    send_three_hours(settings.kafka_bootstrap, "b", impossible=20)
    lakehouse(settings, "refresh", exit_codes=[3])
    quality = json.loads((BUILT_IN_MODELS / "thermostat.quality.json").read_text())
    quality["ranges"]["temperature"] = [-40, 1000]
    mended = tmp_path / "thermostat.quality.json"
    mended.write_text(json.dumps(quality))
    lakehouse(settings, "models", "add", str(BUILT_IN_MODELS / "thermostat.json"), "--quality", str(mended))
    lakehouse(settings, "backfill", "--from", BAD_HOUR, "--to", BAD_HOUR)
    assert published(settings)[BAD_HOUR] == 60


def test_a_backfill_gives_the_same_rows(settings: Settings) -> None:
    """Every gold table has the same rows after a backfill of its day as before, at a new publication."""
    assert settings.kafka_bootstrap is not None
    send_three_hours(settings.kafka_bootstrap, "c", impossible=1)
    lakehouse(settings, "refresh")
    tables = [
        "device_minutes",
        "device_hours",
        "device_days",
        "site_days",
        "device_completeness",
        "device_latest",
        "devices",
    ]
    before = {table: query(settings, f"SELECT * FROM gold.{table} ORDER BY ALL") for table in tables}
    assert all(before.values())
    lakehouse(settings, "backfill", "--from", f"{START:%Y-%m-%d}", "--to", f"{START:%Y-%m-%d}")
    assert {table: query(settings, f"SELECT * FROM gold.{table} ORDER BY ALL") for table in tables} == before
    status = json.loads(lakehouse(settings, "status", "--json").output)
    assert status["publication"]["publication_id"] == 2
