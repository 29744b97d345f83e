"""The dbt project's descriptions and SQL follow the table contracts and the house style."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake.column_types import duckdb_type
from lake.models.catalog import BUILT_IN_MODELS, load_models, silver_tables
from lake.tables.contracts import Table
from lake.tables.gold import GOLD_TABLES
from lake.tables.silver import SILVER_REJECTED, UNSLICED_SILVER

DBT = Path(__file__).parents[3] / "dbt"
MODEL_FILES = sorted((DBT / "models").rglob("*.sql"))
GOLD = [pytest.param(table, id=table.short_name) for table in GOLD_TABLES]
MODELS = [pytest.param(path, id=path.stem) for path in MODEL_FILES]


@cache
def _declared() -> dict[str, dict[str, Any]]:
    """Every model that a yml describes, by name."""
    files = [yaml.safe_load(path.read_text()) for path in sorted((DBT / "models").rglob("*.yml"))]
    return {model["name"]: model for file in files for model in file.get("models", [])}


def faults_of(table: Table, model: dict[str, Any]) -> list[str]:
    """Where a model's yml differs from the table's contract."""
    columns = [(c["name"], c["data_type"], c["description"]) for c in model["columns"]]
    contract = [(c.name, duckdb_type(c.type).lower(), c.description) for c in table.columns]
    faults = [f"{ours} where the contract has {theirs}" for ours, theirs in zip(columns, contract, strict=False)
              if ours != theirs]  # fmt: skip
    if len(columns) != len(contract):
        faults.append(f"{len(columns)} columns where the contract has {len(contract)}")
    if model["description"] != f"One row per {table.grain}.":
        faults.append("the description is not the grain")
    tests = {
        name: arguments["arguments"].get("columns") for test in model["data_tests"] for name, arguments in test.items()
    }
    if tests.get("unique_key") != list(table.key):
        faults.append("unique_key is not the key")
    if tests.get("never_null") != [c.name for c in table.columns if not c.nullable]:
        faults.append("never_null does not name the required columns")
    return faults


@pytest.mark.parametrize("table", GOLD)
def test_yml_follows_the_contract(table: Table) -> None:
    """Columns, types, descriptions, grain, key and required columns are those of lake.tables."""
    assert faults_of(table, _declared()[table.short_name]) == []


def test_a_yml_that_differs_is_found() -> None:
    """A renamed, a retyped, a missing column, another grain, key and null test each count as a fault."""
    table, good = GOLD_TABLES[0], _declared()[GOLD_TABLES[0].short_name]
    first, *others = good["columns"]
    bad = [
        good | {"columns": [first | {"name": "device"}, *others]},
        good | {"columns": [first | {"data_type": "bigint"}, *others]},
        good | {"columns": good["columns"][:-1]},
        good | {"description": "One row per device."},
        good | {"data_tests": [{"unique_key": {"arguments": {"columns": ["device_id"]}}}, *good["data_tests"][1:]]},
        good | {"data_tests": good["data_tests"][:1]},
    ]
    assert all(faults_of(table, model) for model in bad)


def test_every_model_is_described() -> None:
    """Each model and each of its columns has a description, and the description begins with the grain."""
    declared = _declared()
    assert sorted(declared) == sorted(path.stem for path in MODEL_FILES)
    assert [name for name, model in declared.items() if not model["description"].startswith("One row per ")] == []
    assert [
        (name, c["name"]) for name, model in declared.items() for c in model["columns"] if not c["description"]
    ] == []


def test_sources_are_the_silver_tables() -> None:
    """The sources are the built-in silver tables, under their Dagster keys, and the lineage macro names each."""
    source = yaml.safe_load((DBT / "models/staging/_sources.yml").read_text())["sources"][0]
    keys = {table["name"]: table["config"]["meta"]["dagster"]["asset_key"] for table in source["tables"]}
    readings = silver_tables(load_models([BUILT_IN_MODELS]).values()).values()
    assert keys == {t.short_name: ["silver", t.short_name] for t in (*readings, SILVER_REJECTED, *UNSLICED_SILVER)}
    named = re.findall(r"source\('silver', '(\w+)'\)", (DBT / "macros/plan.sql").read_text())
    assert sorted(named) == sorted(table.short_name for table in readings)


@pytest.mark.parametrize("path", MODELS)
def test_models_keep_the_style(path: Path) -> None:
    """Keywords are in lower case, the last CTE is `final`, and the model selects all of it."""
    sql = path.read_text()
    assert "\n\nfinal as (\n" in sql
    assert sql.endswith("\n)\n\nselect * from final\n")
    assert re.findall(r"\b(SELECT|FROM|WHERE|JOIN|WITH|AS|AND|OR|ON|GROUP|BY|ORDER|CASE|WHEN|UNION|NULL)\b", sql) == []


def test_dbt_folder_is_no_package() -> None:
    """A dbt/__init__.py would hide the installed dbt."""
    assert not list(DBT.rglob("__init__.py"))
