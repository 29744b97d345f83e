"""Code versions: what an asset is made by, as a digest that moves when the rule does.

Belongs here: what each kind of asset's digest is of: its declaration, and the text of the rules that fill it. Which
code made a publication stands in the publication itself (`lake.code_version`).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from ingestion.landing_topics import Topic
from lake.models.catalog import Model
from lake.project_files import PROJECT_FOLDER
from lake.tables.contracts import Table

_LENGTH = 12


def topic_version(topic: Topic) -> str:
    """Of a topic: what is declared to Kafka."""
    return _digest(asdict(topic))


def bronze_version(table: Table) -> str:
    """Of a table of bronze: its declaration, and the code that lets records land."""
    return _digest(asdict(table), rules_of("ingestion"))


def silver_version(table: Table, models: Mapping[str, Model]) -> str:
    """Of a table of silver: its declaration, the models whose readings it holds, and the rules that judge them."""
    return _digest(asdict(table), [models[name].digest for name in sorted(models)], rules_of("transforms"))


def candidate_version(manifest: Mapping[str, Any], name: str) -> str:
    """Of a dbt model: its SQL, how it is built, and every macro of ours that it uses, directly or not."""
    node = next(
        each for each in manifest["nodes"].values() if each["resource_type"] == "model" and each["name"] == name
    )
    config = {each: node["config"].get(each) for each in ("materialized", "hours", "pre-hook")}
    macros = {each: manifest["macros"][each]["macro_sql"] for each in _macros_of(manifest, node)}
    return _digest(node["raw_code"], config, macros)


def gold_version(table: Table, candidate: str) -> str:
    """Of a published table: its declaration, its candidate's version, and the rules of the gate."""
    return _digest(asdict(table), candidate, rules_of("pipeline/gate"))


def hot_version(name: str) -> str:
    """Of what the hot path tells, and of its comparison with gold: the code of both."""
    return _digest(name, rules_of("streams"), rules_of("pipeline/proof"))


@cache
def rules_of(folder: str) -> str:
    """The digest of a folder's code as it was when this process first asked, which is what it runs."""
    return rules_in(PROJECT_FOLDER / folder)


def rules_in(folder: Path) -> str:
    """The digest of the code in a folder."""
    return _digest([(path.name, path.read_text()) for path in sorted(folder.rglob("*.py"))])


def _macros_of(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> list[str]:
    """The project's own macros that a node uses, those that they use in turn too."""
    project, found = node["package_name"], set[str]()
    built_by = f"macro.{project}.materialization_{node['config']['materialized']}_"
    waiting = [name for name in manifest["macros"] if name.startswith(built_by)]
    waiting += _ours(project, node["depends_on"]["macros"])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _ours(project, manifest["macros"][name]["depends_on"]["macros"])
    return sorted(found)


def _ours(project: str, names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name.startswith(f"macro.{project}."))


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
