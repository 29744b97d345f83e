"""Series by local days: what counts for a day of a zone, asked by Python and by the API, of published gold alone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import lakehouse
from lake.storage.locations import table_uri
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_HOURS, DEVICE_LATEST, DEVICE_MINUTES, SITES
from runtime.errors import QueryError, UsageError
from runtime.settings import Settings
from serving.access.api_keys import ApiKey
from serving.access.doors import Caller
from serving.access.scopes import parse_scopes
from serving.api.series_routes import series
from serving.problems import Problem
from serving.snapshots import Snapshot
from tests.support.published_lake import gold_row, publish_rows
from tests.support.served_gold import newest_snapshot

ZONES = {"berlin": "Europe/Berlin", "kathmandu": "Asia/Kathmandu"}
AUTUMN, SPRING, LATER = (datetime(2026, *day, tzinfo=UTC) for day in ((10, 24), (3, 28), (11, 20)))
KEY = ApiKey("k", "app", parse_scopes(["read"]), 50.0, AUTUMN, None, None)


def hour(device: str, site: str, at: datetime, value: float, **changes: Any) -> dict[str, Any]:
    """An hour of a device, of 60 readings."""
    return gold_row(DEVICE_HOURS, at, value, device_id=device, site_id=site, **changes)


def hours(device: str, site: str, start: datetime, count: int) -> list[dict[str, Any]]:
    """Hours one after another, with the values 0, 1, 2 and so on."""
    return [hour(device, site, start + timedelta(hours=n), float(n)) for n in range(count)]


def minute(device: str, site: str, at: datetime, value: float) -> dict[str, Any]:
    """A minute of a device, of 60 readings."""
    return gold_row(DEVICE_MINUTES, at, value, device_id=device, site_id=site)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published hours around both nights in which Berlin sets its clocks, and devices for what else may be."""
    home = tmp_path_factory.mktemp("local_days")
    midnight = datetime(2026, 11, 19, 18, 15, tzinfo=UTC)  # in Kathmandu
    at_two = [hour("moved", "berlin", LATER, 1.0), hour("moved", "kathmandu", LATER + timedelta(hours=30), 2.0)]
    uneven = [hour("b", "berlin", LATER, 0.0, reading_count=10),
              hour("b", "berlin", LATER + timedelta(hours=1), 11.0, reading_count=100)]  # fmt: skip
    units = [hour("units", "berlin", LATER, 0.0), hour("units", "berlin", LATER, 0.0, unit="degf")]
    rows: dict[Table, list[dict[str, Any]]] = {
        DEVICE_HOURS: [
            *hours("b", "berlin", AUTUMN, 72), *hours("b", "berlin", SPRING, 72), *at_two, *uneven, *units,
            hour("k", "kathmandu", datetime(2026, 11, 19, 18, tzinfo=UTC), 9.0), hour("nowhere", "none", LATER, 5.0),
        ],
        DEVICE_MINUTES: [minute("k", "kathmandu", midnight + timedelta(minutes=n), float(n)) for n in (-1, 0, 1)],
        DEVICE_LATEST: [gold_row(DEVICE_LATEST, LATER, 0.0, device_id=name, site_id=site) for name, site in (
            ("b", "berlin"), ("k", "kathmandu"), ("moved", "kathmandu"), ("nowhere", "none"), ("units", "berlin"))],
        SITES: [{"site_id": name, "name": None, "zone": zone, "parent_id": None, "path": f"/{name}",
                 "is_declared": True} for name, zone in ZONES.items()],
    }  # fmt: skip
    publish_rows(Settings(home=home, lake_uri=str(home / "lake")), rows)
    return home


@pytest.fixture(scope="module")
def snapshot(home: Path) -> Iterator[Snapshot]:
    """The publication as the API has it."""
    with newest_snapshot(Settings(home=home, lake_uri=str(home / "lake"))) as opened:
        yield opened


def points(home: Path, device: str, start: datetime, end: datetime, **ask: Any) -> list[dict[str, Any]]:
    """The points that Python is given."""
    gold = lakehouse.open(home).publication()
    found = gold.series(device, "temperature", start, end, every="local_day", **ask)
    return list(found.to_arrow().to_pylist())


def answered(snapshot: Snapshot, device: str, start: datetime, end: datetime, *sites: str, **ask: Any) -> Any:
    """The points that the API answers to who sees these sites, or all."""
    values = {"device_id": device, "metric_name": "temperature", "start": start, "end": end, "every": "local_day",
              "fill": "gap", "aggregate": "mean", "unit": None} | ask  # fmt: skip
    return series(snapshot, Caller(KEY, sites or None), values).rows.to_pylist()


@pytest.mark.parametrize(
    ("start", "middle", "length", "values"),
    [
        # from 22:00 UTC on, 25 hours: those with the values 22 to 46
        (AUTUMN, date(2026, 10, 25), 25, {"mean": 34.0, "min": 21.0, "max": 47.0, "last": 46.0}),
        # from 23:00 UTC on, 23 hours: 23 to 45
        (SPRING, date(2026, 3, 29), 23, {"mean": 34.0, "min": 22.0, "max": 46.0, "last": 45.0}),
    ],
)
def test_a_day_in_which_clocks_are_set_has_its_hours(
    home: Path, snapshot: Snapshot, start: datetime, middle: date, length: int, values: dict[str, float]
) -> None:
    """The days before and after have 24 hours; no hour counts twice or not at all; Python and the API say the same."""
    end = start + timedelta(hours=60)
    for value, expected in values.items():
        found = points(home, "b", start, end, value=value)
        assert answered(snapshot, "b", start, end, aggregate=value) == found
        assert [each["day_date"] for each in found] == [middle + timedelta(days=n) for n in (-1, 0, 1)]
        assert [each["hours_in_day"] for each in found] == [24.0, float(length), 24.0]
        assert found[1]["value"] == expected
    assert found[1]["reading_count"] == 60 * length
    assert sum(each["reading_count"] for each in found) == 60 * (71 if length == 25 else 70)
    assert {(each["zone"], each["unit"]) for each in found} == {("Europe/Berlin", "degc")}
    assert found[1]["period_at"] == start + timedelta(hours=22 if length == 25 else 23)


def test_where_midnight_falls_into_an_hour_minutes_are_added_up(home: Path, snapshot: Snapshot) -> None:
    """Of Kathmandu's 18:15 UTC the minute before is of the day before, those from it on of the next."""
    span = datetime(2026, 11, 19, 18, tzinfo=UTC), datetime(2026, 11, 19, 19, tzinfo=UTC)
    found = points(home, "k", *span)
    assert [(each["day_date"].day, each["value"], each["reading_count"]) for each in found] == [
        (19, -1.0, 60),
        (20, 0.5, 120),
    ]
    assert answered(snapshot, "k", *span) == found


def test_days_weigh_readings_and_show_gaps(home: Path) -> None:
    """An hour of 10 readings counts a tenth of one of 100; a day without any is a gap, or filled and marked."""
    span = LATER, LATER + timedelta(hours=30)
    assert [(each["value"], each["is_filled"]) for each in points(home, "b", *span)] == [(10.0, False), (None, False)]
    assert [each["value"] for each in points(home, "b", *span, fill="previous")] == [10.0, 10.0]
    assert points(home, "b", *span, fill="previous")[1]["is_filled"]


def test_a_site_that_is_not_declared_has_days_of_utc(home: Path) -> None:
    """As the published days of sites have."""
    (found,) = points(home, "nowhere", LATER, LATER + timedelta(hours=1))
    assert (found["zone"], found["period_at"], found["value"]) == ("UTC", LATER, 5.0)


def test_days_of_two_zones_are_refused_and_each_key_has_its_own(home: Path, snapshot: Snapshot) -> None:
    """Who sees both sites is told to ask for a shorter span; who sees one has the days and the hours of that one."""
    span = LATER, LATER + timedelta(days=2)
    with pytest.raises(UsageError, match=r"more zones than one.*Asia/Kathmandu, Europe/Berlin"):
        points(home, "moved", *span)
    for sites in ((), ("berlin", "kathmandu")):
        with pytest.raises(Problem, match=r"400 .*more zones than one"):
            answered(snapshot, "moved", *span, *sites)
    seen = answered(snapshot, "moved", *span, "berlin")
    assert {each["zone"] for each in seen} == {"Europe/Berlin"}
    assert [each["value"] for each in seen if each["value"] is not None] == [1.0]
    with pytest.raises(Problem, match="404"):
        answered(snapshot, "b", *span, "kathmandu")


def test_what_cannot_be_answered_is_refused(home: Path, snapshot: Snapshot) -> None:
    """Two units, times that have no local days, too many of them, an empty span, and a device that there is not."""
    day = timedelta(days=1)
    for start, end in ((datetime(1, 1, 1, tzinfo=UTC), LATER), (LATER, datetime(9999, 12, 31, tzinfo=UTC)),
                       (LATER, LATER + 5_000 * day)):  # fmt: skip
        with pytest.raises(UsageError, match="ocal days"):
            points(home, "b", start, end)
        with pytest.raises(Problem, match="400 Bad parameter"):
            answered(snapshot, "b", start, end)
    with pytest.raises(UsageError, match="end is not after start"):
        points(home, "b", LATER, LATER - 2 * day)
    with pytest.raises(QueryError, match="temperature has more units than one here"):
        points(home, "units", LATER, LATER + day)
    with pytest.raises(Problem, match="400 Several units"):
        answered(snapshot, "units", LATER, LATER + day)
    assert points(home, "units", LATER, LATER + day, unit="degf")[0]["unit"] == "degf"
    with pytest.raises(UsageError, match="of that device there is nothing"):
        points(home, "d9", LATER, LATER + day)


@pytest.mark.parametrize("every", ["local_day", "1m"])
def test_a_damaged_file_is_not_called_several_units(tmp_path: Path, every: str) -> None:
    """DuckDB's error for a file that is no Parquet, of the same class, is told as what it is, by Python and the API."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    midnight = datetime(2026, 11, 19, 18, 15, tzinfo=UTC)
    rows: dict[Table, list[dict[str, Any]]] = {
        DEVICE_HOURS: [hour("k", "kathmandu", midnight.replace(minute=0), 9.0)],
        DEVICE_MINUTES: [minute("k", "kathmandu", midnight, 1.0)],
        DEVICE_LATEST: [gold_row(DEVICE_LATEST, LATER, 0.0, device_id="k", site_id="kathmandu")],
        SITES: [{"site_id": "kathmandu", "name": None, "zone": ZONES["kathmandu"], "parent_id": None,
                 "path": "/kathmandu", "is_declared": True}],
    }  # fmt: skip
    publish_rows(settings, rows)
    (file,) = Path(table_uri(settings, DEVICE_MINUTES.name)).rglob("*.parquet")
    file.write_bytes(bytes(file.stat().st_size))
    span = midnight, midnight + timedelta(minutes=1)
    with pytest.raises(duckdb.InvalidInputException, match="No magic bytes"):
        lakehouse.open(tmp_path).publication().series("k", "temperature", *span, every=every)
    with newest_snapshot(settings) as opened, pytest.raises(duckdb.InvalidInputException, match="No magic bytes"):
        answered(opened, "k", *span, every=every)
