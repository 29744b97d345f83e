"""Weeks and months of sites, as a reader sees them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from lake.local_days import local_days
from lake.reading.reader import open_reader
from lake.slices import HOUR
from lake.tables.gold import CALENDAR, DEVICE_COMPLETENESS, SITE_DAYS
from runtime.settings import Settings
from tests.support.published_lake import gold_row, publish_rows

ZONE = "Europe/Berlin"


def calendar(first: date, last: date) -> list[dict[str, Any]]:
    return [
        {"zone": ZONE, "day_date": each.day, "starts_at": each.starts_at, "ends_at": each.ends_at,
         "hours_in_day": each.hours, "is_dst_change": each.hours != 24,
         "week_date": each.day - timedelta(days=each.day.weekday()), "month_date": each.day.replace(day=1)}
        for each in local_days(ZONE, first, last)
    ]  # fmt: skip


def asked(home: Path, sql: str, *, days: list[date], until: datetime) -> list[tuple[Any, ...]]:
    """The answer of a lake that has these days, the n-th with n + 1 readings of value n, and hours up to `until`."""
    settings = Settings(home=home, lake_uri=str(home / "lake"))
    at = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    first = at[0] - timedelta(days=1)
    publish_rows(
        settings,
        {
            SITE_DAYS: [
                gold_row(SITE_DAYS, moment, float(n), reading_count=n + 1, zone=ZONE) for n, moment in enumerate(at)
            ],
            CALENDAR: calendar(date(2026, 1, 1), date(2026, 12, 31)),
            DEVICE_COMPLETENESS: [gold_row(DEVICE_COMPLETENESS, moment, 0.0) for moment in (first, until - HOUR)],
        },
    )
    with open_reader(settings, {}) as reader:
        return reader.run(reader.statements(sql)[0]).fetchall()


def test_a_week_adds_up_its_days(tmp_path: Path) -> None:
    """Counts, extremes and the mean are those of all its readings; it is complete, on both sides of the setting of
    clocks, once gold reaches to its end in the zone."""
    days = [date(2026, 3, 23) + timedelta(days=n) for n in range(8)]
    figures = "reading_count, value_min, value_max, value_mean"
    sql = f"SELECT week_date, day_count, is_complete, {figures} FROM gold.site_weeks ORDER BY 1"
    end = datetime(2026, 3, 29, 22, tzinfo=UTC)  # midnight in Berlin, whose clocks went forward that day
    mean = sum(n * (n + 1) for n in range(7)) / 28
    first, second = asked(tmp_path / "full", sql, days=days, until=end)
    assert first == (date(2026, 3, 23), 7, True, 28, -1.0, 7.0, mean)
    assert second[:4] == (date(2026, 3, 30), 1, False, 8)
    (early, _) = asked(tmp_path / "early", sql, days=days, until=end - HOUR)
    assert early[:3] == (date(2026, 3, 23), 7, False)


def test_a_month_without_a_day_is_not_complete(tmp_path: Path) -> None:
    """Each of its days must have readings; how many it has the calendar says."""
    days = [date(2026, 2, 1) + timedelta(days=n) for n in range(28)]
    sql = "SELECT month_date, day_count, days_in_period, is_complete FROM gold.site_months"
    end = datetime(2026, 3, 2, tzinfo=UTC)
    assert asked(tmp_path / "whole", sql, days=days, until=end) == [(date(2026, 2, 1), 28, 28, True)]
    assert asked(tmp_path / "gap", sql, days=[*days[:5], *days[6:]], until=end) == [(date(2026, 2, 1), 27, 28, False)]


def test_weeks_and_months_are_described(tmp_path: Path) -> None:
    """DESCRIBE has the meaning of each column, and no percentile is among them."""
    rows = asked(tmp_path, "DESCRIBE site_weeks", days=[date(2026, 2, 1)], until=datetime(2026, 3, 2, tzinfo=UTC))
    assert all(comment for *_, comment in rows)
    assert {name for name, *_ in rows} >= {"week_date", "value_mean", "is_complete"}
    assert not {name for name, *_ in rows} & {"value_p50", "value_p95"}
