"""Which engine judges: what is set, else Spark's executors for large ticks of a cluster."""

from pathlib import Path

import pytest

from pipeline.engines import WORTH_SPREADING, Engine, engine_for
from runtime.settings import Settings


@pytest.mark.parametrize(
    ("spark", "engine", "records", "chosen"),
    [
        ("local[*]", "auto", WORTH_SPREADING, Engine.HERE),
        ("spark://master:7077", "auto", WORTH_SPREADING, Engine.SPARK),
        ("spark://master:7077", "auto", WORTH_SPREADING - 1, Engine.HERE),
        ("spark://master:7077", "here", WORTH_SPREADING, Engine.HERE),
        ("sc://server:15002", "auto", WORTH_SPREADING, Engine.HERE),
        ("local[*]", "spark", 1, Engine.SPARK),
    ],
)
def test_large_ticks_of_a_cluster_go_to_its_executors(spark: str, engine: str, records: int, chosen: Engine) -> None:
    """One machine judges by itself, a cluster what is worth it, and a setting decides either way."""
    settings = Settings(home=Path("home"), lake_uri="lake", spark=spark, engine=engine)
    assert engine_for(settings, records) is chosen
