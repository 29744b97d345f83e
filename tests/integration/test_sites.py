"""Sites on the real line: declarations from Kafka to published gold."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import fsum
from statistics import quantiles
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.reading.reader import open_reader
from lake.records import publications
from lake.slices import slices_of_runs
from lakehouse.published import OpenLake, Value
from pipeline.gold import portions
from pipeline.gold.gold_refresh import Outcome, refresh_gold
from pipeline.proof.lineage import trace_message, trace_row
from pipeline.proof.lineage_sql import rows_of
from pipeline.proof.verification import verify
from pipeline.run import Run
from runtime.settings import Settings
from tests.support.landing import reading, registered, run_tick, send
from wire.envelope import Message, rfc3339, site_message

SPRING = datetime(2026, 3, 28, tzinfo=UTC)  # the clocks of Berlin go forward on the 29th
AUTUMN = datetime(2026, 10, 24, 20, tzinfo=UTC)  # and back on the 25th
FIGURES: tuple[Value, ...] = ("min", "max", "mean")
Row = tuple[Any, ...]


def select(settings: Settings, sql: str) -> list[Row]:
    """What readers of published gold see."""
    with open_reader(settings, known_models(settings)) as reader:
        return [tuple(row.values()) for row in rows_of(reader, sql)]


def declared(site: str, minute: int, **attributes: str) -> Message:
    """A declaration of a site, at a minute of the first day."""
    return site_message(site, f"{site}-{minute}", rfc3339(SPRING + timedelta(minutes=minute)), attributes)


@dataclass(frozen=True)
class Sent:
    """A reading as it was sent."""

    device: str
    at: datetime
    value: float

    def message(self) -> Message:
        """The message; a reading of the same moment is the same message."""
        return reading(self.device, f"{self.device}-{rfc3339(self.at)}", self.at, self.value)


def readings(device: str, first: datetime, hours: int, minutes: Sequence[int] = (15, 45)) -> list[Sent]:
    """Readings at some minutes of each hour, their values the number of the hour and a fraction."""
    moments = [(n, first + timedelta(hours=n, minutes=minute)) for n in range(hours) for minute in minutes]
    return [Sent(device, at, n + at.minute / 100) for n, at in moments]


def oracle(sent: Iterable[Sent], zones: Mapping[str, str]) -> dict[Row, Row]:
    """(site, local day) -> zone, hours, devices, readings, minimum, maximum, mean and percentiles, in plain Python.

    A device is named like its site. `zones` are those of the sites.
    """
    groups: dict[tuple[str, date], list[Sent]] = defaultdict(list)
    for each in sent:
        groups[each.device, each.at.astimezone(ZoneInfo(zones[each.device])).date()].append(each)
    found: dict[Row, Row] = {}
    for (site, day), group in groups.items():
        zone = ZoneInfo(zones[site])
        start, end = (datetime.combine(each, time(), zone) for each in (day, day + timedelta(days=1)))
        hours = (end.astimezone(UTC) - start.astimezone(UTC)) / timedelta(hours=1)
        values = [each.value for each in group]
        cuts = quantiles(values, n=20, method="inclusive") if len(values) > 1 else values * 19
        exact = (zones[site], start.astimezone(UTC), hours, 1, len(values), min(values), max(values))
        rounded = (fsum(values) / len(values), cuts[9], cuts[18])
        found[site, day] = (*exact, *(pytest.approx(each, rel=1e-12) for each in rounded))
    return found


def site_days(settings: Settings) -> dict[Row, Row]:
    """What is published, in the form of the oracle."""
    columns = "zone, starts_at, hours_in_day, device_count, reading_count, value_min, value_max, value_mean"
    sql = f"SELECT site_id, day_date, {columns}, value_p50, value_p95 FROM gold.site_days"
    return {row[:2]: row[2:] for row in select(settings, f"{sql} WHERE metric_name = 'temperature'")}


def series_days(settings: Settings, sites: Iterable[str]) -> dict[Row, Row]:
    """(site, local day) -> zone, start, hours, readings, minimum, maximum and mean, from the series of its device."""
    gold = OpenLake(settings).publication()
    found: dict[Row, Row] = {}
    for site in sites:
        span = SPRING - timedelta(days=2), AUTUMN + timedelta(days=3)
        low, high, mean = (
            gold.series(site, "temperature", *span, every="local_day", value=value).to_arrow().to_pylist()
            for value in FIGURES
        )
        for one, two, three in zip(low, high, mean, strict=True):
            if one["reading_count"]:
                day = (one["zone"], one["period_at"], one["hours_in_day"], one["reading_count"])
                found[site, one["day_date"]] = (*day, one["value"], two["value"], three["value"])
    return found


def assert_series_agree(settings: Settings, sites: Iterable[str]) -> None:
    """A site's one device has the days of its site, whose mean was summed in another order."""
    days = {key: (*row[:3], *row[4:7], pytest.approx(row[7], rel=1e-12)) for key, row in site_days(settings).items()}
    assert series_days(settings, sites) == days


def refreshed(settings: Settings, spark: SparkSession, messages: Sequence[Message]) -> Outcome | None:
    """Send, then a tick and a refresh."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, messages)
    run_tick(spark, settings)
    return refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))


def assert_verified(settings: Settings, spark: SparkSession, outcome: Outcome | None) -> None:
    """Everything that is published is what bronze comes to when it is built at once."""
    assert outcome is not None
    assert outcome.publication is not None
    assert outcome.held == []
    verified = verify(spark, settings, known_models(settings), outcome.publication, code_version="")
    assert [each for each in verified.comparisons if not each.is_same] == []


def test_declared_sites_are_published(settings: Settings, spark: SparkSession) -> None:
    """A declaration is kept, judged and published; one that cannot be is refused and named; a later one counts."""
    messages = [
        registered("d1", SPRING, site="hall"), registered("d2", SPRING, site="nowhere"),
        declared("plant", 1, name="Plant", zone="Europe/Berlin"), declared("hall", 1, parent_id="plant"),
        declared("moon", 1, zone="Moon/Base"),
        *(each.message() for each in readings("d1", SPRING, 3)),
    ]  # fmt: skip
    outcome = refreshed(settings, spark, messages)
    columns = "site_id, name, zone, parent_id, path, is_declared"
    assert select(settings, f"SELECT {columns} FROM gold.sites ORDER BY site_id") == [
        ("hall", None, "Europe/Berlin", "plant", "/plant/hall", True),
        ("nowhere", None, "UTC", None, "/nowhere", False),
        ("plant", "Plant", "Europe/Berlin", None, "/plant", True),
    ]
    days = "SELECT zone, count(*), sum(hours_in_day), min(hours_in_day), max(hours_in_day) FROM gold.calendar"
    assert select(settings, f"{days} GROUP BY zone ORDER BY zone") == [
        ("Europe/Berlin", 365, 8760.0, 23.0, 25.0), ("UTC", 365, 8760.0, 24.0, 24.0)
    ]  # fmt: skip
    refused = "SELECT reason, detail FROM silver.rejected WHERE topic = 'lifecycle'"
    assert select(settings, refused) == [("out_of_range", "zone is Moon/Base, which is no IANA time zone")]
    models = known_models(settings)
    traced = trace_row(settings, models, "gold.sites", {"site_id": "plant"})
    (record,) = traced.registry
    up = trace_message(settings, models, record["topic"], record["partition"], record["offset"])
    assert (up.table, [table for table, _ in up.gold]) == ("silver.sites", ["gold.sites"])
    assert {v["table_name"] for v in traced.verdicts} >= {"gold.sites", "silver.sites"}
    day = trace_row(settings, models, "gold.calendar", {"zone": "Europe/Berlin", "day_date": "2026-03-29"})
    assert (day.row["hours_in_day"], day.row["is_dst_change"], day.readings) == (23.0, True, ())
    assert [each["site_id"] for each in day.registry] == ["plant"]
    assert {v["table_name"] for v in day.verdicts} >= {"gold.calendar", "silver.sites"}
    assert trace_row(settings, models, "gold.calendar", {"zone": "UTC", "day_date": "2026-03-29"}).registry == ()
    assert_verified(settings, spark, outcome)
    moved = refreshed(settings, spark, [declared("plant", 2, zone="Asia/Kolkata")])
    assert select(settings, "SELECT DISTINCT zone FROM gold.sites WHERE is_declared") == [("Asia/Kolkata",)]
    assert_verified(settings, spark, moved)


def test_days_of_sites_follow_their_zones(
    settings: Settings, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the setting of clocks both ways, half-hour zones, late data and another zone, the days of sites are what
    plain Python makes of the readings, whether built bit by bit, in portions that cut local days, or, as `verify` does,
    at once; the series of their devices by local day agree; a figure is traced to exactly the readings of its day."""
    zones = {"hall": "Europe/Berlin", "delhi": "Asia/Kolkata", "elsewhere": "UTC"}
    sent = [each for site in zones for each in readings(site, SPRING - timedelta(hours=2), 52)]
    messages = [
        *(registered(site, SPRING - timedelta(days=1), site=site) for site in zones),
        declared("plant", 1, zone="Europe/Berlin"), declared("hall", 1, parent_id="plant"),
        declared("delhi", 1, zone="Asia/Kolkata"),
        *(each.message() for each in sent),
    ]  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(portions, "HOURS_AT_ONCE", 30)
        outcome = refreshed(settings, spark, messages)
    # the last hours of the 28th are of the 29th in Berlin and Delhi, which is built with the portion that has the rest
    half = publications.get(settings, 1)
    assert slices_of_runs(half.pending)[0] == "2026-03-29T00"
    days = [[each for each in part.slices if "T" not in each] for part in publications.list_all(settings)]
    assert sorted(days) == [["2026-03-27", "2026-03-28"], ["2026-03-29", "2026-03-30"]]
    assert verify(spark, settings, known_models(settings), half, code_version="").is_same
    assert_verified(settings, spark, outcome)
    assert site_days(settings) == oracle(sent, zones)
    assert site_days(settings)["hall", date(2026, 3, 29)][2:5] == (23.0, 1, 46)

    # the hour from 18:00 UTC is of two days in Delhi; Berlin has late readings of another date than that of UTC
    late = [
        *(Sent("delhi", SPRING.replace(hour=18, minute=minute), 80.0 - minute) for minute in (5, 55)),
        Sent("hall", SPRING.replace(hour=23, minute=5), -9.0),
        *readings("hall", AUTUMN, 30),
    ]
    outcome = refreshed(settings, spark, [each.message() for each in late])
    assert outcome is not None
    assert {"2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25", "2026-10-26"} <= set(outcome.days)
    sent += late
    assert site_days(settings) == oracle(sent, zones)
    assert site_days(settings)["hall", date(2026, 10, 25)][2:5] == (25.0, 1, 50)
    assert_series_agree(settings, zones)
    assert_verified(settings, spark, outcome)

    models = known_models(settings)
    for site, day in (("hall", date(2026, 3, 29)), ("delhi", date(2026, 3, 29)), ("hall", date(2026, 10, 25))):
        key = {"site_id": site, "day_date": str(day), "metric_name": "temperature"}
        traced = trace_row(settings, models, "gold.site_days", key)
        there = [each for each in sent if each.device == site]
        ours = [e.at for e in there if e.at.astimezone(ZoneInfo(zones[site])).date() == day]
        assert [row["event_at"] for row in traced.readings] == sorted(ours)
        assert ("gold.site_days", str(day)) in {(v["table_name"], v["slice"]) for v in traced.verdicts}
    first = traced.readings[0]
    up = trace_message(settings, models, first["topic"], first["partition"], first["offset"])
    assert [row["day_date"] for table, row in up.gold if table == "gold.site_days"] == [date(2026, 10, 25)]

    moved = refreshed(settings, spark, [declared("plant", 2, zone="Asia/Tokyo")])
    assert site_days(settings) == oracle(sent, zones | {"hall": "Asia/Tokyo"})
    assert_series_agree(settings, zones)
    assert_verified(settings, spark, moved)
