"""Imports point one way, and what the rooms may not do they do not do."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {
    "lake": set(),
    "ingestion": {"lake"},
    "transforms": {"lake", "ingestion.envelope"},
    # the reconciliation reads the manifest of what was sent
    "pipeline": {"lake", "ingestion", "transforms", "device_sim.manifest"},
    # the wire format and the models, nothing of the lake's tables
    "device_sim": {
        "ingestion.envelope",
        "lake.dtdl",
        "lake.errors",
        "lake.models",
        "lake.settings",
        "lake.slices",
        "lake.telemetry",
    },
    "dagster_project": {"lake", "ingestion", "transforms", "pipeline", "device_sim"},
}
MODULES = sorted(path for room in MAY_IMPORT for path in (PROJECT / room).rglob("*.py"))
SETTINGS = PROJECT / "lake" / "settings.py"


def name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def imports(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def wrong_imports(room: str, source: str) -> set[str]:
    """Modules of other rooms that a module of `room` may not import."""
    allowed = {room, *MAY_IMPORT[room]}
    ours = {module for module in imports(source) if module.split(".")[0] in MAY_IMPORT}
    modules = {
        module for module in ours if not any(other != module and other.startswith(f"{module}.") for other in ours)
    }
    return {m for m in modules if not any(m == a or m.startswith(f"{a}.") for a in allowed)}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_point_one_way(path: Path) -> None:
    """No room imports one that stands above it or beside it."""
    assert wrong_imports(path.relative_to(PROJECT).parts[0], path.read_text()) == set()


def test_a_wrong_import_is_caught() -> None:
    """The check sees both spellings of an import, also inside a function."""
    assert wrong_imports("lake", "def f():\n    from pipeline.tick import tick") == {"pipeline.tick.tick"}
    assert wrong_imports("device_sim", "import lake.tables") == {"lake.tables"}
    assert wrong_imports("transforms", "from ingestion.envelope import ID") == set()


@pytest.mark.parametrize("path", [path for path in MODULES if path != SETTINGS], ids=name)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    """Nothing but lake.settings touches os.environ or os.getenv."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
    }
    assert not used & {"environ", "getenv", "putenv"}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_has_a_charter(path: Path) -> None:
    """A module opens by saying what it is for."""
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", [p for p in MODULES if name(p).startswith("transforms/")], ids=name)
def test_transforms_know_no_orchestrator_and_no_storage(path: Path) -> None:
    """Transforms are pure: no Dagster, no Delta, no Kafka client."""
    roots = {module.split(".")[0] for module in imports(path.read_text())}
    assert not roots & {"dagster", "deltalake", "duckdb", "confluent_kafka", "s3fs"}
