"""A lake of an earlier format, brought up, goes on: its bronze judged anew gives the gold that it had."""

from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.storage.delta import open_table
from lake.storage.format_version import FORMAT, format_of
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.lake_upgrade import tables_behind, upgrade
from pipeline.run import Run
from pipeline.silver.tick import rebuild_silver
from tests.support.old_lakes import unpacked
from tests.unit.pipeline.test_lake_upgrade import published

HOURS = ["2026-11-20T04", "2026-11-20T05", "2026-11-20T06"]


def test_an_upgraded_lake_is_rebuilt_to_the_same_figures(spark: SparkSession, tmp_path: Path) -> None:
    """Silver of all its hours from its bronze, gold of that, gated and published: readers see the same rows."""
    settings = unpacked(tmp_path, 1)
    run = Run(settings, known_models(settings), "after", datetime.now(UTC))
    before = published(settings, 2)
    upgrade(run)
    assert rebuild_silver(lambda: spark, run, HOURS).rows == {
        "silver.thermostats": 180, "silver.pumps": 72, "silver.energy_meters": 36,
    }  # fmt: skip
    outcome = refresh_gold(run, HOURS)
    assert outcome is not None
    assert outcome.publication is not None
    assert outcome.publication.publication_id == 3
    after = published(settings, 3)
    for name, rows in before.items():  # tables and columns that came later are built as well
        assert [{column: row[column] for column in rows[0]} for row in after[name]] == rows, name
    opened = open_table(settings, "silver.thermostats")
    assert opened is not None
    assert format_of(opened) == FORMAT
    assert tables_behind(settings, run.models) == []
