"""Schedules: what runs by the clock.

Belongs here: when. What runs is in `jobs`. With `tick`, `cold` and the sensor for stale slices on, which is how
`lakehouse up` begins, data is published a minute or two after it lands and nothing is done twice:

- tick: each minute, new messages to bronze and silver; skipped while there are none
- warm: every five minutes, the whole line; an alternative to tick and sensor for those who want one run for all
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

from dagster_project.jobs import ingest, publish, refresh, upkeep
from dagster_project.runs import under_way
from dagster_project.waiting import waiting_messages
from lake.models import Model, known_models
from lake.settings import Settings
from pipeline.stale import stale_slices


@schedule(
    job=ingest,
    cron_schedule="* * * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    required_resource_keys={"settings"},
    description="New messages to bronze and silver, each minute; skipped while there are none.",
)
def tick(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Ask for a tick when something waits and no run is about to take it."""
    busy = under_way(context.instance, ingest.name, refresh.name)
    if busy:
        return SkipReason(f"{busy} is under way.")
    count = waiting_messages(context.resources.settings)
    if count is None:
        return SkipReason("No broker runs: `lakehouse up` starts one.")
    return RunRequest() if count else SkipReason("No new messages.")


@schedule(
    job=refresh,
    cron_schedule="*/5 * * * *",
    description="The whole line every five minutes: an alternative to `tick` and the sensor `stale_slices`.",
)
def warm(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Ask for a refresh unless one is under way."""
    busy = under_way(context.instance, refresh.name)
    return SkipReason(f"{busy} is under way.") if busy else RunRequest()


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
    busy = under_way(context.instance, upkeep.name)
    return SkipReason(f"{busy} is under way.") if busy else RunRequest()


SCHEDULES: list[ScheduleDefinition] = [tick, warm, cold, daily]


def _newest_slice_that_ages(settings: Settings, models: Mapping[str, Model]) -> str | None:
    if all(model.quality.max_staleness_s is None for model in models.values()):
        return None
    return max(stale_slices(settings, models).with_records, default=None)
