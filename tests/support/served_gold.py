"""A home with published gold of two sites, and a real server over it.

Belongs here: gold by hand and starting `python -m serving`. What is asked of it belongs in tests.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lake.records import publications
from lake.records.publications import Publication
from lake.records.verdicts import Failure, Verdict, held_entry
from lake.storage.delta import append
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_HOURS, DEVICE_LATEST, DEVICES, SITE_DAYS
from runtime.ports import free_port, is_port_open
from runtime.settings import Settings, inherited_environment
from serving.snapshots import Snapshot
from tests.support.awaiting import awaited
from tests.support.small_lake import arrow_table

START = datetime(2026, 11, 18, tzinfo=UTC)
HELD = "2026-11-18T05"
DEVICE_SITES = {"d1": "north", "d2": "north", "d3": "south"}
_NUMBERS = ("expected_count", "received_count", "late_count", "clock_flagged_count", "duplicate_count",
            "rejected_count", "missing_count")  # fmt: skip


def row(table: Table, device: str, at: datetime, value: float) -> dict[str, Any]:
    """A row of a gold table with one value in all places."""
    common = {
        "device_id": device, "metric_name": "temperature", "unit": "degc", "site_id": DEVICE_SITES[device],
        "model_id": "dtmi:lakehouse:thermostat;1", "minute_at": at, "hour_at": at, "day_date": at.date(),
        "event_at": at, "last_event_at": at, "event_date": at.date(), "event_hour": at.hour, "reading_count": 60,
        "value_mean": value,
        "value_min": value - 1, "value_max": value + 1, "value_last": value, "value_p50": value, "value_p95": value,
        "zone": "UTC", "starts_at": at, "hours_in_day": 24.0,
        "device_count": 1, "status": "in_service", "in_service_at": START, "valid_from": START,
        "reporting_interval_s": 60, **dict.fromkeys(_NUMBERS, 60),
    }  # fmt: skip
    return {name: each for name, each in common.items() if name in table.column_names}


def rows_of(hours: int, value: float) -> dict[Table, list[dict[str, Any]]]:
    """Rows of every table that the server asks, for some hours of each device."""
    spans = [(device, START + timedelta(hours=hour)) for device in DEVICE_SITES for hour in range(hours)]
    sites = {site: device for device, site in DEVICE_SITES.items()}.values()
    return {
        DEVICE_HOURS: [row(DEVICE_HOURS, device, at, value) for device, at in spans],
        DEVICE_COMPLETENESS: [row(DEVICE_COMPLETENESS, device, at, value) for device, at in spans],
        DEVICE_LATEST: [row(DEVICE_LATEST, device, START, value) for device in DEVICE_SITES],
        DEVICES: [row(DEVICES, device, START, value) for device in DEVICE_SITES],
        SITE_DAYS: [row(SITE_DAYS, device, START, value) for device in sites],
    }


def publish(settings: Settings, number: int, rows: dict[Table, list[dict[str, Any]]]) -> None:
    """Append the rows and pin what the tables are then, others as they were pinned before."""
    before = publications.newest(settings)
    tables = {} if before is None else dict(before.tables)
    tables |= {table.name: append(settings, table, arrow_table(table, each), {}) for table, each in rows.items()}
    failure = Failure("counts_are_plausible", "reading_count", 3, 60, "too few")
    held = (held_entry(Verdict("gold.device_hours", HELD, "{}", False, (failure,), 3, "digest", "run", START)),)
    at = START + timedelta(days=number)
    publications.record(
        settings, Publication(number, at, tables, {}, (), held, (), "2026-11-18T00", "2026-11-18T09", {}, "1", "run")
    )


@contextmanager
def served(home: Path, more: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a server over the home, until the block ends."""
    port = free_port()
    environment = inherited_environment({"LAKEHOUSE_HOME": str(home), **(more or {})})
    process = subprocess.Popen([sys.executable, "-m", "serving", str(port)], env=environment)
    try:
        awaited(lambda: is_port_open("127.0.0.1", port) or process.poll() is not None, "the server")
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(120)


@contextmanager
def newest_snapshot(settings: Settings) -> Iterator[Snapshot]:
    """The newest publication as the server has it, until the block ends."""
    publication = publications.newest(settings)
    assert publication is not None
    snapshot = Snapshot(settings, publication)
    try:
        yield snapshot
    finally:
        snapshot.close()
