"""What the UI says beside an asset: what makes it run, the version of its code, its columns' origins, its age."""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from dagster_project.code_versions import (
    bronze_version,
    candidate_version,
    gold_version,
    rules_in,
    silver_version,
    topic_version,
)
from dagster_project.definitions import build_definitions
from ingestion.landing_topics import TOPICS
from lake.models.catalog import BUILT_IN_MODELS, load_models, silver_tables
from lake.tables.bronze import BRONZE_TELEMETRY
from lake.tables.gold import DEVICE_HOURS, GOLD_TABLES
from pipeline.gold.dbt_manifest import ensure_manifest
from runtime.settings import Settings

MODELS = load_models([BUILT_IN_MODELS])
Columns = set[tuple[str, str]]


def graph_of(settings: Settings) -> AssetGraph:
    return build_definitions(settings).resolve_asset_graph()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> AssetGraph:
    """The assets of an empty home."""
    home = tmp_path_factory.mktemp("noted")
    return graph_of(Settings(home=home, lake_uri=str(home / "lake")))


def origins(graph: AssetGraph, asset: str, column: str) -> Columns:
    """The columns that a column is made of, as the asset's lineage says, in one step."""
    lineage = graph.get(AssetKey(asset.split("/"))).metadata["dagster/column_lineage"]
    return {(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage.deps_by_column.get(column, ())}


def first_origins(graph: AssetGraph, asset: str, column: str) -> Columns:
    """The same through all candidates, down to silver."""
    found = set[tuple[str, str]]()
    for each in origins(graph, asset, column):
        found |= first_origins(graph, *each) if each[0].startswith("candidate/") else {each}
    return found


def test_a_mean_comes_from_what_was_measured(graph: AssetGraph) -> None:
    """A figure of an hour goes, step by step, to every measured column of every table of readings."""
    assert origins(graph, "gold/device_hours", "value_mean") == {("candidate/device_hours", "value_mean")}
    assert ("candidate/stg_hours", "exact_sum") in origins(graph, "candidate/device_hours", "value_mean")
    measured = {(m.table.replace(".", "/"), t.column) for m in MODELS.values() for t in m.telemetry if t.is_metric}
    assert ("silver/thermostats", "temperature_degc") in measured
    assert first_origins(graph, "gold/device_hours", "value_mean") == measured
    shown = graph.get(AssetKey(["gold", "device_hours"])).metadata["column_origins"].records
    told = {record.data["column"]: str(record.data["made_of"]) for record in shown}
    assert told["value_mean"].split(", ") == sorted(f"{table.replace('/', '.')}.{name}" for table, name in measured)
    assert first_origins(graph, "gold/devices", "site_id") == {("silver/devices", "site_id")}
    assert first_origins(graph, "gold/device_completeness", "rejected_count") == {("silver/rejected", "reason")}


def test_every_origin_is_a_column_that_there_is(graph: AssetGraph) -> None:
    """No lineage names an asset or a column that nothing declares, and each column of gold has one."""
    for key in graph.get_all_asset_keys():
        if "dagster/column_lineage" not in graph.get(key).metadata:
            continue
        for column in graph.get(key).metadata["dagster/column_lineage"].deps_by_column:
            for asset, origin in origins(graph, key.to_user_string(), column):
                schema = graph.get(AssetKey(asset.split("/"))).metadata.get("dagster/column_schema")
                assert asset.startswith("candidate/") or schema is not None, asset
                assert schema is None or origin in {each.name for each in schema.columns}, (asset, origin)
    for table in GOLD_TABLES:
        for column in table.column_names:
            assert origins(graph, f"gold/{table.short_name}", column)


def test_every_asset_has_a_code_version_and_says_what_makes_it_run(graph: AssetGraph) -> None:
    """The same in another home, so that the UI calls nothing changed that is not."""
    again = graph_of(Settings(home=Path("none"), lake_uri="none/lake"))
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.code_version, key
        assert node.code_version == again.get(key).code_version, key
        assert "What makes it run: " in (node.description or ""), key


def test_what_makes_an_asset_run_is_there(tmp_path: Path) -> None:
    """Each sensor, schedule and job that its description names is one that there is, under that name."""
    definitions = build_definitions(Settings(home=tmp_path, lake_uri=str(tmp_path / "lake")))
    repository = definitions.get_repository_def()
    there = {
        "sensor": {each.name for each in repository.sensor_defs},
        "schedule": {each.name for each in repository.schedule_defs},
        "job": set(repository.job_names),
    }
    named = set[str]()
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        _, _, told = (graph.get(key).description or "").partition("What makes it run: ")
        named |= set(re.findall("`([^`]+)`", told))
        for kind, name in re.findall("(sensor|schedule|job) `([^`]+)`", told):
            assert name in there[kind], (key, kind, name)
    assert named
    assert named <= set().union(*there.values())


def test_a_check_says_what_enforces_it(graph: AssetGraph) -> None:
    """Nobody need think that switching a check off lets data out."""
    keys = [key for key in graph.asset_check_keys if key.name == "gate"]
    assert len(keys) > len(GOLD_TABLES)
    for key in keys:
        assert "Publication enforces it" in (graph.get_check_spec(key).description or "")


def test_gold_is_overdue_after_a_while(graph: AssetGraph, tmp_path: Path) -> None:
    """As the setting says, gold alone; with 0 nothing ever is."""
    found = {key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy is not None}
    assert found == {AssetKey(["gold", table.short_name]) for table in GOLD_TABLES}
    key = AssetKey(["gold", "device_hours"])

    def policy(minutes: int) -> Any:
        settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"), fresh_within_minutes=minutes)
        return graph_of(settings).get(key).freshness_policy

    assert policy(90).fail_window.to_timedelta() == timedelta(minutes=90)
    assert policy(0) is None


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return ensure_manifest()


def changed(manifest: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """The manifest with one text in it changed."""
    copy = deepcopy(dict(manifest))
    place = copy
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] += " "
    return copy


def test_a_candidates_version_moves_with_its_rule(manifest: dict[str, Any]) -> None:
    """With its SQL, with a macro that it uses through another, with how it is built; not with another model's."""
    version = candidate_version(manifest, "device_hours")
    assert candidate_version(manifest, "device_hours") == version
    model = ("nodes", "model.lakehouse.device_hours", "raw_code")
    macros = [("macros", f"macro.lakehouse.{name}", "macro_sql")
              for name in ("metric_rows", "materialization_by_date_duckdb")]  # fmt: skip
    for path in (model, *macros):
        assert candidate_version(changed(manifest, *path), "device_hours") != version, path
    other = changed(manifest, "nodes", "model.lakehouse.sites", "raw_code")
    assert candidate_version(other, "device_hours") == version
    assert candidate_version(other, "sites") != candidate_version(manifest, "sites")


def test_the_other_versions_move_with_declaration_and_rules(tmp_path: Path) -> None:
    """A topic's partitions, a column's meaning, a model's limits, a candidate's version, a line of code."""
    topic, table = TOPICS[0], silver_tables(MODELS.values())["silver.thermostats"]
    ours = {name: model for name, model in MODELS.items() if model.table == table.name}
    other = {name: replace(model, digest="another") for name, model in ours.items()}

    def reworded(each: Any) -> Any:
        first, *rest = each.columns
        return replace(each, columns=(replace(first, description="otherwise"), *rest))

    assert topic_version(topic) != topic_version(replace(topic, partitions=3))
    assert bronze_version(BRONZE_TELEMETRY) != bronze_version(reworded(BRONZE_TELEMETRY))
    assert len({silver_version(table, ours), silver_version(table, other), silver_version(reworded(table), ours)}) == 3
    versions = {
        gold_version(DEVICE_HOURS, "a"),
        gold_version(DEVICE_HOURS, "b"),
        gold_version(reworded(DEVICE_HOURS), "a"),
    }
    assert len(versions) == 3
    (tmp_path / "rules.py").write_text("LIMIT = 5\n")
    before = rules_in(tmp_path)
    assert rules_in(tmp_path) == before
    (tmp_path / "rules.py").write_text("LIMIT = 6\n")
    assert rules_in(tmp_path) != before
