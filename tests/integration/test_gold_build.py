"""Gold candidates on real Delta tables, dbt and DuckDB: every figure against one computed by hand."""

import math
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from deltalake import DeltaTable, write_deltalake

from lake.column_types import duckdb_type
from lake.models.catalog import BUILT_IN_MODELS, load_models, silver_tables
from lake.project_files import DBT_FOLDER, PROJECT_FOLDER
from lake.reading.silent_hours import with_silent_hours
from lake.slices import slice_of, slices_between, slices_of_day
from lake.storage.duckdb_connection import connect
from lake.storage.locations import candidate_path, table_uri
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_HOURS, DEVICE_LATEST, GOLD_TABLES
from lake.tables.gold_kinds import STATE_HOURS
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED
from pipeline.gold import absent_kinds, dbt_process
from pipeline.gold.dbt_process import dbt_environment
from pipeline.gold.plan import GoldPlan, build_candidates, write_plan
from runtime.errors import StepError
from runtime.settings import Settings, inherited_environment
from tests.support.small_lake import Row, arrow_table

MODELS = load_models([BUILT_IN_MODELS])
SILVER = silver_tables(MODELS.values())
THERMOSTATS, PUMPS = SILVER["silver.thermostats"], SILVER["silver.pumps"]
THERMOSTAT, PUMP = "dtmi:lakehouse:thermostat;1", "dtmi:lakehouse:pump;1"
DAY = "2026-11-20"
H5, H6, H7, H8 = (f"{DAY}T0{hour}" for hour in (5, 6, 7, 8))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that the tests of this file share, so that dbt parses once."""
    return tmp_path_factory.mktemp("gold")


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    """An empty lake."""
    return Settings(home=home, lake_uri=str(tmp_path / "lake"))


def at(text: str) -> datetime:
    """A time on the day."""
    return datetime.fromisoformat(f"{DAY}T{text}+00:00")


def reading(device: str, event_at: datetime, offset: int, **values: Any) -> Row:
    """A thermostat's reading that came a second after it was measured."""
    row = {
        "device_id": device, "model_id": THERMOSTAT, "measured_at": event_at, "received_at": event_at,
        "event_at": event_at, "clock_status": "ok", "source": device, "message_id": str(offset), "topic": "telemetry",
        "partition": 0, "offset": offset, "ingest_id": 1,
    }  # fmt: skip
    return row | values


def refused(device: str | None, event_at: datetime, reason: str, offset: int, topic: str = "telemetry") -> Row:
    """A record in silver.rejected."""
    row = {"topic": topic, "partition": 0, "offset": offset, "ingest_id": 1, "received_at": event_at}
    return row | {"event_at": event_at, "clock_status": "ok", "reason": reason, "device_id": device}


def record(device: str, site: str | None, valid_from: str, valid_to: str | None = None, **changes: Any) -> Row:
    """A registry record of a thermostat."""
    row: Row = {
        "device_id": device, "valid_from": at(valid_from), "valid_to": None if valid_to is None else at(valid_to),
        "is_current": valid_to is None, "status": "in_service", "in_service_at": at(valid_from), "model_id": THERMOSTAT,
        "site_id": site, "topic": "lifecycle", "partition": 0, "offset": 0, "ingest_id": 1,
    }  # fmt: skip
    return row | changes


def write(settings: Settings, table: Table, rows: Iterable[Row]) -> int:
    """Overwrite a table, its slice columns made from event_at; returns its version."""
    named = set(table.column_names)
    sliced = [
        row | ({"event_date": row["event_at"].date(), "event_hour": row["event_at"].hour} if "event_at" in row else {})
        for row in rows
    ]
    arrow = arrow_table(table, [{k: v for k, v in row.items() if k in named} for row in sliced])
    uri = table_uri(settings, table.name)
    write_deltalake(uri, arrow, mode="overwrite", partition_by=list(table.partition_by) or None)
    return int(DeltaTable(uri).version())


def plan(
    settings: Settings,
    hours: Mapping[str, bool],
    versions: Mapping[str, int],
    days: Iterable[str] = (),
) -> GoldPlan:
    """A plan whose days have all hours of the plan that have data."""
    ready = [hour for hour, has_data in hours.items() if has_data]
    return GoldPlan(hours, {day: [hour for hour in ready if hour.startswith(day)] for day in days}, versions, MODELS)


def rows_of(settings: Settings, table: str, order: str = "all") -> list[Row]:
    """The rows of a candidate table as dicts, sorted."""
    with connect(settings, str(candidate_path(settings))) as connection:
        result = connection.sql(f"SELECT * FROM gold.{table} ORDER BY {order}")
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


def picked(rows: Iterable[Row], *names: str) -> list[tuple[Any, ...]]:
    """Some columns of rows, sorted."""
    return sorted((tuple(row[name] for name in names) for row in rows), key=repr)


def publish(settings: Settings) -> dict[str, int]:
    """Write the candidates that later builds read as if they were published; returns their versions."""
    with connect(settings, str(candidate_path(settings))) as connection:
        for table in (DEVICE_HOURS, DEVICE_LATEST):
            rows = connection.sql(f"SELECT * FROM gold.{table.short_name}").to_arrow_table()
            partitions = list(table.partition_by) or None
            write_deltalake(table_uri(settings, table.name), rows, mode="overwrite", partition_by=partitions)
    return {t.name: int(DeltaTable(table_uri(settings, t.name)).version()) for t in (DEVICE_HOURS, DEVICE_LATEST)}


def dbt(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a dbt command as a person would."""
    return subprocess.run(
        [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments],
        cwd=PROJECT_FOLDER,
        env=inherited_environment(dbt_environment(settings)),
        capture_output=True,
        text=True,
    )


def statements(settings: Settings) -> int:
    """How many statements dbt has filled tables with so far; told to, its log says so, and is kept."""
    log = settings.log_folder / "dbt.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return sum("insert into" in line for line in lines)


def assert_contract(settings: Settings) -> None:
    """Every candidate has the columns and types of its contract, in order; texts may be enumerated."""
    with connect(settings, str(candidate_path(settings))) as connection:
        for table in GOLD_TABLES:
            found = connection.sql(f"DESCRIBE gold.{table.short_name}").fetchall()
            expected = [(c.name, duckdb_type(c.type)) for c in table.columns]
            types = [(row[0], "VARCHAR" if row[1].startswith("ENUM(") else row[1]) for row in found]
            assert types == expected, table.name


def small_lake(settings: Settings) -> dict[str, int]:
    """Three thermostats and a pump on one morning; returns the silver versions."""
    readings = [
        # two minutes of one device, one reading without humidity, one late, and a move from a to b at 06:30
        reading("d1", at("05:00:00"), 0, temperature_degc=20.0, humidity_pct=40.0),
        reading("d1", at("05:00:30"), 1, temperature_degc=21.0),
        reading("d1", at("05:01:00"), 2, temperature_degc=25.0, humidity_pct=50.0, received_at=at("05:06:01")),
        reading("d1", at("06:59:59"), 3, temperature_degc=10.0),
        reading("d1", at("07:00:00"), 4, temperature_degc=0.1),
        # no site, and a wrong clock
        reading("d2", at("05:30:00"), 5, temperature_degc=22.0),
        reading("d2", at("05:40:00"), 6, temperature_degc=23.0, clock_status="ahead", measured_at=at("23:00:00")),
    ]
    pumps = [
        reading("p1", at("05:00:00"), 7, model_id=PUMP, pressure_kpa=300.0, is_running=True, state="running"),
        reading("p1", at("05:00:00"), 8, model_id=PUMP, component_name="motor", motor_speed_rpm=1500),
    ]
    rejected = [
        refused("d1", at("05:10:00"), "duplicate", 20),
        refused("d1", at("05:10:00"), "conflict", 21),
        refused("d1", at("05:11:00"), "not_json", 22),
        refused("d3", at("07:11:00"), "out_of_range", 23),
        refused("stranger", at("05:11:00"), "unknown_device", 24),
        refused(None, at("05:11:00"), "missing_device", 25),
        refused("d1", at("05:12:00"), "not_json", 26, topic="lifecycle"),
    ]
    devices = [
        record("d1", "a", "00:00:00", "06:30:00", in_service_at=at("00:00:00")),
        record("d1", "b", "06:30:00", in_service_at=at("00:00:00")),
        record("d2", None, "05:30:00", reporting_interval_s=600),
        record("d3", "a", "00:00:00", "04:00:00"),
        record("d3", "a", "04:00:00", status="retired", in_service_at=at("00:00:00")),
        record("p1", "b", "00:00:00", model_id=PUMP, reporting_interval_s=1800),
    ]
    pairs = ((THERMOSTATS, readings), (PUMPS, pumps), (SILVER_REJECTED, rejected), (SILVER_DEVICES, devices))
    return {table.name: write(settings, table, rows) for table, rows in pairs}


def test_candidates_are_as_computed_by_hand(settings: Settings) -> None:
    """Minutes, hours, days, sites, completeness, latest and devices of one morning; and 08:00, when nothing came."""
    versions = small_lake(settings)
    done: list[str] = []
    path = build_candidates(
        settings, plan(settings, {H5: True, H6: True, H7: True, H8: False}, versions, [DAY]), done.append
    )
    assert path == candidate_path(settings)
    assert any("device_hours" in line for line in done)
    assert_contract(settings)

    minutes = [row for row in rows_of(settings, "device_minutes") if row["device_id"] == "d1"]
    values = ("metric_name", "minute_at", "reading_count", "value_min", "value_max", "value_mean", "value_last")
    assert picked(minutes, *values) == sorted([
        ("humidity", at("05:00"), 1, 40.0, 40.0, 40.0, 40.0),
        ("humidity", at("05:01"), 1, 50.0, 50.0, 50.0, 50.0),
        ("temperature", at("05:00"), 2, 20.0, 21.0, 20.5, 21.0),
        ("temperature", at("05:01"), 1, 25.0, 25.0, 25.0, 25.0),
        ("temperature", at("06:59"), 1, 10.0, 10.0, 10.0, 10.0),
        ("temperature", at("07:00"), 1, 0.1, 0.1, 0.1, 0.1),
    ], key=repr)  # fmt: skip

    hours = rows_of(settings, "device_hours")
    [first] = [r for r in hours if (r["device_id"], r["metric_name"], r["event_hour"]) == ("d1", "temperature", 5)]
    assert first == {
        "device_id": "d1", "metric_name": "temperature", "unit": "degc", "model_id": THERMOSTAT, "site_id": "a",
        "hour_at": at("05:00"), "event_date": date(2026, 11, 20), "event_hour": 5, "reading_count": 3,
        "value_min": 20.0, "value_max": 25.0, "value_mean": 22.0, "value_last": 25.0, "last_event_at": at("05:01"),
        "value_p50": 21.0, "value_p95": pytest.approx(24.6, abs=1e-12),
    }  # fmt: skip
    # the move at 06:30 counts from 07:00; d2 came into service within its hour
    assert picked([r for r in hours if r["metric_name"] == "temperature"], "device_id", "event_hour", "site_id") == [
        ("d1", 5, "a"), ("d1", 6, "a"), ("d1", 7, "b"), ("d2", 5, None),
    ]  # fmt: skip
    pump = [r for r in hours if r["device_id"] == "p1"]
    assert picked(pump, "metric_name", "unit", "value_last") == [
        ("isRunning", "1", 1.0), ("motor.speed", "rpm", 1500.0), ("pressure", "kpa", 300.0),
    ]  # fmt: skip

    days = [r for r in rows_of(settings, "device_days") if r["metric_name"] == "temperature"]
    assert picked(days, "device_id", "day_date", "reading_count", "value_mean", "value_last", "site_id") == [
        ("d1", date(2026, 11, 20), 5, pytest.approx(15.22), 0.1, "b"),
        ("d2", date(2026, 11, 20), 2, 22.5, 23.0, None),
    ]  # fmt: skip
    sites = [r for r in rows_of(settings, "site_days") if r["metric_name"] == "temperature"]
    assert picked(sites, "site_id", "device_count", "reading_count", "value_mean") == [
        ("a", 1, 4, 19.0), ("b", 1, 1, 0.1), ("unknown", 1, 2, 22.5),
    ]  # fmt: skip

    counts = ("expected", "received", "late", "clock_flagged", "duplicate", "rejected", "missing")
    completeness = rows_of(settings, "device_completeness")
    assert picked(completeness, "device_id", "event_hour", *(f"{name}_count" for name in counts)) == [
        ("d1", 5, 60, 3, 1, 0, 2, 1, 57),
        ("d1", 6, 60, 1, 0, 0, 0, 0, 59),
        ("d1", 7, 60, 1, 0, 0, 0, 0, 59),
        ("d1", 8, 60, 0, 0, 0, 0, 0, 60),
        ("d2", 5, 3, 2, 0, 1, 0, 0, 2),
        ("d2", 6, 6, 0, 0, 0, 0, 0, 6),
        ("d2", 7, 6, 0, 0, 0, 0, 0, 6),
        ("d2", 8, 6, 0, 0, 0, 0, 0, 6),
        ("d3", 7, 0, 0, 0, 0, 0, 1, 0),
        ("p1", 5, 2, 2, 0, 0, 0, 0, 1),
        ("p1", 6, 2, 0, 0, 0, 0, 0, 2),
        ("p1", 7, 2, 0, 0, 0, 0, 0, 2),
        ("p1", 8, 2, 0, 0, 0, 0, 0, 2),
    ]  # fmt: skip

    latest = [r for r in rows_of(settings, "device_latest") if r["device_id"] in ("d1", "d2")]
    assert picked(latest, "device_id", "metric_name", "event_at", "event_hour", "value_last", "site_id") == [
        ("d1", "humidity", at("05:01"), 5, 50.0, "a"),
        ("d1", "temperature", at("07:00"), 7, 0.1, "b"),
        ("d2", "temperature", at("05:40"), 5, 23.0, None),
    ]
    devices = rows_of(settings, "devices")
    assert picked(devices, "device_id", "status", "site_id", "last_event_at") == [
        ("d1", "in_service", "b", at("07:00")),
        ("d2", "in_service", None, at("05:40")),
        ("d3", "retired", "a", None),
        ("p1", "in_service", "b", at("05:00")),
    ]


def test_empty_plan_gives_empty_tables(settings: Settings) -> None:
    """With no hours, no days and no silver table at all, every candidate is there, empty and of the right types."""
    build_candidates(settings, GoldPlan({}, {}, {}, MODELS))
    assert_contract(settings)
    assert [rows_of(settings, table.short_name) for table in GOLD_TABLES] == [[]] * len(GOLD_TABLES)


def test_kinds_that_no_telemetry_has_take_no_model(settings: Settings) -> None:
    """A plan of thermostats has neither counter nor state: dbt runs no model of these, and their tables are there as
    declared, with the rows that the models find, none; of pumps, which have states, those run too."""
    versions = {SILVER_DEVICES.name: write(settings, SILVER_DEVICES, [record("d1", "north", "00:00")])}
    versions[SILVER_REJECTED.name] = write(settings, SILVER_REJECTED, [])
    rows = [reading("d1", at("05:00:00"), 1, temperature_degc=20.0)]
    versions[THERMOSTATS.name] = write(settings, THERMOSTATS, rows)
    versions[PUMPS.name] = write(settings, PUMPS, [])  # as a tick makes the tables of every model

    def built() -> tuple[set[str], dict[str, list[Row]]]:
        said: list[str] = []
        build_candidates(settings, plan(settings, {H5: True}, versions, [DAY]), said.append)
        models = {line.split()[0] for line in said}
        return models, {table.short_name: rows_of(settings, table.short_name) for table in GOLD_TABLES}

    models, few = built()
    assert not {model for model in models if re.match(r"(stg_)?(counter|state|minute_increases)_?", model)}
    with patch.object(absent_kinds, "_absent", lambda _: set()):
        every, all_of_it = built()
    assert len(every) == len(models) + 12
    assert few == all_of_it
    versions[PUMPS.name] = write(settings, PUMPS, [reading("p1", at("05:00:00"), 2, model_id=PUMP, is_running=True)])
    assert {model for model in built()[0] if model.startswith(("counter", "state", "gauge"))} == {
        "gauge_hours", "gauge_days", "state_hours", "state_days",
    }  # fmt: skip


def test_a_kind_stays_while_hours_of_it_are_published(settings: Settings) -> None:
    """A table of pumps without readings has no states to build, unless gold has hours with states."""
    versions = {PUMPS.name: write(settings, PUMPS, [])}

    def kinds() -> list[tuple[str]]:
        write_plan(settings, plan(settings, {H5: True}, versions, [DAY]))
        with connect(settings, str(candidate_path(settings))) as connection:
            return connection.sql("SELECT DISTINCT kind FROM plan.kinds").fetchall()

    assert kinds() == []
    versions[STATE_HOURS.name] = write(
        settings, STATE_HOURS, [{"device_id": "p1", "event_date": at("05:00:00").date()}]
    )
    assert kinds() == [("state",)]


def test_rebuild_gives_the_same_bits_and_reads_only_its_files(settings: Settings) -> None:
    """The same readings in another order and other files give the same rows to the bit; other hours are not opened."""
    numbers = [(i * 7919 % 10007) / 997 - 5 for i in range(3000)]
    rows = [
        reading(f"d{i % 3}", at(f"05:{i % 60:02d}:00"), i, temperature_degc=0.1 + x, humidity_pct=x * 1e-4)
        for i, x in enumerate(numbers)
    ]
    other_hour = reading("d1", at("09:00:00"), 9999, temperature_degc=1.0)
    tables = ("device_minutes", "device_hours", "device_days", "site_days")
    built = []
    for order in (rows, sorted(rows, key=lambda row: -row["temperature_degc"])):
        versions = {SILVER_DEVICES.name: write(settings, SILVER_DEVICES, [record("d1", "a", "00:00:00")])}
        uri = table_uri(settings, THERMOSTATS.name)
        write(settings, THERMOSTATS, [other_hour])
        nine = list(Path(uri).rglob("*.parquet"))
        for part in (order[:1000], order[1000:1500], order[1500:]):
            more = [row | {"event_date": date(2026, 11, 20), "event_hour": 5} for row in part]
            write_deltalake(uri, arrow_table(THERMOSTATS, more), mode="append")
        for file in nine:
            file.unlink()
        versions[THERMOSTATS.name] = int(DeltaTable(uri).version())
        build_candidates(settings, plan(settings, {H5: True}, versions, [DAY]))
        built.append([[tuple(map(repr, row.values())) for row in rows_of(settings, name)] for name in tables])
    assert len(built[0][1]) == 6
    assert built[0] == built[1]


def test_means_hold_values_that_exact_sums_do_not(settings: Settings) -> None:
    """A value too small for exact sums is found on its day, and counts; where all are exact nothing is asked again."""
    tiny = [2.0**-62, 2.0**-63, 3 * 2.0**-64]
    readings = [
        reading("d1", at(f"05:00:0{i}"), i, temperature_degc=value, humidity_pct=value + 40.0)
        for i, value in enumerate(tiny)
    ]
    versions = {THERMOSTATS.name: write(settings, THERMOSTATS, readings)}
    build_candidates(settings, plan(settings, {H5: True}, versions, [DAY]))
    with connect(settings, str(candidate_path(settings))) as connection:
        found = connection.sql("SELECT column_name, is_exact FROM staging.stg_exactness").fetchall()
    assert sorted(found) == [("humidity_pct", True), ("temperature_degc", False)]
    expected = [("humidity", math.fsum(value + 40.0 for value in tiny) / 3), ("temperature", math.fsum(tiny) / 3)]
    for table in ("device_minutes", "device_hours", "device_days", "site_days"):
        assert picked(rows_of(settings, table), "metric_name", "value_mean") == expected, table


def test_texts_with_a_nul_are_built_and_can_be_sorted(settings: Settings) -> None:
    """Every text that a key can hold is a device, which DuckDB cannot sort as an enumeration."""
    readings = [
        reading(device, at("05:00:00"), i, temperature_degc=1.0) for i, device in enumerate(("b", "a\x00b", ""))
    ]
    versions = {THERMOSTATS.name: write(settings, THERMOSTATS, readings)}
    build_candidates(settings, plan(settings, {H5: True}, versions, [DAY]))
    assert [row["device_id"] for row in rows_of(settings, "device_minutes", "device_id")] == ["", "a\x00b", "b"]


def test_small_days_are_built_together(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three days in one statement a table; an hour between them that is not planned stays out."""
    days = [datetime.fromisoformat(f"2026-11-{day}T05:10:00+00:00") for day in (18, 19, 20)]
    unplanned = [days[1] + timedelta(hours=1), days[1] + timedelta(hours=-5)]
    readings = [reading("d1", moment, i, temperature_degc=float(i)) for i, moment in enumerate([*days, *unplanned])]
    versions = {THERMOSTATS.name: write(settings, THERMOSTATS, readings)}
    hours = {slice_of(moment): True for moment in days}
    monkeypatch.setattr(dbt_process, "_BUILD", [*dbt_process._OPTIONS, "--log-level-file", "debug", "run"])
    before = statements(settings)
    build_candidates(settings, plan(settings, hours, versions, days=[str(moment.date()) for moment in days]))
    assert picked(rows_of(settings, "device_hours"), "hour_at", "value_last") == [
        (moment.replace(minute=0), float(i)) for i, moment in enumerate(days)
    ]
    assert picked(rows_of(settings, "site_days"), "day_date", "reading_count") == [(day.date(), 1) for day in days]
    # which sums are exact, minutes, sums of hours, hours, days, days of sites, gauges, what was received and what was
    # refused; no telemetry is a counter or a state, and for their sake no hour is looked at
    assert statements(settings) - before == 9


def test_latest_of_a_part_equals_a_full_rebuild(settings: Settings) -> None:
    """A reading that vanishes gives way to the one before it, a newer one takes over, and the rest stays."""
    before = [
        reading("stays", at("06:10:00"), 0, temperature_degc=1.0),
        reading("vanishes", at("05:20:00"), 1, temperature_degc=2.0),
        reading("vanishes", at("07:20:00"), 2, temperature_degc=3.0),
        reading("only", at("07:30:00"), 3, temperature_degc=4.0),
        reading("moves", at("05:00:00"), 4, temperature_degc=5.0),
    ]
    after = [*before[:2], before[4], reading("moves", at("07:05:00"), 5, temperature_degc=6.0)]
    devices = {SILVER_DEVICES.name: write(settings, SILVER_DEVICES, [record("stays", "a", "00:00:00")])}
    first = devices | {THERMOSTATS.name: write(settings, THERMOSTATS, before)}
    hours = {H5: True, H6: True, H7: True}
    build_candidates(settings, plan(settings, hours, first))
    published = publish(settings)

    second = devices | {THERMOSTATS.name: write(settings, THERMOSTATS, after)}
    build_candidates(settings, plan(settings, {H7: True}, second | published))
    part = rows_of(settings, "device_latest")
    build_candidates(settings, plan(settings, hours, second))
    assert part == rows_of(settings, "device_latest")
    assert picked(part, "device_id", "event_hour", "value_last") == [
        ("moves", 7, 6.0), ("stays", 6, 1.0), ("vanishes", 5, 2.0),
    ]  # fmt: skip


def test_held_hours_leave_the_tables_that_are_not_sliced(settings: Settings) -> None:
    """Built again without a held hour, latest and devices know only the others; and no hour of history is read."""
    readings = [
        reading("d1", at("05:00:00"), 0, temperature_degc=1.0),
        reading("d1", at("06:00:00"), 1, temperature_degc=2.0),
    ]
    versions = {
        THERMOSTATS.name: write(settings, THERMOSTATS, readings),
        SILVER_DEVICES.name: write(settings, SILVER_DEVICES, [record("d1", "a", "00:00:00")]),
    }
    build_candidates(settings, plan(settings, {H5: True, H6: True}, versions))
    assert picked(rows_of(settings, "devices"), "last_event_at") == [(at("06:00"),)]
    published = publish(settings)
    for file in Path(table_uri(settings, DEVICE_HOURS.name)).rglob("*.parquet"):
        file.unlink()
    build_candidates(settings, plan(settings, {H5: True, H6: True}, versions | published))
    assert picked(rows_of(settings, "device_latest"), "event_at") == [(at("06:00"),)]

    build_candidates(settings, plan(settings, {H5: True}, versions), after_holding=True)
    assert picked(rows_of(settings, "device_latest"), "event_at", "value_last") == [(at("05:00"), 1.0)]
    assert picked(rows_of(settings, "devices"), "last_event_at") == [(at("05:00"),)]
    assert len(rows_of(settings, "device_hours")) == 2


def test_a_forked_dbt_leaves_a_whole_file(settings: Settings) -> None:
    """What the dbt of a run under `up` has built lies in the database's file, and nothing in a log beside it."""
    versions = {
        THERMOSTATS.name: write(settings, THERMOSTATS, [reading("d1", at("05:00:00"), 0, temperature_degc=1.0)])
    }
    write_plan(settings, plan(settings, {H5: True}, versions))
    program = (
        "from importlib import import_module;"
        "from runtime.settings import load_settings; from pipeline.gold import dbt_process;"
        "[import_module(name) for name in dbt_process.IMPORTED]; settings = load_settings();"
        "dbt_process.keep_spare(settings); dbt_process.run_dbt(settings, dbt_process.start_dbt(settings))"
    )
    environment = inherited_environment(dbt_environment(settings))
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT_FOLDER, env=environment, check=True)
    path = candidate_path(settings)
    assert not path.with_name(path.name + ".wal").exists()
    assert picked(rows_of(settings, "device_minutes"), "device_id", "value_mean") == [("d1", 1.0)]


def test_data_tests_catch_broken_candidates(settings: Settings) -> None:
    """A repeated key, a null, figures out of order and a count below its range each fail a test of device_hours."""
    versions = {
        THERMOSTATS.name: write(settings, THERMOSTATS, [reading("d1", at("05:00:00"), 0, temperature_degc=1.0)])
    }
    build_candidates(settings, plan(settings, {H5: True}, versions))
    with connect(settings, str(candidate_path(settings))) as connection:
        broken = "reading_count: 0, value_p50: value_max + 1, hour_at: NULL::TIMESTAMPTZ"
        columns = ", ".join(f"{sql} AS {name}" for name, sql in (pair.split(": ") for pair in broken.split(", ")))
        for _ in range(2):
            connection.execute(
                f"INSERT INTO gold.device_hours SELECT * REPLACE ({columns}) FROM gold.device_hours LIMIT 1"
            )
    bad = dbt(settings, "test", "--select", "device_hours,test_type:generic")
    assert bad.returncode == 1
    assert "PASS=1 WARN=0 ERROR=4" in bad.stdout


def test_failure_carries_the_reason(settings: Settings) -> None:
    """A version that is not there is named; what dbt cannot read is told in dbt's own words."""
    versions = {
        THERMOSTATS.name: write(settings, THERMOSTATS, [reading("d1", at("05:00:00"), 0, temperature_degc=1.0)])
    }
    with pytest.raises(StepError, match=r"Version 7 of .*silver/thermostats cannot be read"):
        write_plan(settings, plan(settings, {H5: True}, {THERMOSTATS.name: 7}))
    for file in Path(table_uri(settings, THERMOSTATS.name)).rglob("*.parquet"):
        file.unlink()
    with pytest.raises(StepError, match=r"dbt could not build the gold candidates: .*stg_exactness"):
        build_candidates(settings, plan(settings, dict.fromkeys(slices_of_day(DAY), True), versions))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("test", "--select", "test_type:unit"), id="unit_tests_pass"),
        pytest.param(("docs", "generate"), id="docs_without_a_lake"),
    ],
)
def test_dbt_by_itself(home: Path, arguments: tuple[str, ...]) -> None:
    """dbt's unit tests pass, and its commands run where no lake and no plan is; the checkout stays clean."""
    settings = Settings(home=home / "bare", lake_uri=str(home / "bare/lake"))
    settings.work_folder.mkdir(parents=True, exist_ok=True)
    before = sorted(DBT_FOLDER.iterdir())
    result = dbt(settings, *arguments)
    assert result.returncode == 0, result.stdout
    assert sorted(DBT_FOLDER.iterdir()) == before
    if arguments[0] == "test":
        assert "PASS=7" in result.stdout


def test_a_silence_as_a_range_says_what_its_hours_say(settings: Settings) -> None:
    """Spread over hours it has, row by row, what those hours come to when each is built by itself: of devices that come
    into service, move, rest and retire amid it, and of intervals that no hour is a multiple of."""
    versions = small_lake(settings)
    rest = {"status": "maintenance", "in_service_at": at("05:00")}
    moved: Row = {"in_service_at": at("05:00"), "reporting_interval_s": 5000}
    devices = [
        record("odd", "a", "05:00", "09:40", reporting_interval_s=5000),
        record("odd", "a", "09:40", "11:00", **rest),
        record("odd", "b", "11:00", "12:20", **moved),
        record("odd", "c", "12:20", **moved),
        record("slow", "a", "05:30", "13:00", reporting_interval_s=7200),
        record("slow", "a", "13:00", status="retired", in_service_at=at("05:30")),
        record("new", None, "10:15", reporting_interval_s=60),
        record("soon", "a", "10:00", in_service_at=at("12:45"), reporting_interval_s=600),
        record("later", "a", "23:00"),
    ]
    versions["silver.devices"] = write(settings, SILVER_DEVICES, devices)
    hours = slices_between("2026-11-20T08", "2026-11-20T16")
    silence = ("2026-11-20T08", "2026-11-20T17")
    build_candidates(settings, replace(plan(settings, dict.fromkeys(hours, False), versions), silences=[silence]))
    spread = with_silent_hours("(FROM gold.device_completeness LIMIT 0)", "gold.device_silences")
    with connect(settings, str(candidate_path(settings))) as connection:
        by_hour = connection.sql("FROM gold.device_completeness ORDER BY ALL").fetchall()
        assert connection.sql(f"FROM {spread} ORDER BY ALL").fetchall() == by_hour
        stretches = connection.sql("SELECT count(*) FROM gold.device_silences").fetchall()[0][0]
    assert len(by_hour) > 25 > stretches
    assert {row["device_id"] for row in rows_of(settings, "device_silences")} == {"odd", "slow", "new", "soon"}
    assert_contract(settings)
