"""Figures by kind: the SQL as dbt compiles it, over made-up histories, beside plain Python.

Readings come late, at the boundaries of hours, more than once at a moment, and hours are held and released between;
what stands in gold after all that must be what the readings that are there come to.
"""

from datetime import datetime, timedelta
from statistics import pstdev
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lake.models.catalog import Model
from lake.slices import HOUR
from runtime.settings import Settings
from tests.support.kinds_oracle import (
    Reading,
    counter_hours,
    counter_minutes,
    counter_site_days,
    counter_steps,
    gauge_hours,
    state_hours,
)
from tests.support.kinds_sql import DAY, DAY_AFTER_SPRING, LIMIT, MAXIMUM, ZONES, Plant, compiled

# seconds of the day: hours that touch, the last moments of an hour and the first of the next, and both days
MOMENTS = [
    -7201, -3601, -3600, -1, 0, 1, 1800, 3599, 3600, 3601, 7199, 7200, 8999, 9000, 9001, 9059, 9060, 10800, 10801,
    14400, 18000, 21599, 21600, 30000,
]  # fmt: skip
COUNTS = (0.0, 1.0, 10.0, 499.0, 501.0, 990.0, 1000.0, -3.0, 0.1)
HELD = st.sets(st.sampled_from([DAY + hour * HOUR for hour in (-1, 0, 1, 2, 3)]), max_size=2)


def batches(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[list[tuple[Any, ...]], set[datetime]]]]:
    """Some batches of readings (device, second, value), each with the hours that are held after it."""
    reading = st.tuples(st.sampled_from("ab"), st.sampled_from(MOMENTS), values)
    return st.lists(st.tuples(st.lists(reading, min_size=1, max_size=8), HELD), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, Model]]:
    """The compiled SQL, and the device model."""
    home = tmp_path_factory.mktemp("kinds")
    return compiled(Settings(home=home, lake_uri=str(home / "lake")))


def played(plant: Plant, history: list[tuple[list[tuple[Any, ...]], set[datetime]]], day: datetime = DAY) -> None:
    """Let the batches come, one after the other, with their seconds of `day`; each reading has the next offset."""
    offset = 0
    for readings, held in history:
        came = []
        for device, second, value in readings:
            came.append(Reading(device, day + timedelta(seconds=second), offset, value))
            offset += 1
        plant.arrive(came, {day + (hour - DAY) for hour in held})


def near(value: Any) -> Any:
    """Floats as near as rounding allows."""
    return pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


COUNTERS = ("stg_counter_hours", "stg_counter_increases", "stg_counter_minutes", "stg_minute_increases")


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches(st.sampled_from(COUNTS)))
@example([([("a", 0, 10.0), ("a", 3601, 990.0)], set()), ([("a", 3599, 1.0)], set())])
def test_counters_are_as_in_plain_python(built: tuple[Any, Any], history: list[Any]) -> None:
    """Increase, resets, roll-overs and what is carried in, by hour and by day."""
    plant = Plant(*built, "count", "counter", COUNTERS)
    played(plant, history)
    expected = counter_hours(plant.readings, MAXIMUM, LIMIT, plant.held)
    rows = {(row["device_id"], row["hour_at"]): row for row in plant.rows("lake_gold_counter_hours")}
    rows = {key: row for key, row in rows.items() if key[1] not in plant.held}
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        assert {name: row[name] for name in expected[key]} == {name: near(v) for name, v in expected[key].items()}, key
        assert row["increase"] >= 0
    for row in plant.rows("lake_gold_counter_days"):
        day = row["day_date"]
        ours = [each for (device, hour), each in expected.items() if device == row["device_id"] and hour.date() == day]
        if day in plant.waiting:
            continue
        assert row["increase"] == near(sum(each["increase"] for each in ours)), row
        assert row["reset_count"] == sum(each["reset_count"] for each in ours)
        assert row["reading_count"] == sum(each["reading_count"] for each in ours)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches(st.sampled_from(COUNTS)),
    st.sampled_from([-3, 0, 2, 3, 9]),
    st.sampled_from([*ZONES, None]),
    st.sampled_from([DAY, DAY_AFTER_SPRING]),
)
@example([([("a", 7200, 1.0), ("a", 8999, 4.0), ("a", 9000, 990.0), ("b", 9060, 5.0)], set())], 9, "oslo", DAY)
@example([([("a", 8999, 1.0), ("a", 14400, 4.0)], set()), ([("a", 9001, 2.0)], set())], 3, None, DAY)
@example([([("a", -1, 1.0), ("a", 8999, 4.0)], set()), ([("a", 9000, 6.0)], set())], 9, None, DAY_AFTER_SPRING)
def test_counters_by_minute_and_by_site_are_as_in_plain_python(
    built: tuple[Any, Any], history: list[Any], moves_at: int, moves_to: str | None, first: datetime
) -> None:
    """Increases of minutes, and of the local days of sites, of which one has 25 hours and begins amid one, and
    one has 23 and ends so; a device moves from a site to another or to none."""

    def site_of(device: str, hour: datetime) -> str | None:
        return moves_to if device == "a" and hour >= first + moves_at * HOUR else "johns"

    plant = Plant(*built, "count", "counter", COUNTERS, site_of)
    played(plant, history, first)
    clocks_set = {DAY.date(): 25, DAY_AFTER_SPRING.date() - timedelta(days=1): 23}
    steps = counter_steps(plant.readings, MAXIMUM, LIMIT, plant.held)
    minutes = counter_minutes(steps)
    rows = {(row["device_id"], row["minute_at"]): row for row in plant.rows("lake_gold_counter_minutes")}
    rows = {key: row for key, row in rows.items() if key[1].replace(minute=0) not in plant.held}
    assert rows.keys() == minutes.keys()
    for key, row in rows.items():
        assert {name: row[name] for name in minutes[key]} == {name: near(v) for name, v in minutes[key].items()}, key
        assert row["site_id"] == site_of(key[0], key[1].replace(minute=0))
    expected = {k: v for k, v in counter_site_days(steps, site_of, ZONES).items() if k[1] not in plant.waiting}
    days = {(row["site_id"], row["day_date"]): row for row in plant.rows("lake_gold_counter_site_days")}
    days = {key: row for key, row in days.items() if key[1] not in plant.waiting}
    assert days.keys() == expected.keys()
    for (site, day), row in days.items():
        figures = expected[site, day]
        assert {name: row[name] for name in figures} == {name: near(v) for name, v in figures.items()}, (site, day)
        rate = near(row["increase"] * 3600 / row["covered_s"]) if row["covered_s"] else None
        assert row["increase_per_h"] == rate
        assert row["hours_in_day"] == (clocks_set.get(day, 24) if site == "johns" else 24)


@pytest.mark.parametrize(
    ("column", "is_linear", "unit_s", "integral_unit"),
    [("level", False, 3600, "h"), ("flow_l_min", True, 60, "l")],
)
@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=batches(st.sampled_from(COUNTS)))
def test_gauges_are_as_in_plain_python(
    built: tuple[Any, Any], column: str, is_linear: bool, unit_s: int, integral_unit: str, history: list[Any]
) -> None:
    """Integral, of a flow by minute its litres, time-weighted mean and standard deviation, the last value going on or a
    line, by hour and by day."""
    plant = Plant(*built, column, "gauge", ("stg_gauge_hours", "stg_gauge_spans"))
    played(plant, history)
    expected = gauge_hours(plant.readings, is_linear, LIMIT, plant.held, unit_s)
    rows = {(row["device_id"], row["hour_at"]): row for row in plant.rows("lake_gold_gauge_hours")}
    rows = {key: row for key, row in rows.items() if key[1] not in plant.held}
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        assert {name: row[name] for name in expected[key]} == {name: near(v) for name, v in expected[key].items()}, key
        assert row["integral_unit"] == integral_unit
    for row in plant.rows("lake_gold_gauge_days"):
        device, day = row["device_id"], row["day_date"]
        if day in plant.waiting:
            continue
        ours = [each for (one, hour), each in expected.items() if one == device and hour.date() == day]
        values = [each.value for each in plant.readings if (each.device, each.at.date()) == (device, day)]
        covered_s = sum(each["covered_s"] for each in ours)
        assert row["integral"] == near(sum(each["integral"] for each in ours)), row
        assert row["covered_s"] == near(covered_s)
        assert row["time_weighted_mean"] == (near(row["integral"] * unit_s / covered_s) if covered_s else None)
        assert row["integral_unit"] == integral_unit
        assert row["value_stddev"] == near(pstdev(values))
        assert row["reading_count"] == len(values)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches(st.sampled_from(("on", "off", "idle"))))
@example([([("a", 0, "on")], set()), ([("b", 14400, "off")], set()), ([("a", 3599, "off")], set())])
def test_states_are_as_in_plain_python(built: tuple[Any, Any], history: list[Any]) -> None:
    """Seconds, transitions, the last state, and what is carried in and over hours in which nothing came."""
    plant = Plant(*built, "mode", "state", ("stg_state_hours", "stg_state_parts"))
    played(plant, history)
    hours = [each.hour for each in plant.readings]
    between = int((max(hours) - min(hours)) / HOUR)
    hours = [min(hours) + number * HOUR for number in range(between + 1)]
    expected = state_hours(plant.readings, LIMIT, hours, plant.held)
    rows = {(row["device_id"], row["hour_at"], row["state"]): row for row in plant.rows("lake_gold_state_hours")}
    rows = {key: row for key, row in rows.items() if key[1] not in plant.held}
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        assert {name: row[name] for name in expected[key]} == {name: near(v) for name, v in expected[key].items()}, key
    held_days = plant.waiting
    days = {(row["device_id"], row["day_date"], row["state"]): row for row in plant.rows("lake_gold_state_days")}
    assert {key for key in days if key[1] not in held_days} == {
        (device, hour.date(), state) for device, hour, state in expected if hour.date() not in held_days
    }
    for (device, day, state), row in days.items():
        if day in held_days:
            continue
        ours = [each for key, each in expected.items() if (key[0], key[1].date(), key[2]) == (device, day, state)]
        assert row["duration_s"] == near(sum(each["duration_s"] for each in ours))
        assert row["entered_count"] == sum(each["entered_count"] for each in ours)
        last = max(key[1] for key in expected if (key[0], key[1].date()) == (device, day))
        assert row["is_last"] == expected.get((device, last, state), {"is_last": False})["is_last"]
