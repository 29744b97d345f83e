"""Backfill: what `lakehouse backfill` takes for a day, by the number of days, and for a day of a large fleet.

Belongs here: making those days and timing the job: silver judged anew from bronze, gold built and published.
"""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.harness import DifferenceError, Result, Times
from bench.made import SteadyFleet, fill
from dagster_project.runs.in_process import run_job
from lake.slices import slice_of, slices_between
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark

_DEVICES = 48


def run(folder: Path, is_quick: bool) -> list[Result]:
    """1, 7 and 30 days of 48 devices at 60 s, and one of 1,000 at 10 s, 8.6 million readings; quick 1 and 2, and 24."""
    days = (1, 2) if is_quick else (1, 7, 30)
    goal = "seconds a day at 30 days within 1.1 times those at 1"
    what = f"a day of {_DEVICES} devices at 60 s"
    settings = Settings(home=folder / "home", lake_uri=str(folder / "many"))
    with running_spark(settings) as address:
        small = SteadyFleet(_start(max(days)), _DEVICES, 60)
        slope = _timed(settings, address, small, days, 1 if is_quick else 2)
        large = SteadyFleet(_start(1), 24 if is_quick else 1000, 10)
        settings = replace(settings, lake_uri=str(folder / "large"))
        once = _timed(settings, address, large, (1,), 1 if is_quick else 2)
    by_days = Result("backfill", what, _DEVICES * 1440, "readings", slope, goal, is_alone=True)
    what, goal = f"a day of {large.devices} devices at 10 s", "a day of 8.6 million under 2 minutes"
    return [by_days, Result("backfill-day", what, large.readings(24), "readings", once, goal, is_alone=True)]


def _start(days: int) -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days + 1)


def _timed(
    settings: Settings, address: str, fleet: SteadyFleet, days: tuple[int, ...], rounds: int
) -> tuple[Times, ...]:
    """Seconds a day of backfills of so many days, in turn, on one lake."""
    spark = connect(address)
    for first in range(0, max(days), 5):
        fill(spark, settings, fleet, first * 24, min(5, max(days) - first) * 24)
    spark.stop()
    run_job(settings, "publish")
    seconds: dict[int, list[float]] = {count: [] for count in days}
    for _ in range(rounds):
        for count in days:
            began = time.perf_counter()
            last = fleet.start + timedelta(days=count, hours=-1)
            done = run_job(settings, "backfill", slices=slices_between(slice_of(fleet.start), slice_of(last)))
            seconds[count].append((time.perf_counter() - began) / count)
            if done.outcome is None or len(done.outcome.published) != 24 * count:
                raise DifferenceError(f"a backfill of {count} days came to {done.outcome}")
    return tuple(Times(f"of {count} days" if count > 1 else "of 1 day", tuple(of)) for count, of in seconds.items())
