"""Series of what only counters or gauges have, by Python and by the API, against sums in plain Python."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import lakehouse
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_HOURS, DEVICE_LATEST, SITES
from lake.tables.gold_kinds import COUNTER_HOURS, COUNTER_MINUTES, GAUGE_HOURS
from runtime.errors import UsageError
from runtime.settings import Settings
from serving.access.api_keys import ApiKey
from serving.access.doors import Caller
from serving.access.scopes import parse_scopes
from serving.api.series_routes import series
from serving.problems import Problem
from serving.snapshots import Snapshot
from tests.support.published_lake import START, gold_row, publish_rows
from tests.support.served_gold import newest_snapshot

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
END = START + timedelta(days=2)
KEY = ApiKey("k", "app", parse_scopes(["read"]), 50.0, START, None, None)
# the second day begins at another site; of hour 3 nothing came
HOURS = [n for n in range(48) if n != 3]


def site(number: int) -> str:
    """Where the device stands in an hour."""
    return "north" if number < 24 else "south"


def power(number: int) -> dict[str, float]:
    """The figures of a gauge in an hour, uneven so that no weight is another's."""
    return {"value_first": 100.0 - number, "time_weighted_mean": number * 1.5, "covered_s": 60.0 * (number % 7)}


def rows(table: Table, metric: str, times: Sequence[datetime], **more: Any) -> list[dict[str, Any]]:
    """Rows of a table, with the increase that is the number of its hour or minute."""
    common = {"metric_name": metric, "integral": 0.0, "integral_unit": "wh", "value_stddev": 0.0, "reset_count": 0,
              "rollover_count": 0, "first_event_at": START, "covered_s": 60.0, "value_first": 7.0}  # fmt: skip
    made = []
    for at in times:
        number = (at - START) // HOUR
        own = {"site_id": site(number), "increase": 0.25 + (at - START) // MINUTE} | (
            power(number) if metric == "power" else {}
        )
        values = gold_row(table, at, 1.0) | common | own | more
        made.append({name: each for name, each in values.items() if name in table.column_names})
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of a counter and a gauge."""
    home = tmp_path_factory.mktemp("kinds")
    hours = [START + n * HOUR for n in HOURS]
    zones = {"path": "", "is_declared": True}
    publish_rows(Settings(home=home, lake_uri=str(home / "lake")), {
        DEVICE_HOURS: [*rows(DEVICE_HOURS, "power", hours), *rows(DEVICE_HOURS, "energy", hours)],
        DEVICE_LATEST: [each for name in ("power", "energy") for each in rows(DEVICE_LATEST, name, hours[-1:])],
        GAUGE_HOURS: rows(GAUGE_HOURS, "power", hours),
        COUNTER_HOURS: rows(COUNTER_HOURS, "energy", hours),
        COUNTER_MINUTES: rows(COUNTER_MINUTES, "energy", [START + n * MINUTE for n in range(90)]),
        SITES: [{"site_id": name, "name": name, "zone": "Asia/Tokyo", **zones} for name in ("north", "south")],
    })  # fmt: skip
    return home


@pytest.fixture(scope="module")
def snapshot(home: Path) -> Iterator[Snapshot]:
    """What the server has of it."""
    with newest_snapshot(Settings(home=home, lake_uri=str(home / "lake"))) as snapshot:
        yield snapshot


def by_python(home: Path, metric: str, **ask: Any) -> list[dict[str, Any]]:
    """The points that Python is given."""
    gold = lakehouse.open(home).publication()
    return list(gold.series("thermostat-0001", metric, START, END, **ask).to_arrow().to_pylist())


def by_api(snapshot: Snapshot, metric: str, *sites: str, value: str, **ask: Any) -> list[dict[str, Any]]:
    """The points that the API answers to who sees these sites, or all."""
    values = {"device_id": "thermostat-0001", "metric_name": metric, "start": START, "end": END, "every": "1h",
              "fill": "gap", "aggregate": value, "unit": None} | ask  # fmt: skip
    return list(series(snapshot, Caller(KEY, sites or None), values).rows.to_pylist())


def expected(value: str, numbers: Sequence[int]) -> float | None:
    """A figure of hours, in plain Python."""
    there = [n for n in numbers if n in HOURS]
    if not there:
        return None
    if value == "increase":
        return sum(0.25 + 60 * n for n in there)
    if value == "first":
        return power(min(there))["value_first"]
    covered = sum(power(n)["covered_s"] for n in there)
    if len(there) == 1:
        return power(there[0])["time_weighted_mean"]
    return sum(power(n)["time_weighted_mean"] * power(n)["covered_s"] for n in there) / covered


@pytest.mark.parametrize(("value", "metric"), [
    ("increase", "energy"), ("first", "power"), ("time_weighted_mean", "power"),
])  # fmt: skip
@pytest.mark.parametrize(("every", "length"), [("1h", 1), ("6h", 6), ("1d", 24)])
def test_figures_by_kind_are_those_of_their_hours(
    home: Path, snapshot: Snapshot, value: str, metric: str, every: str, length: int
) -> None:
    """Python and the API say what plain Python does of the hours of each interval, and leave a gap a gap."""
    found = by_python(home, metric, value=value, every=every)
    assert by_api(snapshot, metric, value=value, every=every) == found
    spans = [range(begin, begin + length) for begin in range(0, 48, length)]
    assert [each["value"] for each in found] == [pytest.approx(expected(value, span)) for span in spans]
    assert [each["period_at"] for each in found] == [START + span[0] * HOUR for span in spans]
    assert [each["reading_count"] for each in found] == [60 * sum(n in HOURS for n in span) for span in spans]


def test_a_counter_grows_by_minute_and_by_local_day_too(home: Path, snapshot: Snapshot) -> None:
    """Minutes are those of the counter's own table; Tokyo's days begin at 15:00 UTC."""
    minutes = by_python(home, "energy", value="increase", every="15m")
    assert [each["value"] for each in minutes[:7]] == [
        *(sum(0.25 + n for n in range(begin, begin + 15)) for begin in range(0, 90, 15)), None,
    ]  # fmt: skip
    assert by_api(snapshot, "energy", value="increase", every="15m") == minutes
    days = by_python(home, "energy", value="increase", every="local_day")
    assert [each["value"] for each in days] == [expected("increase", span) for span in (
        range(15), range(15, 39), range(39, 48))]  # fmt: skip
    assert by_api(snapshot, "energy", value="increase", every="local_day") == days


def test_the_first_value_of_a_counter_is_its_own_tables(home: Path) -> None:
    """A metric that is no gauge has it as a counter."""
    assert {each["value"] for each in by_python(home, "energy", value="first")} == {7.0, None}


def test_who_sees_a_site_gets_the_hours_in_which_the_device_stood_there(snapshot: Snapshot) -> None:
    """A day is added up of the hours that the key sees."""
    for name, there in (("north", range(24)), ("south", range(24, 48))):
        found = by_api(snapshot, "energy", name, value="increase", every="1d")
        assert [each["value"] for each in found if each["value"] is not None] == [expected("increase", there)]


@pytest.mark.parametrize(("metric", "ask", "said"), [
    ("power", {"value": "increase"}, "increase is a figure of counters, and power of thermostat-0001 has none"),
    ("energy", {"value": "time_weighted_mean"}, "time_weighted_mean is a figure of gauges"),
    ("power", {"value": "time_weighted_mean", "every": "5m"}, "is published by hour"),
    ("power", {"value": "first", "every": "1m"}, "is published by hour"),
    ("energy", {"value": "increase", "fill": "linear"}, "increase is not filled"),
])  # fmt: skip
def test_what_gold_does_not_have_is_refused(
    home: Path, snapshot: Snapshot, metric: str, ask: dict[str, Any], said: str
) -> None:
    """A figure of another kind, one that there is not by minute, and a filled increase, with a sentence."""
    with pytest.raises(UsageError, match=said):
        by_python(home, metric, **ask)
    with pytest.raises(Problem, match=f"400 .*{said}"):
        by_api(snapshot, metric, **ask)


def test_what_was_never_measured_is_told_so(home: Path) -> None:
    """Before it is said of what kind it is not."""
    with pytest.raises(UsageError, match="was never measured"):
        by_python(home, "pressure", value="increase")
