"""Candidate assets: the dbt project in Dagster's lineage, from silver tables to the gold that is built and not judged.

Belongs here: how a dbt model becomes an asset, and the step that runs dbt. The models are in `dbt/`.

Only the hourly models are materialized by name; dbt builds all of them in one pass whatever was selected, since they
are judged and published together. Staging, daily and unsliced models are external assets that the pass reports to.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dagster import (
    AssetDep,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    MaterializeResult,
    PartitionsDefinition,
)
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtProject,
    build_dbt_asset_specs,
    dbt_assets,
)

from dagster_project import steps
from dagster_project.assets import OWNERS, TOGETHER
from dagster_project.partitions import Calendar, asset_key
from lake.models.catalog import Model, silver_tables
from lake.tables.gold import GOLD_TABLES, HOURLY
from lake.tables.silver import SILVER_REJECTED, UNSLICED_SILVER

_TABLES = {table.short_name: table for table in GOLD_TABLES}
_HOURLY = " ".join(table.short_name for table in HOURLY)


class CandidateTranslator(DagsterDbtTranslator):
    """dbt models are [candidate, <name>]; a gold model has the partitions of the table that it is a candidate for."""

    def __init__(self, models: Mapping[str, Model], calendar: Calendar) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=False))  # judged by the gate
        names = [*silver_tables(models.values()), SILVER_REJECTED.name, *(table.name for table in UNSLICED_SILVER)]
        self._calendar = calendar
        self._silver = [asset_key(name) for name in names]

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        """The key of a model, or of a source as dbt/models/staging/_sources.yml gives it."""
        if dbt_resource_props["resource_type"] == "source":
            return super().get_asset_key(dbt_resource_props)
        return AssetKey(["candidate", dbt_resource_props["name"]])

    def get_partitions_def(self, dbt_resource_props: Mapping[str, Any]) -> PartitionsDefinition[str] | None:
        """Hours, days or none."""
        table = _TABLES.get(dbt_resource_props["name"])
        return None if table is None else self._calendar.of_gold(table)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """All candidates stand in one group."""
        return "candidate"

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """What the model's yml says, without its SQL."""
        table = _TABLES.get(dbt_resource_props["name"])
        note = "" if table is None or table in HOURLY else f" {TOGETHER}"
        return f"{dbt_resource_props['description']}{note}"

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> AssetSpec:
        """A model's asset. The hourly ones name every silver table: which are read the plan says when it runs."""
        spec = super().get_asset_spec(manifest, unique_id, project).replace_attributes(owners=OWNERS)
        if spec.key.path[-1] not in {table.short_name for table in HOURLY}:
            return spec
        known = {dep.asset_key for dep in spec.deps}
        return spec.merge_attributes(deps=[AssetDep(key) for key in self._silver if key not in known])


def candidate_assets(
    models: Mapping[str, Model], calendar: Calendar, manifest: Mapping[str, Any]
) -> list[AssetsDefinition | AssetSpec]:
    """The assets of the dbt project."""
    translator = CandidateTranslator(models, calendar)

    @dbt_assets(
        name="candidate",
        manifest=manifest,
        select=_HOURLY,
        dagster_dbt_translator=translator,
        backfill_policy=BackfillPolicy.single_run(),
        required_resource_keys={"settings", "models", "work", "writer"},
    )
    def candidate(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        step = steps.step_of(context)
        if steps.build(step):
            for key in sorted(step.yielded):
                yield MaterializeResult(asset_key=key)

    others = build_dbt_asset_specs(manifest=manifest, dagster_dbt_translator=translator, exclude=_HOURLY)
    return [candidate, *others]
