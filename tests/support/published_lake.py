"""A lake with published gold by hand: a few rows of each table, for tests of what readers get.

Belongs here: rows of gold and their publication. Silver and bronze are in `tests.support.small_lake`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lake.records import publications
from lake.records.publications import Publication
from lake.storage.delta import append
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_DAYS, DEVICE_HOURS, DEVICE_LATEST, DEVICE_MINUTES, SITE_DAYS
from runtime.settings import Settings
from tests.support.small_lake import NOW, THERMOSTAT, arrow_table

START = datetime(2026, 11, 18, tzinfo=UTC)
DEVICE, SITE = "thermostat-0001", "bergen"


def gold_row(table: Table, at: datetime, value: float, **changes: Any) -> dict[str, Any]:
    """A row of a gold table with one value in all places."""
    common = {
        "device_id": DEVICE, "metric_name": "temperature", "unit": "degc", "model_id": THERMOSTAT, "site_id": SITE,
        "minute_at": at, "hour_at": at, "day_date": at.date(), "event_at": at, "last_event_at": at,
        "event_date": at.date(), "event_hour": at.hour, "reading_count": 60, "value_mean": value, "device_count": 1,
        "value_min": value - 1, "value_max": value + 1, "value_last": value, "value_p50": value, "value_p95": value,
        "expected_count": 60, "received_count": 60, "late_count": 0, "clock_flagged_count": 0, "duplicate_count": 0,
        "rejected_count": 0, "missing_count": 0,
    }  # fmt: skip
    return {name: each for name, each in (common | changes).items() if name in table.column_names}


def publish_rows(
    settings: Settings, rows: Mapping[Table, Sequence[Mapping[str, Any]]], number: int = 1
) -> dict[str, int]:
    """Append rows to their tables and publish the tables' newest versions; returns them."""
    versions = {
        table.name: append(settings, table, arrow_table(table, map(dict, added)), {}) for table, added in rows.items()
    }
    publications.record(settings, Publication(number, NOW, versions, {}, (), (), (), "", "", {}, "1", "run"))
    return versions


def publish_three_days(home: Path) -> Settings:
    """A thermostat's two metrics over three days in a home, hours 5 and 6 of the first without readings."""
    settings = Settings(home=home, lake_uri=str(home / "lake"))
    publish_three_days_in(settings)
    return settings


def publish_three_days_in(settings: Settings) -> None:
    """The same in any lake."""
    hours = [hour for hour in range(72) if hour not in (5, 6)]
    metrics = (("temperature", "degc", 20.0), ("humidity", "pct", 40.0))

    def rows(table: Table, times: Sequence[timedelta]) -> list[dict[str, Any]]:
        return [
            gold_row(table, START + time, base + place % 24 / 4, metric_name=name, unit=unit)
            for name, unit, base in metrics
            for place, time in enumerate(times)
        ]

    by_hour = [timedelta(hours=hour) for hour in hours]
    by_day = [timedelta(days=day) for day in range(3)]
    everything = [timedelta(hours=hour) for hour in range(72)]
    missing = {5: 60, 6: 60}
    publish_rows(
        settings,
        {
            DEVICE_MINUTES: rows(DEVICE_MINUTES, [timedelta(minutes=minute) for minute in range(60)]),
            DEVICE_HOURS: rows(DEVICE_HOURS, by_hour),
            DEVICE_DAYS: rows(DEVICE_DAYS, by_day),
            SITE_DAYS: rows(SITE_DAYS, by_day),
            DEVICE_LATEST: rows(DEVICE_LATEST, by_hour[-1:]),
            DEVICE_COMPLETENESS: [
                gold_row(DEVICE_COMPLETENESS, START + time, 0.0, missing_count=missing.get(place, 0))
                for place, time in enumerate(everything)
            ],
        },
    )
