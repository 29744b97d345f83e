"""Schedules: what runs by the clock.

Belongs here: when. What runs is in `jobs`; what runs because of what has come is in `sensors`. `lakehouse up` begins
with all on but `warm`:

- warm: every five minutes, the whole line; an alternative to the sensor `new_messages` that leaves the machine in peace
- cold: each hour, the newest slice is judged again, since a fleet that fell silent is seen by the clock alone
- daily: each night, upkeep
"""

from collections.abc import Mapping

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from dagster_project.jobs import publish, refresh, upkeep
from dagster_project.runs.under_way import busy_with
from lake.models.catalog import Model, known_models
from pipeline.gold.stale import stale_slices
from runtime.settings import Settings


@schedule(
    job=refresh,
    cron_schedule="*/5 * * * *",
    description="The whole line every five minutes: an alternative to the sensor `new_messages`.",
)
def warm(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Ask for a refresh unless one is under way."""
    return busy_with(context.instance, refresh.name) or RunRequest()


@schedule(
    job=publish,
    cron_schedule="5 * * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    required_resource_keys={"settings"},
    description="The newest slice judged again each hour, where a model limits staleness.",
)
def cold(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Ask for the newest slice, if its age matters to any model."""
    settings: Settings = context.resources.settings
    newest = _newest_slice_that_ages(settings, known_models(settings))
    if newest is None:
        return SkipReason("No model limits staleness (max_staleness_s), or there is no data.")
    return RunRequest(run_config={"resources": {"work": {"config": {"slices": [newest]}}}})


@schedule(
    job=upkeep,
    cron_schedule="30 2 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Upkeep each night: small files compacted, what no kept publication needs any more deleted.",
)
def daily(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Ask for upkeep unless it is under way."""
    return busy_with(context.instance, upkeep.name) or RunRequest()


SCHEDULES: list[ScheduleDefinition] = [warm, cold, daily]


def _newest_slice_that_ages(settings: Settings, models: Mapping[str, Model]) -> str | None:
    if all(model.quality.max_staleness_s is None for model in models.values()):
        return None
    return max(stale_slices(settings, models).with_records, default=None)
