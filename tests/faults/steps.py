"""Steps: what a process of a case's own does, to its end or to the point at which it dies.

Belongs here: steps that cases of several modules take. One that a single module needs stands there.
"""

from dataclasses import replace
from datetime import UTC, datetime

from lake.models.catalog import known_models
from lake.storage.locations import candidate_path
from pipeline.gold.publish import publish
from pipeline.run import Run
from runtime.settings import Settings
from runtime.spark.connect_server import connect
from tests.faults.base import run_refresh, run_tick


def ticking(settings: Settings) -> None:
    """A step: one tick."""
    run_tick(settings, connect(settings.spark))


def ticking_with_spark(settings: Settings) -> None:
    """A step: one tick in which Spark reads."""
    ticking(replace(settings, ingest_engine="spark"))


def refreshing(settings: Settings) -> None:
    """A step: gold of what is stale."""
    run_refresh(settings)


def publishing(settings: Settings) -> None:
    """A step: publishing the candidate that is built and judged."""
    models = known_models(settings)
    publish(Run(settings, models, "killed", datetime.now(UTC)), candidate_path(settings), code_version="1")
