"""Sensors: what runs because of what the lake says.

Belongs here: looking whether something has to be done. What is done is in `jobs`.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from dagster_project.jobs import ingest, publish, refresh
from dagster_project.runs.under_way import busy_with
from ingestion.waiting import waiting_messages
from lake.models.catalog import Model, known_models
from lake.records.publications import newest
from lake.storage.delta import canonical_json
from lake.tables.silver import UNSLICED_SILVER
from pipeline.gold import stale
from pipeline.gold.stale import silver_versions
from runtime.settings import Settings

_PAUSE = timedelta(minutes=1)


@sensor(
    job=refresh,
    minimum_interval_seconds=1,  # the daemon looks every 5 s; at 5 it would pass over every other time
    default_status=DefaultSensorStatus.RUNNING,
    required_resource_keys={"settings"},
    description="The whole line while messages wait, one run after the other.",
)
def new_messages(context: SensorEvaluationContext) -> RunRequest | SkipReason:
    """Ask for a refresh when something waits and no run is about to take it; after a failure only a minute later."""
    busy = busy_with(context.instance, ingest.name, refresh.name)
    if busy is not None:
        return busy
    if _has_just_failed(context.instance):
        return SkipReason("The last refresh failed less than a minute ago.")
    count = waiting_messages(context.resources.settings)
    if count is None:
        return SkipReason("No broker runs: `lakehouse up` starts one.")
    return RunRequest() if count else SkipReason("No new messages.")


@sensor(
    job=publish,
    minimum_interval_seconds=20,
    default_status=DefaultSensorStatus.RUNNING,
    required_resource_keys={"settings"},
    description="Publishes when silver has moved: reads the Delta logs, so nothing is forgotten when Dagster is.",
)
def stale_slices(context: SensorEvaluationContext) -> RunRequest | SkipReason:
    """Ask for a publication when slices are stale. One request a state of silver: what is held then stays held."""
    settings: Settings = context.resources.settings
    busy = busy_with(context.instance, publish.name, refresh.name)
    if busy is not None:
        return busy
    models = known_models(settings)
    versions = silver_versions(settings, models)
    state = canonical_json({"silver": versions, "models": {name: model.digest for name, model in models.items()}})
    key = hashlib.sha256(state.encode()).hexdigest()
    if context.cursor == key:
        return SkipReason("Silver is as it was when this was last asked for.")
    found = _what_is_stale(settings, models, versions)
    if not found:
        return SkipReason("Nothing is stale.")
    context.update_cursor(key)
    return RunRequest(run_key=key, tags={"lakehouse/stale": found})


SENSORS: list[SensorDefinition] = [new_messages, stale_slices]


def _has_just_failed(instance: DagsterInstance) -> bool:
    since = datetime.now(UTC) - _PAUSE
    newest = instance.get_runs(RunsFilter(job_name=refresh.name, updated_after=since), limit=1)
    return bool(newest) and newest[0].status is DagsterRunStatus.FAILURE


def _what_is_stale(settings: Settings, models: Mapping[str, Model], versions: Mapping[str, int]) -> str:
    """In words for a tag; empty for nothing. The registry alone may have moved too."""
    hours = sorted(stale.stale_slices(settings, models).hours)
    if hours:
        return hours[0] if len(hours) == 1 else f"{len(hours)} slices, {hours[0]} to {hours[-1]}"
    publication = newest(settings)
    if publication is None:
        return ""
    moved = [t.name for t in UNSLICED_SILVER if versions.get(t.name) != publication.inputs.get(t.name)]
    return "the registry" if moved else ""
