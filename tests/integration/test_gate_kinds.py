"""The gate on figures by kind: right ones pass, and each way of being wrong is caught by the check that is for it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import pstdev
from typing import Any

import pytest

from lake.models.catalog import Model
from lake.models.kinds import Kind
from lake.slices import slice_of, slice_start
from lake.storage.duckdb_connection import connect
from lake.tables.contracts import Table
from lake.tables.gold import GOLD_TABLES
from lake.tables.gold_kinds import (
    COUNTER_DAYS,
    COUNTER_HOURS,
    COUNTER_MINUTES,
    COUNTER_SITE_DAYS,
    GAUGE_DAYS,
    GAUGE_HOURS,
    STATE_DAYS,
    STATE_HOURS,
)
from pipeline.gate.candidates import read_plan
from pipeline.gate.gold_profiles import Gold
from pipeline.gate.suites import gold_suite
from pipeline.gate.validation import failures_of
from runtime.settings import Settings
from tests.support.kinds_oracle import Reading, counter_hours, counter_minutes, counter_steps, gauge_hours, state_hours
from tests.support.small_lake import H5, H6, THERMOSTAT, Candidate, Lake, Row

DAY = "2026-11-20"
COUNTER, STATE = Kind("counter", 7200), Kind("state", 7200)
GAUGE = Kind("gauge", 7200)
_METRIC = {"device_id": "d1", "metric_name": "temperature", "unit": "degc", "model_id": THERMOSTAT, "site_id": "s1"}
Spoil = Callable[[dict[str, list[Row]]], None]


def declared_as(lake: Lake, kind: Kind) -> Mapping[str, Model]:
    """The lake's models with a temperature of that kind."""
    return {
        name: replace(model, telemetry=tuple(
            replace(each, kind=kind) if each.name == "temperature" else each for each in model.telemetry
        ))
        for name, model in lake.models.items()
    }  # fmt: skip


def made(home: Path, kind: Kind) -> tuple[Lake, Candidate, list[Reading]]:
    """Two hours of a value that grows, and the candidate without figures by kind."""
    lake = Lake(Settings(home=home, lake_uri=str(home / "lake")))
    lake.models = declared_as(lake, kind)
    for slice_, first in ((H5, 10.0), (H6, 20.0)):
        for minute in (0, 10, 50):
            lake.read(slice_, minute, first + minute / 10)
    readings = [Reading("d1", row["event_at"], row["offset"], row["temperature_degc"]) for row in lake.readings]
    return lake, Candidate(lake, [H5, H6], [DAY], lake.write()), readings


def placed(rows: Mapping[Any, Row]) -> list[Row]:
    """Rows of hours with their key, and the minimum and maximum of values that only grow."""
    return [
        _METRIC | row | {
            "hour_at": hour, "event_date": hour.date(), "event_hour": hour.hour,
            "value_min": row.get("value_first"), "value_max": row.get("value_last"),
        }
        for (_, hour), row in rows.items()
    ]  # fmt: skip


def counters(readings: list[Reading]) -> dict[str, list[Row]]:
    """Right rows of the tables of counters."""
    hours = placed(counter_hours(readings, None, timedelta(hours=2)))
    for row in hours:
        ours = [each.at for each in readings if slice_of(each.at) == slice_of(row["hour_at"])]
        row |= {"first_event_at": min(ours), "last_event_at": max(ours),
                "increase_per_h": row["increase"] * 3600 / row["covered_s"]}  # fmt: skip
    first, last = hours
    both = ("reading_count", "increase", "covered_s", "reset_count", "rollover_count")
    day = last | {name: first[name] + last[name] for name in both} | {
        "day_date": first["hour_at"].date(), "value_min": first["value_min"],
    }  # fmt: skip
    day["increase_per_h"] = day["increase"] * 3600 / day["covered_s"]
    minutes = placed(counter_minutes(counter_steps(readings, None, timedelta(hours=2))))
    for row in minutes:
        row |= {"minute_at": row["hour_at"], "value_min": row["value_last"], "value_max": row["value_last"],
                "increase_per_h": row["increase"] * 3600 / row["covered_s"] if row["covered_s"] else None}  # fmt: skip
    site = day | {"starts_at": slice_start(f"{DAY}T00"), "hours_in_day": 24.0, "zone": "UTC", "device_count": 1}
    return {"counter_minutes": minutes, "counter_hours": hours, "counter_days": [day], "counter_site_days": [site]}


def states(readings: list[Reading]) -> dict[str, list[Row]]:
    """Right rows of both tables of states, each value being one."""
    named = [replace(each, value=str(each.value)) for each in readings]
    made = state_hours(named, timedelta(hours=2), [slice_start(H5), slice_start(H6)])
    hours = [
        _METRIC | row | {"state": state, "hour_at": hour, "event_date": hour.date(), "event_hour": hour.hour}
        for (_, hour, state), row in made.items()
    ]
    days: dict[str, Row] = {}
    for row in hours:
        day = days.setdefault(row["state"], row | {
            "day_date": row["event_date"], "reading_count": 0, "duration_s": 0.0, "entered_count": 0,
        })  # fmt: skip
        day |= {name: day[name] + row[name] for name in ("reading_count", "duration_s", "entered_count")}
        day["is_last"] = row["is_last"] and row["event_hour"] == 6
    return {"state_hours": hours, "state_days": list(days.values())}


def gauges(readings: list[Reading]) -> dict[str, list[Row]]:
    """Right rows of both tables of gauges."""
    hours = placed(gauge_hours(readings, False, timedelta(hours=2)))
    for row in hours:
        ours = [each.at for each in readings if slice_of(each.at) == slice_of(row["hour_at"])]
        row |= {"first_event_at": min(ours), "last_event_at": max(ours), "integral_unit": "degc_hours"}
    first, last = hours
    day = last | {name: first[name] + last[name] for name in ("reading_count", "integral", "covered_s")} | {
        "day_date": first["hour_at"].date(), "value_min": first["value_min"], "value_first": first["value_first"],
        "value_stddev": pstdev(each.value for each in readings),
    }  # fmt: skip
    day["time_weighted_mean"] = day["integral"] * 3600 / day["covered_s"]
    return {"gauge_hours": hours, "gauge_days": [day]}


def change(table: str, **values: Any) -> Spoil:
    """Other values in the last row of a table; a number that is added to what is there where it is a lambda."""

    def spoil(rows: dict[str, list[Row]]) -> None:
        row = rows[table][-1]
        row |= {name: value(row[name]) if callable(value) else value for name, value in values.items()}

    return spoil


def failing(home: Path, kind: Kind, figures: Callable[[list[Reading]], dict[str, list[Row]]], spoil: Spoil,
            table: Table) -> dict[str, set[str]]:  # fmt: skip
    """The checks of a table that fail, by slice."""
    lake, candidate, readings = made(home, kind)
    rows = figures(readings)
    spoil(rows)
    candidate.rows |= rows
    with connect(lake.settings) as connection:
        connection.execute(f"ATTACH '{candidate.write()}' AS candidate (READ_ONLY)")
        gold = Gold(connection, lake.settings, lake.models, read_plan(connection))
        gold.prepare()
        found = failures_of(gold_suite(table), gold.profile(table))
    return {slice_: {failure.expectation for failure in each} for slice_, each in found.items()}


FIGURES = {"counter": (COUNTER, counters), "state": (STATE, states), "gauge": (GAUGE, gauges)}


@pytest.mark.parametrize("table", [t for t in GOLD_TABLES if t.kind], ids=lambda table: table.short_name)
def test_right_figures_pass(tmp_path: Path, table: Table) -> None:
    """Figures as plain Python makes them are let through."""
    assert failing(tmp_path, *FIGURES[str(table.kind)], lambda rows: None, table) == {}


CASES = [
    (COUNTER_MINUTES, H6, "figures_fit_together", change("counter_minutes", increase=lambda x: x + 1)),
    (COUNTER_MINUTES, H6, "figures_fit_together", change("counter_minutes", carried_at=None)),
    (COUNTER_MINUTES, H6, "figures_fit_together", change("counter_minutes", covered_s=9000.0)),
    (COUNTER_MINUTES, H6, "reconciles_with_silver", change("counter_minutes", reading_count=2)),
    (COUNTER_MINUTES, H6, "has_rows", lambda rows: rows["counter_minutes"].__delitem__(slice(3, None))),
    (COUNTER_HOURS, H6, "agrees_with_minutes", change("counter_minutes", increase=lambda x: x + 1)),
    (COUNTER_HOURS, H6, "agrees_with_minutes", change("counter_minutes", reset_count=1)),
    (COUNTER_SITE_DAYS, DAY, "agrees_with_local_hours", change("counter_site_days", increase=lambda x: x + 1)),
    (COUNTER_SITE_DAYS, DAY, "agrees_with_local_hours", change("counter_hours", reset_count=1)),
    (COUNTER_SITE_DAYS, DAY, "figures_fit_together", change("counter_site_days", increase_per_h=None)),
    (COUNTER_SITE_DAYS, DAY, "figures_fit_together", change("counter_site_days", covered_s=lambda x: x + 60)),
    (COUNTER_HOURS, H6, "figures_fit_together", change("counter_hours", increase=lambda x: x + 1)),
    (COUNTER_HOURS, H6, "figures_fit_together", change("counter_hours", increase=-1.0)),
    (COUNTER_HOURS, H6, "figures_fit_together", change("counter_hours", carried_at=None)),
    (COUNTER_HOURS, H6, "figures_fit_together", change("counter_hours", covered_s=9000.0)),
    (COUNTER_HOURS, H6, "figures_fit_together", change("counter_hours", reset_count=4)),
    (COUNTER_HOURS, H6, "reconciles_with_silver", change("counter_hours", reading_count=4)),
    (COUNTER_HOURS, H6, "has_rows", lambda rows: rows["counter_hours"].pop()),
    (COUNTER_DAYS, DAY, "figures_fit_together", change("counter_days", increase_per_h=None)),
    (COUNTER_DAYS, DAY, "agrees_with_hours", change("counter_days", increase=lambda x: x + 1)),
    (COUNTER_DAYS, DAY, "agrees_with_hours", change("counter_days", value_min=9.0)),
    (STATE_HOURS, H6, "figures_fit_together", change("state_hours", is_carried=True)),
    (STATE_HOURS, H6, "figures_fit_together", change("state_hours", entered_count=2)),
    (STATE_HOURS, H6, "figures_fit_together", change("state_hours", duration_s=-1.0)),
    (STATE_HOURS, H6, "states_fill_the_time", change("state_hours", duration_s=lambda x: x + 1)),
    (STATE_HOURS, H6, "states_fill_the_time", change("state_hours", is_last=False)),
    (STATE_HOURS, H6, "reconciles_with_silver", change("state_hours", reading_count=0, entered_count=0)),
    (STATE_DAYS, DAY, "figures_fit_together", change("state_days", entered_count=-1)),
    (STATE_DAYS, DAY, "states_fill_the_time", change("state_days", is_last=False)),
    (STATE_DAYS, DAY, "agrees_with_hours", change("state_days", duration_s=lambda x: x - 1)),
    (GAUGE_HOURS, H6, "figures_fit_together", change("gauge_hours", integral=lambda x: x + 1)),
    (
        GAUGE_HOURS,
        H6,
        "figures_fit_together",
        change("gauge_hours", integral=90.0, time_weighted_mean=90.0, covered_s=3600),
    ),
    (GAUGE_HOURS, H6, "figures_fit_together", change("gauge_hours", carried_at=None)),
    (GAUGE_HOURS, H6, "figures_fit_together", change("gauge_hours", covered_s=0.0)),
    (GAUGE_HOURS, H6, "figures_fit_together", change("gauge_hours", value_stddev=2.6)),
    (GAUGE_HOURS, H6, "reconciles_with_silver", change("gauge_hours", reading_count=4)),
    (GAUGE_HOURS, H6, "has_rows", lambda rows: rows["gauge_hours"].pop()),
    (GAUGE_DAYS, DAY, "figures_fit_together", change("gauge_days", time_weighted_mean=None)),
    (GAUGE_DAYS, DAY, "agrees_with_hours", change("gauge_days", integral=lambda x: x + 1)),
]


@pytest.mark.parametrize(
    ("table", "slice_", "check", "spoil"),
    CASES,
    ids=[f"{t.short_name}-{c}-{i}" for i, (t, _, c, _) in enumerate(CASES)],
)
def test_what_is_wrong_is_caught(tmp_path: Path, table: Table, slice_: str, check: str, spoil: Spoil) -> None:
    """Each fault is found by its check, in the slice where it is."""
    found = failing(tmp_path, *FIGURES[str(table.kind)], spoil, table)
    assert check in found[slice_]
    assert set(found) == {slice_}


def test_every_check_of_their_own_has_a_case() -> None:
    """What tables by kind are asked beside what every table is, is caught above."""
    general = {check.name for table in GOLD_TABLES if table.kind is None for check in gold_suite(table).checks}
    own = {(t.name, check.name) for t in GOLD_TABLES if t.kind for check in gold_suite(t).checks} - {
        (t.name, name) for t in GOLD_TABLES if t.kind for name in general
    }
    assert own <= {(table.name, check) for table, _, check, _ in CASES}
