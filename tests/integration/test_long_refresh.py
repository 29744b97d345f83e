"""A long refresh on the real parts: silences as ranges, portions, and an interruption that keeps what was published."""

import os
import signal
from datetime import UTC, datetime, timedelta

from pyspark.sql import SparkSession

from dagster_project.runs.in_process import run_job
from lake.models.catalog import known_models
from lake.reading.reader import open_reader
from lake.records import publications
from lake.slices import slice_of, slices_of_runs
from pipeline.gold import portions
from pipeline.gold.stale import stale_slices
from pipeline.proof.lineage_sql import rows_of
from pipeline.proof.verification import verify
from runtime.settings import Settings
from tests.support.landing import reading, registered, run_tick, send
from tests.support.warm import start_apart

DAYS = [datetime(2026, 10, 1, 5, 30, tzinfo=UTC) + timedelta(days=3 * number) for number in range(4)]
HOURS = [slice_of(moment) for moment in DAYS]
_INTERRUPTED = 130


def refreshing(settings: Settings) -> None:
    """A refresh whose portions are two days, which its user interrupts when the first is published."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    portions.HOURS_AT_ONCE = 2

    def said(text: str) -> None:
        if "2 of 4 hours done" in text:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        run_job(settings, "publish", progress=said)
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None


def test_an_interruption_keeps_what_was_published(settings: Settings, spark: SparkSession) -> None:
    """After SIGINT amid a refresh its first portion stands, and is verified as such; the rest is stale, and the next
    refresh comes to what one alone would have: three silences, of which readers see each hour."""
    assert settings.kafka_bootstrap is not None
    start = DAYS[0] - timedelta(minutes=30)
    # every 50 minutes, which no hour is a multiple of
    messages = [registered("t-1", start, reporting_interval_s=3000)]
    send(settings.kafka_bootstrap, [*messages, *(reading("t-1", f"m{moment}", moment) for moment in DAYS)])
    run_tick(spark, settings)
    models = known_models(settings)

    process = start_apart(refreshing, settings)
    process.join(300)
    assert process.exitcode == _INTERRUPTED
    first = publications.get(settings, 1)
    assert [slice_ for slice_ in first.slices if "T" in slice_] == HOURS[:2]
    assert slices_of_runs(first.pending) == HOURS[2:]
    assert list(stale_slices(settings, models).hours) == HOURS[2:]
    assert verify(spark, settings, models, first, code_version="test").is_same

    told: list[str] = []
    assert run_job(settings, "publish", progress=told.append).held == []
    last = publications.get(settings, 2)
    assert [slice_ for slice_ in last.slices if "T" in slice_] == HOURS[2:]
    assert last.pending == ()
    assert stale_slices(settings, models).hours == {}
    assert verify(spark, settings, models, last, code_version="test").is_same
    with open_reader(settings, models) as reader:
        sums = "count(*) AS hours, sum(expected_count)::INT AS expected, sum(received_count)::INT AS received"
        (seen,) = rows_of(reader, f"SELECT {sums} FROM gold.device_completeness")
        (stretches,) = rows_of(reader, "SELECT count(*) AS n FROM gold.device_silences")
    hours = 9 * 24 + 1
    assert seen == {"hours": hours, "expected": -(-hours * 3600 // 3000), "received": 4}
    assert stretches == {"n": 3}
