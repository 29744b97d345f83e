"""Figures by kind, and days of sites: the SQL as dbt compiles it, over made-up histories, beside plain Python.

Readings come late, at the boundaries of hours, more than once at a moment, and hours are held and released between;
what stands in gold after all that must be what the readings that are there come to.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lake.models.catalog import Model
from lake.reading.site_periods import SITE_PERIODS
from lake.slices import HOUR
from lake.tables.contracts import Table
from lake.tables.gold import CALENDAR, SITE_DAYS
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
from runtime.settings import Settings
from tests.support.kinds_oracle import (
    Reading,
    counter_days,
    counter_hours,
    counter_minutes,
    counter_site_days,
    counter_steps,
    gauge_days,
    gauge_hours,
    state_days,
    state_hours,
)
from tests.support.kinds_sql import DAY, DAY_AFTER_SPRING, LIMIT, MAXIMUM, MODEL, ZONES, Plant, compiled
from tests.support.site_days_oracle import A_DAY, SiteGold, SiteReadings, begins, clock_changes, hours_around

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


def assert_same(
    plant: Plant, table: Table, expected: Mapping[Any, Mapping[str, Any]], hours: Iterable[tuple[Any, ...]] = ()
) -> None:
    """Every declared column of every row is the oracle's, but for what is held or waits for that.

    `expected` is by device or site, time, and the state where there is one. Of days `hours` are the keys of their
    hours: the day's row says where the device stands in the last of them.
    """
    last: dict[Any, datetime] = {}
    for device, hour, *_ in hours:
        last[device, hour.date()] = max(hour, last.get((device, hour.date()), hour))
    ours = {}
    for key, figures in expected.items():
        row = _placed(plant, table, key, last) | dict(figures)
        if not _waits(plant, row):
            # a column that the oracle does not know is an error here
            ours[key] = {column.name: near(row[column.name]) for column in table.columns}
    rows = [row for row in plant.rows(f"lake_gold_{table.short_name}") if not _waits(plant, row)]
    assert table.period is not None
    names = [table.key[0], table.period.column, *(("state",) if "state" in table.key else ())]
    theirs = {tuple(row[name] for name in names): row for row in rows}
    assert len(theirs) == len(rows)
    assert theirs.keys() == ours.keys()
    for key, row in theirs.items():
        assert row == ours[key], key


def _placed(plant: Plant, table: Table, key: tuple[Any, ...], last: Mapping[Any, datetime]) -> dict[str, Any]:
    """What a row has beside figures; `last` is the last hour of a device's day."""
    (owner, at), of_time = key[:2], table.period
    assert of_time is not None
    of = next(each for each in plant.models[MODEL].telemetry if each.column == plant.column)
    row = {of_time.column: at, "metric_name": of.metric_name, "unit": of.unit, "model_id": MODEL, "event_date": at}
    if isinstance(at, datetime):
        row |= {"event_date": at.date(), "event_hour": at.hour}
    if table.key[0] == "site_id":
        return row | {"site_id": owner}
    stands = plant.site_of(owner, at.replace(minute=0) if isinstance(at, datetime) else last[owner, at])
    return row | {"device_id": owner, "site_id": stands, "state": key[2] if len(key) > 2 else None}


def _waits(plant: Plant, row: Mapping[str, Any]) -> bool:
    if "event_hour" in row:
        return (row["event_date"], row["event_hour"]) in {(hour.date(), hour.hour) for hour in plant.held}
    return row["day_date"] in plant.waiting


def moving(device: str, hour: datetime) -> str:
    """Where a device stands: one of them goes to another site amid the day."""
    return "oslo" if device == "a" and hour >= DAY + 2 * HOUR else "johns"


COUNTERS = ("stg_counter_hours", "stg_counter_increases", "stg_counter_minutes", "stg_minute_increases")


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches(st.sampled_from(COUNTS)))
@example([([("a", 0, 10.0), ("a", 3601, 990.0)], set()), ([("a", 3599, 1.0)], set())])
def test_counters_are_as_in_plain_python(built: tuple[Any, Any], history: list[Any]) -> None:
    """Increase, resets, roll-overs and what is carried in, by hour and by day."""
    plant = Plant(*built, "count", "counter", COUNTERS, moving)
    played(plant, history)
    hours = counter_hours(plant.readings, MAXIMUM, LIMIT, plant.held)
    assert_same(plant, COUNTER_HOURS, hours)
    assert all(row["increase"] >= 0 for row in hours.values())
    days = counter_days(counter_steps(plant.readings, MAXIMUM, LIMIT, plant.held))
    assert_same(plant, COUNTER_DAYS, days, hours)


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
    steps = counter_steps(plant.readings, MAXIMUM, LIMIT, plant.held)
    assert_same(plant, COUNTER_MINUTES, counter_minutes(steps))
    assert_same(plant, COUNTER_SITE_DAYS, counter_site_days(steps, site_of, ZONES))


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
    plant = Plant(*built, column, "gauge", ("stg_gauge_hours", "stg_gauge_spans"), moving)
    played(plant, history)
    hours = gauge_hours(plant.readings, is_linear, LIMIT, plant.held, unit_s)
    unit = {"integral_unit": integral_unit}
    assert_same(plant, GAUGE_HOURS, {key: row | unit for key, row in hours.items()})
    days = gauge_days(plant.readings, hours, unit_s)
    assert_same(plant, GAUGE_DAYS, {key: row | unit for key, row in days.items()}, hours)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches(st.sampled_from(("on", "off", "idle"))))
@example([([("a", 0, "on")], set()), ([("b", 14400, "off")], set()), ([("a", 3599, "off")], set())])
def test_states_are_as_in_plain_python(built: tuple[Any, Any], history: list[Any]) -> None:
    """Seconds, transitions, the last state, and what is carried in and over hours in which nothing came."""
    plant = Plant(*built, "mode", "state", ("stg_state_hours", "stg_state_parts"), moving)
    played(plant, history)
    starts = [each.hour for each in plant.readings]
    between = int((max(starts) - min(starts)) / HOUR)
    starts = [min(starts) + number * HOUR for number in range(between + 1)]
    hours = state_hours(plant.readings, LIMIT, starts, plant.held)
    assert_same(plant, STATE_HOURS, hours)
    assert_same(plant, STATE_DAYS, state_days(hours), hours)


CLOCKS = (
    "Europe/Berlin",
    "America/St_Johns",
    "Australia/Lord_Howe",  # clocks are set by half an hour
    "America/Santiago",  # forward at midnight, which there is not
    "America/Havana",  # back to midnight, of which there are two
    "Pacific/Chatham",
)
AUTUMN_WEEK = [("s0", 0, quarter, float(quarter % 7)) for quarter in range(-6 * 96, 2 * 96, 48)]


def from_day(first: date) -> date:
    """The Monday before."""
    return first - timedelta(days=first.weekday())


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([(zone, day) for zone in CLOCKS for day in clock_changes(zone, 2025)]), min_size=2,
             max_size=2),
    st.lists(st.tuples(st.sampled_from(["s0", "s1"]), st.integers(0, 1), st.integers(-8 * 96, 8 * 96),
                       st.sampled_from(COUNTS)), min_size=1, max_size=40),
    st.tuples(st.integers(0, 300), st.integers(0, 300)),
)  # fmt: skip
@example([("Europe/Berlin", date(2025, 10, 26)), ("America/St_Johns", date(2025, 11, 2))], AUTUMN_WEEK, (0, 30))
@example([("Europe/Berlin", date(2025, 10, 26)), ("America/St_Johns", date(2025, 11, 2))], AUTUMN_WEEK, (0, 0))
def test_days_weeks_and_months_of_sites_are_as_in_plain_python(
    built: tuple[Any, Any], places: list[tuple[str, date]], quarters: list[Any], around: tuple[int, int]
) -> None:
    """Around the days on which clocks are set: where a site's days begin, how long they are and what they come to; the
    calendar of its zone; its weeks and months, which are complete once gold covers all of them."""
    zones = {f"s{number}": zone for number, (zone, _) in enumerate(places)}
    readings = [
        # by the quarter of an hour around the beginning of the day that has another length
        Reading(site, begins(zones[site], places[which][1]) + quarter * HOUR / 4, offset, value)
        for offset, (site, which, quarter, value) in enumerate(quarters)
    ]
    given_, covered = SiteReadings(readings, zones), hours_around(readings, *around)
    gold = SiteGold(built[0], given_, covered)

    def assert_rows(name: str, columns: Sequence[str], key: Sequence[str], ours: Iterable[Mapping[str, Any]]) -> None:
        expected = {tuple(row[each] for each in key): {each: near(row[each]) for each in columns} for row in ours}
        found = {tuple(row[each] for each in key): row for row in gold.rows(name)}
        assert found.keys() == expected.keys()
        for place, row in found.items():
            assert row == expected[place], (name, place)

    assert_rows("gold.site_days", SITE_DAYS.column_names, ("site_id", "day_date"), given_.days().values())
    weeks = given_.periods("week_date", from_day, lambda day: day + 7 * A_DAY, covered)
    months = given_.periods("month_date", lambda day: day.replace(day=1),
                            lambda day: (day + 32 * A_DAY).replace(day=1), covered)  # fmt: skip
    for view, rows in zip(SITE_PERIODS, (weeks, months), strict=True):
        assert_rows(view.name, [each.name for each in view.columns], ("site_id", view.period), rows.values())
    assert_rows("gold.calendar", CALENDAR.column_names, ("zone", "day_date"), [
        {
            "zone": zone, "day_date": day, "starts_at": begins(zone, day), "ends_at": begins(zone, day + A_DAY),
            "hours_in_day": (begins(zone, day + A_DAY) - begins(zone, day)) / HOUR,
            "is_dst_change": begins(zone, day + A_DAY) - begins(zone, day) != A_DAY,
            "week_date": from_day(day), "month_date": day.replace(day=1),
        }
        for zone in {"UTC", *zones.values()}
        for day in (date(2025, 1, 1) + A_DAY * number for number in range(365))
    ])  # fmt: skip
