"""Definitions: everything that Dagster loads, put together.

Belongs here: assembling. `dagster dev` and `dg dev` find `defs` through pyproject.toml. Loading starts and connects to
nothing; a manifest of the dbt project is made when there is none for its present state.
"""

from collections.abc import Mapping
from typing import Any

from dagster import AssetSelection, Definitions, define_asset_job, definitions, in_process_executor

from dagster_project.asset_notes import Notes
from dagster_project.assets import OWNERS, lake_assets
from dagster_project.column_lineage import Lineage
from dagster_project.column_origins import column_origins
from dagster_project.dbt_assets import candidate_assets
from dagster_project.hot_assets import HOT_SENSORS, hot_assets, reconcile_hot_path
from dagster_project.jobs import JOBS
from dagster_project.operator_jobs import OPERATOR_JOBS
from dagster_project.partitions import Calendar, asset_key, calendar_of
from dagster_project.resources import Work, run_resources
from dagster_project.schedules import SCHEDULES
from dagster_project.sensors import SENSORS
from lake.models.catalog import known_models
from lake.tables.silver import UNSLICED_SILVER
from pipeline.gold.dbt_manifest import ensure_manifest
from runtime.settings import Settings, load_settings

BACKFILL = "backfill"
BACKFILL_GOLD = "backfill_gold"
"""The jobs of `lakehouse backfill`: all layers from bronze, or gold alone from silver as it is."""


def build_definitions(
    settings: Settings | None = None,
    resource_overrides: Mapping[str, Any] | None = None,
    work: Work | None = None,
    calendar: Calendar | None = None,
) -> Definitions:
    """The definitions for a lakehouse, by default the one of the environment.

    `resource_overrides` replace resources by key (see `resources.run_resources`); `work` is shared with runs in this
    process, `calendar` has the partitions, by default as noted in the home. Raises UsageError for settings or device
    models that cannot be used, StepError when dbt cannot compile.
    """
    settings = settings or load_settings()
    models = known_models(settings)
    calendar = calendar or calendar_of(settings)
    manifest = ensure_manifest()
    notes = Notes(settings, models, manifest, Lineage(column_origins(), models))
    every = [
        *lake_assets(models, calendar),
        *hot_assets(OWNERS),
        *candidate_assets(models, calendar, manifest),
    ]
    gold = AssetSelection.groups("candidate", "gold") & AssetSelection.all().materializable()
    silver = AssetSelection.groups("silver") & AssetSelection.all().materializable()
    backfills = [
        define_asset_job(
            BACKFILL,
            selection=silver - AssetSelection.assets(*(asset_key(table.name) for table in UNSLICED_SILVER)) | gold,
            description="Chosen hours anew from bronze: silver, candidates, gold. What `lakehouse backfill` runs.",
        ),
        define_asset_job(
            BACKFILL_GOLD,
            selection=gold,
            description="Chosen hours anew from silver as it is. What `lakehouse backfill --layer gold` runs.",
        ),
    ]
    return Definitions(
        assets=[notes.on(each) for each in every],
        jobs=[*JOBS.values(), *OPERATOR_JOBS, reconcile_hot_path, *backfills],
        schedules=SCHEDULES,
        sensors=[*SENSORS, *HOT_SENSORS],
        resources={**run_resources(settings, work), **(resource_overrides or {})},
        executor=in_process_executor,
    )


@definitions
def defs() -> Definitions:
    """What Dagster's own tools load; called by them, so that importing this module reads nothing."""
    return build_definitions()
