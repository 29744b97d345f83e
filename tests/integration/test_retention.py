"""Retention: old rows leave bronze and silver, and what was made of them is not made again without them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.records import publications
from lake.records.publications import newest
from lake.storage.retention import final_before
from lake.tables.bronze import BRONZE_TELEMETRY
from pipeline.gold.stale import silver_versions, stale_slices
from pipeline.maintenance import upkeep
from pipeline.run import Run
from pipeline.silver.append import rebuild_slices
from runtime.errors import UsageError
from runtime.settings import Settings
from tests.support.landing import reading, registered, rows, run_tick, send
from tests.unit.pipeline.test_maintenance import publication

OLD = datetime(2026, 11, 1, 5, tzinfo=UTC)
THERMOSTATS = "silver.thermostats"
COUNT = "SELECT count(*) FROM t"


def count(settings: Settings, table: str) -> int:
    return int(rows(settings, table, COUNT)[0][0])


def test_rows_of_a_final_slice_stay_though_bronze_has_lost_theirs(settings: Settings, spark: SparkSession) -> None:
    """Bronze is emptied; silver stays, a rebuild does not clear it, late data makes nothing stale; then silver goes."""
    assert settings.kafka_bootstrap is not None
    models = known_models(settings)
    send(
        settings.kafka_bootstrap,
        [registered("d1", OLD), reading("d1", "m1", OLD), reading("d1", "m2", OLD + timedelta(minutes=1))],
    )
    run_tick(spark, settings)
    publications.record(settings, publication(1, 0, {}, silver_versions(settings, models)))
    later = datetime.now(UTC) + timedelta(days=10)

    kept = replace(settings, keep_bronze_days=5)
    upkeep(Run(kept, models, "upkeep", later), lambda: spark)
    assert count(settings, BRONZE_TELEMETRY.name) == 0
    assert final_before(settings) == f"{later - timedelta(days=5):%Y-%m-%d}"
    assert count(settings, THERMOSTATS) == 2
    assert stale_slices(settings, models).hours == {}
    rebuild_slices(lambda: spark, settings, models, ["2026-11-01T05"], "test")
    assert count(settings, THERMOSTATS) == 2

    send(settings.kafka_bootstrap, [reading("d1", "late", OLD + timedelta(minutes=2))])
    run_tick(spark, settings)
    assert count(settings, THERMOSTATS) == 3
    assert stale_slices(settings, models).hours == {}
    assert newest(settings) is not None

    upkeep(Run(replace(kept, keep_silver_days=6), models, "upkeep", later), lambda: spark)
    assert count(settings, THERMOSTATS) == 0
    assert stale_slices(settings, models).hours == {}


def test_silver_is_not_kept_shorter_than_bronze(settings: Settings, spark: SparkSession) -> None:
    """The settings are refused before anything is done."""
    for bronze in (None, 10):
        shorter = replace(settings, keep_bronze_days=bronze, keep_silver_days=9)
        with pytest.raises(UsageError, match="at least as long"):
            upkeep(Run(shorter, {}, "upkeep", datetime.now(UTC)), lambda: spark)
