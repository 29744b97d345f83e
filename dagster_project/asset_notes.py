"""Asset notes: what the UI says of an asset beside what it is: what makes it run, its code, its columns, its age.

Belongs here: putting these on the assets, in one place for all layers. What an asset is and does stands in `assets`,
`dbt_assets` and `hot_assets`; what its version is of in `code_versions`, origins of columns in `column_lineage`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dagster import AssetsDefinition, AssetSpec, FreshnessPolicy

from dagster_project.code_versions import (
    bronze_version,
    candidate_version,
    gold_version,
    hot_version,
    silver_version,
    topic_version,
)
from dagster_project.column_lineage import Lineage
from ingestion.bronze_ingest import BRONZE_TABLES
from ingestion.landing_topics import TOPICS
from lake.models.catalog import Model, silver_tables
from lake.tables.gold import GOLD_TABLES
from lake.tables.silver import SILVER_REJECTED, UNSLICED_SILVER
from runtime.settings import Settings

_MESSAGES = (
    "the sensor `new_messages` starts the job `refresh` while messages wait; so does the schedule `warm` every five "
    "minutes, which is off unless you switch it on."
)
_STALE = (
    f"{_MESSAGES} The sensor `stale_slices` starts `publish` when silver has moved otherwise, and the schedule `cold` "
    "each hour for the newest slice where a model limits staleness."
)
_AUTOMATION = {
    "kafka": "devices, the hub or the simulator write it; no run of Dagster does.",
    "bronze": _MESSAGES,
    "silver": _MESSAGES,
    "candidate": _STALE,
    "gold": _STALE,
    "ops": "the sensor `hot_minutes` starts the job `reconcile_hot_path` when the hot path or gold has news.",
}
_GOLD = {table.short_name: table for table in GOLD_TABLES}


@dataclass(frozen=True)
class Notes:
    """What is known of all assets; `origins` of columns and the compiled `manifest` come from dbt's project."""

    settings: Settings
    models: Mapping[str, Model]
    manifest: Mapping[str, Any]
    lineage: Lineage

    def on(self, asset: AssetsDefinition | AssetSpec) -> AssetsDefinition | AssetSpec:
        """An asset with its notes."""
        return asset.map_asset_specs(self._noted) if isinstance(asset, AssetsDefinition) else self._noted(asset)

    def _noted(self, spec: AssetSpec) -> AssetSpec:
        layer, name = spec.key.path
        noted = spec.replace_attributes(
            description=f"{spec.description}\n\nWhat makes it run: {_AUTOMATION[layer]}",
            code_version=self._code_version(layer, name),
        )
        if layer == "candidate":
            noted = noted.merge_attributes(metadata={"dagster/column_lineage": self.lineage.of_candidate(name)})
        if layer != "gold":
            return noted
        lineage, origins = self.lineage.of_gold(_GOLD[name]), self.lineage.as_table(_GOLD[name])
        noted = noted.merge_attributes(metadata={"dagster/column_lineage": lineage, "column_origins": origins})
        within = timedelta(minutes=self.settings.fresh_within_minutes)
        return noted.replace_attributes(freshness_policy=FreshnessPolicy.time_window(within)) if within else noted

    def _code_version(self, layer: str, name: str) -> str:
        if layer == "kafka":
            topic = next((each for each in TOPICS if each.name == name), None)
            return hot_version(name) if topic is None else topic_version(topic)
        if layer == "bronze":
            return bronze_version(BRONZE_TABLES[name])
        if layer == "silver":
            return self._of_silver(f"silver.{name}")
        if layer == "ops":
            return hot_version(name)
        candidate = candidate_version(self.manifest, name)
        return candidate if layer == "candidate" else gold_version(_GOLD[name], candidate)

    def _of_silver(self, name: str) -> str:
        fixed = {table.name: table for table in (SILVER_REJECTED, *UNSLICED_SILVER)}
        table = fixed.get(name) or silver_tables(self.models.values())[name]
        models = self.models if name in fixed else {i: m for i, m in self.models.items() if m.table == name}
        return silver_version(table, models)
