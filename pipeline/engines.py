"""Engines: where the SQL of silver runs, on this machine or on Spark's executors.

Belongs here: the choice. What an executor does is in `silver.executor_tasks`; the rules are the same text for both.
"""

from enum import StrEnum

from runtime.settings import Settings

WORTH_SPREADING = 1_000_000
"""Records from which tasks of a cluster are worth their start: chosen, not measured."""
TASKS = "pipeline.silver.executor_tasks"
"""The module that the Python of executors must be able to import."""


class Engine(StrEnum):
    """Where slices are judged; the commits say it."""

    HERE = "here"
    SPARK = "spark"


def engine_for(settings: Settings, records: int) -> Engine:
    """The engine for so many records: the one that is set, or with `auto` Spark's executors when they are other
    machines and there is enough to do."""
    if settings.engine != "auto":
        return Engine(settings.engine)
    is_cluster = settings.spark.startswith("spark://")
    return Engine.SPARK if is_cluster and records >= WORTH_SPREADING else Engine.HERE
