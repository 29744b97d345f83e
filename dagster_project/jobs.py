"""Jobs: the runs that choose their slices themselves.

Belongs here: the order of the steps in `ingest`, `publish` and `refresh`, and upkeep. They have no partitions to
choose: what is new or stale is done, and reported slice by slice to the assets. To do chosen slices again, launch a
backfill of silver, candidate and gold assets; that is what `lakehouse backfill` does.

All gold tables move together in one publication, so there is one path for warm and cold tables: the schedules differ.
"""

from datetime import UTC, datetime

from dagster import In, JobDefinition, Nothing, OpExecutionContext, Out, in_process_executor, job, op

from dagster_project import steps
from dagster_project.runs.pruning import prune

_TICK = {"settings", "models", "work", "writer", "spark"}
_GOLD = {"settings", "models", "work", "writer"}
# for runs that the daemon launched; every step is safe to repeat, so the whole of it is
_RETRIED = {"dagster/max_retries": "2", "dagster/retry_strategy": "ALL_STEPS"}


@op(required_resource_keys=_TICK | {"kafka"}, out=Out(Nothing), tags={"kind": "kafka"})
def bronze_tick(context: OpExecutionContext) -> None:
    """All new messages of both topics to bronze."""
    steps.land(steps.Step(context))


@op(required_resource_keys=_TICK, ins={"bronze": In(Nothing)}, out=Out(Nothing), tags={"kind": "duckdb"})
def silver_tick(context: OpExecutionContext) -> None:
    """All new records of bronze to silver."""
    steps.fill(steps.Step(context))


@op(required_resource_keys=_GOLD, ins={"silver": In(Nothing)}, out=Out(Nothing), tags={"kind": "dbt"})
def candidate_build(context: OpExecutionContext) -> None:
    """The stale slices: silver judged, gold candidates built by dbt."""
    steps.build(steps.Step(context))


@op(required_resource_keys=_GOLD, ins={"candidates": In(Nothing)}, tags={"kind": "greatexpectations"})
def gold_publication(context: OpExecutionContext) -> None:
    """The candidates judged, and those that pass published together."""
    steps.publish(steps.Step(context))
    prune(context.instance, datetime.now(UTC))


@op(required_resource_keys=_TICK, tags={"kind": "deltalake"})
def lake_upkeep(context: OpExecutionContext) -> None:
    """Small files compacted, what nothing needs any more deleted."""
    steps.keep_up(steps.Step(context))
    prune(context.instance, datetime.now(UTC), everything=True)


@job(executor_def=in_process_executor, tags=_RETRIED, description="One tick: all new messages to bronze and silver.")
def ingest() -> None:
    silver_tick(bronze_tick())


@job(
    executor_def=in_process_executor,
    tags=_RETRIED,
    description="Gold of every stale slice: judged, built, judged and published.",
)
def publish() -> None:
    gold_publication(candidate_build())


@job(
    executor_def=in_process_executor,
    tags=_RETRIED,
    description="A tick, then gold of every stale slice: the whole line.",
)
def refresh() -> None:
    gold_publication(candidate_build(silver_tick(bronze_tick())))


@job(
    executor_def=in_process_executor,
    tags=_RETRIED,
    description="Small files compacted, what no kept publication needs any more deleted.",
)
def upkeep() -> None:
    lake_upkeep()


JOBS: dict[str, JobDefinition] = {each.name: each for each in (ingest, publish, refresh, upkeep)}
