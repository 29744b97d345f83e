"""Comforts of SQL: wide views, series, filled gaps, comparisons, and DESCRIBE that says what a column means."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lake.models.catalog import BUILT_IN_MODELS, load_models
from lake.reading.reader import Reader, open_reader
from lake.records import publications
from lake.records.publications import Publication
from lake.storage.delta import append
from lake.tables.gold import DEVICE_DAYS, DEVICE_HOURS
from lake.tables.gold_kinds import STATE_HOURS
from runtime.errors import QueryError
from runtime.settings import Settings
from tests.support.small_lake import NOW, THERMOSTAT, arrow_table

MODELS = load_models([BUILT_IN_MODELS])
PUMP = "dtmi:lakehouse:pump;1"
START = datetime(2026, 11, 18, tzinfo=UTC)


def hour(number: int, metric: str, unit: str, value: float, **changes: Any) -> dict[str, Any]:
    """A row of gold.device_hours."""
    at = START + timedelta(hours=number)
    return {
        "device_id": "d1", "metric_name": metric, "unit": unit, "model_id": THERMOSTAT, "site_id": "s1", "hour_at": at,
        "event_date": at.date(), "event_hour": at.hour, "reading_count": 60, "value_mean": value,
        "value_min": value - 1, "value_max": value + 1, "value_last": value,
        "last_event_at": at, "value_p50": value, "value_p95": value,
    } | changes  # fmt: skip


def state(number: int, metric: str, name: str, **changes: Any) -> dict[str, Any]:
    """A row of gold.state_hours of the pump."""
    at = START + timedelta(hours=number)
    return {
        "device_id": "p1", "metric_name": metric, "unit": "1", "model_id": PUMP, "site_id": "s1", "state": name,
        "hour_at": at, "event_date": at.date(), "event_hour": at.hour, "reading_count": 1, "duration_s": 60.0,
        "entered_count": 0, "is_last": True, "is_carried": False, "last_event_at": at, "carried_at": None,
    } | changes  # fmt: skip


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A lake with two metrics of a thermostat in hours 0, 1 and 3, and one of a pump, with states in hours 0 to 2."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, lake_uri=str(home / "lake"))
    rows = [hour(number, "temperature", "degc", 20.0 + number) for number in (0, 1, 3)]
    rows += [hour(number, "humidity", "pct", 40.0) for number in (0, 1, 3)]
    rows.append(hour(0, "pressure", "kpa", 300.0, device_id="p1", model_id=PUMP))
    version = append(settings, DEVICE_HOURS, arrow_table(DEVICE_HOURS, rows), {})
    states = [
        state(0, "state", "stopped", is_last=False), state(0, "state", "running"), state(0, "isRunning", "true"),
        state(1, "state", "fault"), state(1, "isRunning", "true", is_carried=True, reading_count=0),
        state(2, "state", "fault", is_carried=True, reading_count=0),
    ]  # fmt: skip
    of_states = append(settings, STATE_HOURS, arrow_table(STATE_HOURS, states), {})
    tables = {DEVICE_HOURS.name: version, STATE_HOURS.name: of_states}
    publications.record(settings, Publication(1, NOW, tables, {}, (), (), (), "", "", {}, "1", "run"))
    with open_reader(settings, MODELS) as reader:
        yield reader


def ask(reader: Reader, sql: str) -> list[tuple[Any, ...]]:
    """The rows of one statement, checked as those of a person."""
    (statement,) = reader.statements(sql)
    return reader.run(statement).fetchall()


def test_a_models_metrics_stand_side_by_side(reader: Reader) -> None:
    """One row a device and hour, a column a metric named as in silver, and none of another model's devices."""
    columns = "device_id, temperature_degc, temperature_max_degc, humidity_pct"
    rows = ask(reader, f"SELECT {columns} FROM wide.thermostats_hours ORDER BY hour_at")
    assert rows == [("d1", 20.0, 21.0, 40.0), ("d1", 21.0, 22.0, 40.0), ("d1", 23.0, 24.0, 40.0)]
    assert ask(reader, "SELECT DISTINCT device_id FROM wide.pumps_hours") == [("p1",)]


def test_states_stand_beside_metrics(reader: Reader) -> None:
    """The newest state of each hour, also a carried one, of hours in which anything came; minutes have no states."""
    sql = (
        "SELECT hour_at, state, is_running, pressure_kpa FROM wide.pumps_hours WHERE hour_at >= '2026-11-18' ORDER BY 1"
    )
    assert ask(reader, sql) == [
        (START, "running", "true", 300.0), (START + timedelta(hours=1), "fault", "true", None)
    ]  # fmt: skip
    described = {row[0]: row for row in ask(reader, "DESCRIBE wide.pumps_hours")}
    assert described["state"][1:3] == ("VARCHAR", "YES")
    assert "state" not in {column.name for column in reader.comforts["pumps_minutes"].columns}


def test_gaps_of_a_series_are_shown_and_can_be_filled(reader: Reader) -> None:
    """An hour without readings is a row without a value; macros carry the last one on, or draw a line."""
    series = "hours_series('d1', 'temperature', '2026-11-18', '2026-11-18 04:00', INTERVAL 1 hour)"
    rows = ask(reader, "SELECT value_mean, fill_previous(value_mean, period_at), fill_linear(value_mean, period_at), "
                       f"reading_count FROM {series}")  # fmt: skip
    assert rows == [(20.0, 20.0, 20.0, 60), (21.0, 21.0, 21.0, 60), (None, 21.0, 22.0, 0), (23.0, 23.0, 23.0, 60)]


def test_no_gap_is_filled_from_another_device(reader: Reader) -> None:
    """Of two devices in one question each is filled from its own values, told apart by `series`."""
    rows = """(VALUES ('d1', 0, 1.0), ('d1', 2, NULL), ('d1', 4, 5.0), ('d1', 6, NULL),
                      ('d2', 1, NULL), ('d2', 3, 40.0), ('d2', 5, NULL), ('d2', 7, 60.0)) AS _(device, hour, value)"""
    at = "TIMESTAMPTZ '2026-11-18' + to_hours(hour)"
    previous, linear = (f"fill_{way}(value, {at}, series := device)" for way in ("previous", "linear"))
    assert ask(reader, f"SELECT {previous}, {linear} FROM {rows} ORDER BY device, hour") == [
        (1.0, 1.0), (1.0, 3.0), (5.0, 5.0), (5.0, None), (None, None), (40.0, 40.0), (40.0, 50.0), (60.0, 60.0)
    ]  # fmt: skip


def test_a_series_may_be_coarser_than_its_table(reader: Reader) -> None:
    """Two hours become one period; its mean, minimum and maximum are those of all its readings."""
    series = "hours_series('d1', 'temperature', '2026-11-18', '2026-11-18 02:00', INTERVAL 2 hour)"
    assert ask(reader, f"SELECT value_mean, value_min, value_max, value_last FROM {series}") == [
        (20.5, 19.0, 22.0, 21.0)
    ]


def test_comforts_go_into_a_chain_of_steps(reader: Reader) -> None:
    """WITH, step upon step: a wide view, a series and a table, and a step with the name of a table that it reads."""
    sql = """
        WITH device_hours AS (FROM gold.device_hours WHERE device_id = 'd1'),
        warm AS (SELECT hour_at, temperature_degc FROM wide.thermostats_hours WHERE device_id = 'd1'),
        even AS (FROM hours_series('d1', 'temperature', '2026-11-18 00:00', '2026-11-18 04:00', INTERVAL 1 hour)),
        joined AS (SELECT period_at, temperature_degc, fill_previous(temperature_degc, period_at) AS filled
                   FROM even LEFT JOIN warm ON hour_at = period_at)
        SELECT count(*), count(temperature_degc), count(filled),
            (SELECT count(*) FROM device_hours WHERE metric_name = 'temperature') FROM joined"""
    assert ask(reader, sql) == [(4, 3, 4, 3)]


def test_periods_are_compared(reader: Reader) -> None:
    """Each hour stands beside the one so long before it, with the change and its share."""
    compared = "compared_hours('d1', 'temperature', '2026-11-18 01:00', '2026-11-18 02:00', INTERVAL 1 hour)"
    assert ask(reader, f"SELECT value, value_before, change, change_ratio FROM {compared}") == [(21.0, 20.0, 1.0, 0.05)]


def test_describe_says_null_key_and_meaning(reader: Reader) -> None:
    """What is declared of a table is seen where a person looks; a wide view and plain SQL have their DESCRIBE, too."""
    declared = [(c.name, "NO" if not c.nullable else "YES", c.description) for c in DEVICE_HOURS.columns]
    rows = ask(reader, "DESCRIBE gold.device_hours")
    assert [(row[0], row[2], row[4]) for row in rows] == declared
    assert [row[0] for row in rows if row[3] == "PRI"] == list(DEVICE_HOURS.key)
    assert ask(reader, "describe device_hours") == rows
    wide = {row[0]: row for row in ask(reader, "DESCRIBE wide.thermostats_hours")}
    assert wide["humidity_pct"][1:3] == ("DOUBLE", "YES")
    assert [row[0] for row in ask(reader, "DESCRIBE SELECT 1 AS one")] == ["one"]


def test_what_reads_a_table_that_is_not_there_says_so(reader: Reader) -> None:
    """A comfort of days has nothing to read here; what can be named is listed without it."""
    with pytest.raises(QueryError):
        ask(reader, "FROM wide.thermostats_days")
    offered = reader.offered()
    assert {"wide.thermostats_hours", "hours_series", "fill_linear"} <= set(offered)
    assert f"wide.thermostats_{DEVICE_DAYS.short_name.removeprefix('device_')}" not in offered


def test_a_publication_is_named_for_what_a_comfort_reads(reader: Reader) -> None:
    """SQL that names only a view counts as asking its table."""
    assert reader.mentioned("FROM wide.thermostats_hours") == ["gold.device_hours"]
