"""The page of questions: each has an answer, and it is the one that stands there."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lake.local_days import local_days
from lake.reading.reader import open_reader
from lake.tables.contracts import Table
from lake.tables.gold import (
    CALENDAR,
    DEVICE_COMPLETENESS,
    DEVICE_DAYS,
    DEVICE_HOURS,
    DEVICE_LATEST,
    DEVICE_MINUTES,
    SITE_DAYS,
)
from lake.tables.gold_kinds import COUNTER_DAYS, COUNTER_SITE_DAYS, GAUGE_DAYS, STATE_DAYS
from lakehouse.cli.main import cli
from runtime.settings import Settings
from serving.report.data import GLANCES
from tests.support.published_lake import gold_row, publish_rows

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "questions.md"
START = datetime(2026, 11, 9, tzinfo=UTC)
HOURS, SITES = 14 * 24, {"t-1": "bergen", "t-2": "oslo"}
ZONE = "Europe/Oslo"


def value(hour: int) -> float:
    """What is measured in an hour."""
    return 20 + hour % 24 / 4 + hour // 168


def has_reading(device: str, hour: int) -> bool:
    """Two hours on the 18th are missing of t-1, and all since 06:00 on the 22nd of t-2."""
    return hour not in (9 * 24 + 5, 9 * 24 + 6) if device == "t-1" else hour < 13 * 24 + 6


def row(table: Table, device: str, hours: list[int]) -> dict[str, Any]:
    """A row over some hours, in all of which there is a reading."""
    values = [value(hour) for hour in hours]
    at, last = START + timedelta(hours=hours[0]), START + timedelta(hours=hours[-1])
    return gold_row(
        table, at, 0.0, device_id=device, site_id=SITES[device], reading_count=len(values), value_min=min(values),
        value_max=max(values), value_mean=sum(values) / len(values), value_last=values[-1], event_at=last, zone="UTC",
        starts_at=at, hours_in_day=24.0,
    )  # fmt: skip


def publish_two_weeks(home: Path) -> Settings:
    """The lake that the page is about."""
    settings = Settings(home=home, lake_uri=str(home / "lake"))
    there = {device: [hour for hour in range(HOURS) if has_reading(device, hour)] for device in SITES}
    by_day = [(d, [h for h in hours if h // 24 == day]) for d, hours in there.items() for day in range(14)]
    days = [(device, hours) for device, hours in by_day if hours]
    single = [(device, [hour]) for device, hours in there.items() for hour in hours]
    first, last = date(2026, 1, 1), date(2026, 12, 31)
    rows = {table: [row(table, *each) for each in single] for table in (DEVICE_MINUTES, DEVICE_HOURS)}
    rows |= {table: [row(table, *each) for each in days] for table in (DEVICE_DAYS, SITE_DAYS)}
    rows[DEVICE_LATEST] = [row(DEVICE_LATEST, device, hours[-1:]) for device, hours in there.items()]
    rows[DEVICE_COMPLETENESS] = [
        gold_row(DEVICE_COMPLETENESS, START + timedelta(hours=hour), 0.0, device_id=device, expected_count=1,
                 missing_count=int(not has_reading(device, hour)))
        for device in SITES for hour in range(HOURS)
    ]  # fmt: skip
    rows[CALENDAR] = [
        {"zone": each.zone, "day_date": each.day, "starts_at": each.starts_at, "ends_at": each.ends_at,
         "hours_in_day": each.hours, "is_dst_change": each.hours != 24, "month_date": each.day.replace(day=1),
         "week_date": each.day - timedelta(days=each.day.weekday())}
        for zone in ("UTC", ZONE) for each in local_days(zone, first, last)
    ]  # fmt: skip
    rows |= {COUNTER_DAYS: energy_days(), COUNTER_SITE_DAYS: site_energy(), GAUGE_DAYS: power_days()}
    rows |= {STATE_DAYS: state_days()}
    publish_rows(settings, rows)
    return settings


def energy_days() -> list[dict[str, Any]]:
    """The meter grows by 48 kWh on the first day and by 36 on the second, of which a quarter is not covered."""
    return [
        gold_row(
            COUNTER_DAYS, START + timedelta(days=day), 0.0, device_id="m-1", metric_name="energy", unit="kwh",
            site_id="oslo", increase=increase, covered_s=covered_s, increase_per_h=2.0, reset_count=0,
            rollover_count=0,
        )
        for day, increase, covered_s in ((0, 48.0, 86400.0), (1, 36.0, 64800.0))
    ]  # fmt: skip


def site_energy() -> list[dict[str, Any]]:
    """Two local days of the meter's site."""
    return [
        gold_row(
            COUNTER_SITE_DAYS, START + timedelta(days=day), 0.0, metric_name="energy", unit="kwh", site_id="oslo",
            increase=increase, covered_s=increase * 1800, increase_per_h=2.0, reset_count=0, rollover_count=0,
            device_count=1, zone=ZONE, starts_at=START + timedelta(hours=24 * day - 1), hours_in_day=24.0,
        )
        for day, increase in ((0, 46.5), (1, 37.5))
    ]  # fmt: skip


def power_days() -> list[dict[str, Any]]:
    """A day of the meter's power."""
    return [
        gold_row(
            GAUGE_DAYS, START, 0.0, device_id="m-1", metric_name="power", unit="w", site_id="oslo", integral=48000.0,
            integral_unit="wh", covered_s=86400.0, time_weighted_mean=2000.0, value_stddev=0.0, value_first=2000.0,
        )
    ]  # fmt: skip


def state_days() -> list[dict[str, Any]]:
    """A day of a pump."""
    return [
        gold_row(
            STATE_DAYS, START, 0.0, device_id="p-1", metric_name="state", unit="1", state=state, duration_s=duration_s,
            entered_count=entered, is_last=state == "idle", is_carried=False,
        )
        for state, duration_s, entered in (("running", 64800.0, 2), ("idle", 21600.0, 3))
    ]  # fmt: skip


def shown(found: Any) -> str:
    if isinstance(found, datetime):
        return f"{found.astimezone(UTC):%Y-%m-%d %H:%M}"
    return "true" if found is True else "false" if found is False else str(found)


def answered(settings: Settings, sql: str) -> str:
    """The answer as the page has it: a table of Markdown."""
    with open_reader(settings, {}) as reader:
        result = reader.run(reader.statements(sql)[0])
        names = [column[0] for column in result.description or ()]
        lines = [names, ["---"] * len(names), *([shown(each) for each in found] for found in result.fetchall())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def test_each_question_has_the_answer_that_stands_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen questions; those in SQL are asked of the lake that the page describes, the last by its command."""
    page = PAGE.read_text()
    assert page.count("\n## ") >= 15
    settings = publish_two_weeks(tmp_path)
    questions = re.findall(r"```sql\n(.*?)```\n\n((?:\|[^\n]*\n)*)", page, re.DOTALL)
    assert len(questions) >= 14
    for sql, answer in questions:
        assert answered(settings, sql) == answer, sql
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.delenv("LAKEHOUSE_LAKE_URI", raising=False)
    (command,) = re.findall(r"```sh\nlakehouse (.*)\n```", page)
    done = CliRunner().invoke(cli, command.split())
    assert done.exit_code == 0, done.output
    assert "gold.device_hours, as publication 1 has it" in done.output


def test_what_the_demo_asks_has_answers(tmp_path: Path) -> None:
    """Each question at the demo's end is one of that lake, too; that of the meters' power tells of energy."""
    settings = publish_two_weeks(tmp_path)
    answers = [answered(settings, sql) for _, sql in GLANCES]
    assert all(answer.count("\n") >= 2 for answer in answers)
    assert answers[-1].splitlines()[2:] == ["| 2026-11-09 | m-1 | 2000.0 | 48.0 | 24.0 |"]
