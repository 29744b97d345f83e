"""Days, weeks and months of sites in plain Python, and the SQL of them over made-up readings.

Belongs here: local days by `zoneinfo` alone, what a site's readings come to in them, and running the SQL that dbt has
compiled (`kinds_sql.compiled`) with a plan of these sites.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from math import fsum
from statistics import quantiles
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from lake.local_days import UTC_ZONE, days_touched
from lake.reading.site_periods import SITE_PERIODS
from lake.slices import slice_of, slice_start
from pipeline.gold.declared_sites import DeclaredSites, calendar_rows, local_hour_rows
from pipeline.gold.plan import PLAN_TABLES
from tests.support.kinds_oracle import HOUR, Reading
from tests.support.kinds_sql import MODEL
from transforms.places import Site

A_DAY = timedelta(days=1)
Rows = dict[tuple[Any, ...], dict[str, Any]]


@lru_cache
def zone_of(name: str) -> ZoneInfo:
    """A zone by the rules of the package tzdata, as the lake's; the machine's may be older."""
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@lru_cache(maxsize=10_000)
def begins(zone: str, day: date) -> datetime:
    """The first quarter of an hour of a local day; where clocks skip midnight, the moment to which they go."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - 16 * HOUR
    while moment.astimezone(zone_of(zone)).date() < day:
        moment += HOUR / 4
    return moment


def clock_changes(zone: str, year: int) -> list[date]:
    """The days of a year that have another length than 24 hours."""
    days = [date(year, 1, 1) + A_DAY * number for number in range(365)]
    return [day for day in days if begins(zone, day + A_DAY) - begins(zone, day) != A_DAY]


@dataclass(frozen=True)
class SiteReadings:
    """Readings of devices, each named like its site, and the `zones` of the sites."""

    readings: Sequence[Reading]
    zones: Mapping[str, str]

    def days(self) -> Rows:
        """The rows of `gold.site_days` by site and day."""
        groups: dict[tuple[str, date], list[float]] = {}
        for each in self.readings:
            day = each.at.astimezone(zone_of(self.zones[each.device])).date()
            groups.setdefault((each.device, day), []).append(each.value)
        rows: Rows = {}
        for (site, day), values in groups.items():
            cuts = quantiles(values, n=20, method="inclusive") if len(values) > 1 else values * 19
            start, end = (begins(self.zones[site], each) for each in (day, day + A_DAY))
            rows[site, day] = self._row(site, values) | {
                "day_date": day, "event_date": day, "starts_at": start, "hours_in_day": (end - start) / HOUR,
                "device_count": 1, "value_p50": cuts[9], "value_p95": cuts[18],
            }  # fmt: skip
        return rows

    def periods(self, name: str, first_of: Callable[[date], date], next_of: Callable[[date], date],
                covered: tuple[datetime, datetime]) -> Rows:  # fmt: skip
        """The rows of weeks or months by site and first day, which stands in the column `name`; gold covers hours of
        the time `covered`, from and up to."""
        groups: dict[tuple[str, date], list[Reading]] = {}
        for each in self.readings:
            day = each.at.astimezone(zone_of(self.zones[each.device])).date()
            groups.setdefault((each.device, first_of(day)), []).append(each)
        rows: Rows = {}
        for (site, first), group in groups.items():
            zone = self.zones[site]
            days = {each.at.astimezone(zone_of(zone)).date() for each in group}
            length = (next_of(first) - first).days
            is_covered = covered[0] <= begins(zone, first) and begins(zone, next_of(first)) <= covered[1]
            rows[site, first] = self._row(site, [each.value for each in group]) | {
                name: first, "day_count": len(days), "days_in_period": length,
                "is_complete": len(days) == length and is_covered,
            }  # fmt: skip
        return rows

    def _row(self, site: str, values: list[float]) -> dict[str, Any]:
        return {
            "site_id": site, "metric_name": "count", "unit": "1", "zone": self.zones[site],
            "reading_count": len(values), "value_min": min(values), "value_max": max(values),
            "value_mean": fsum(values) / len(values),
        }  # fmt: skip


class SiteGold:
    """The tables and views that the SQL makes of these readings; gold is said to cover hours of the time `covered`."""

    def __init__(self, sql: Mapping[str, str], given: SiteReadings, covered: tuple[datetime, datetime]) -> None:
        self.connection = duckdb.connect()
        run = self.connection.execute
        run("SET TimeZone = 'UTC'; SET threads = 1; ATTACH ':memory:' AS candidate; USE candidate")
        for schema in ("plan", "staging", "gold"):
            run(f"CREATE SCHEMA {schema}")
        sites = tuple(Site(site, None, zone, None, f"/{site}") for site, zone in given.zones.items())
        declared = DeclaredSites(sites, tuple(sorted({UTC_ZONE, *given.zones.values()})))
        hours = sorted({slice_of(each.at) for each in given.readings})
        days = days_touched(declared.zones, hours)
        self._fill("plan.sites", PLAN_TABLES["sites"], [(s.site_id, None, s.zone, None, s.path) for s in sites])
        self._fill("plan.local_hours", PLAN_TABLES["local_hours"],
                   local_hour_rows(declared, days, dict.fromkeys(hours, 1)))  # fmt: skip
        self._fill("plan.calendar", PLAN_TABLES["calendar"], calendar_rows(declared, hours))
        self._fill("staging.stg_placements", "device_id VARCHAR, event_date DATE, event_hour INTEGER, site_id VARCHAR",
                   [(site, hour[:10], int(hour[11:]), site) for site in given.zones for hour in hours])  # fmt: skip
        silver = 'device_id VARCHAR, event_at TIMESTAMPTZ, event_date DATE, event_hour INTEGER, "offset" BIGINT'
        nothing = "'telemetry' AS topic, 0 AS partition, NULL::DOUBLE AS level, NULL::DOUBLE AS flow_l_min"
        self._fill("readings", f"{silver}, count DOUBLE",
                   [(e.device, e.at, e.at.date(), e.at.hour, e.offset, e.value) for e in given.readings])  # fmt: skip
        run(f"CREATE TABLE lake_silver_plants AS SELECT *, '{MODEL}' AS model_id, {nothing} FROM readings")
        run(f"CREATE TABLE staging.stg_hours AS {sql['stg_hours']}")
        for name in ("site_days", "calendar"):
            run(f"CREATE TABLE gold.{name} AS {sql[name]}")
        self._fill("gold.device_completeness", "hour_at TIMESTAMPTZ", [(covered[0],), (covered[1] - HOUR,)])
        for each in SITE_PERIODS:
            run(f"CREATE VIEW {each.name} AS {each.select()}")

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table or view of gold."""
        result = self.connection.sql(f"FROM {name}")
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]

    def _fill(self, name: str, columns: str, rows: Iterable[tuple[object, ...]]) -> None:
        self.connection.execute(f"CREATE TABLE {name} ({columns})")
        listed = list(rows)
        if listed:
            arrays = [pa.array(values) for values in zip(*listed, strict=True)]
            self.connection.register("made", pa.table(arrays, names=[str(number) for number in range(len(arrays))]))
            self.connection.execute(f"INSERT INTO {name} FROM made")
            self.connection.unregister("made")


def hours_around(readings: Sequence[Reading], before: int, after: int) -> tuple[datetime, datetime]:
    """The time from some hours before the first reading's to some after the last one's."""
    first, last = (slice_start(slice_of(pick(each.at for each in readings))) for pick in (min, max))
    return first - before * HOUR, last + (1 + after) * HOUR
