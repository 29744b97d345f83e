"""The worked examples of docs/dev/examples.md do what the page says."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
from click.testing import CliRunner

from lake.models.catalog import load_models, silver_tables
from lake.reading.comforts import comforts
from lakehouse.cli.commands_page import commands_markdown
from lakehouse.cli.main import COMMANDS, cli
from runtime.variables import settings_of
from tests.faults.catalogue import Case
from tests.support.published_lake import publish_three_days
from tests.unit.test_examples import PROJECT, blocks

PAGE = PROJECT / "docs" / "dev" / "examples.md"


def block(word: str) -> str:
    """The one Python block of the page that has a word."""
    (found,) = [text for text in blocks(PAGE, "python") if word in text]
    return found


def test_a_metric_is_added_by_its_model(tmp_path: Path) -> None:
    """The page's Interface gives the table, columns and wide view that the page names."""
    (model,) = blocks(PAGE, "json")
    (tmp_path / "cellar.json").write_text(model)
    models = load_models([tmp_path])
    (table,) = silver_tables(models.values()).values()
    assert table.name == "silver.cellars"
    assert {"temperature_degc", "air_pressure_kpa"} <= set(table.column_names)
    columns = [column.name for column in comforts(models.values())["cellars_hours"].columns]
    assert {"air_pressure_kpa", "air_pressure_min_kpa", "air_pressure_last_kpa"} <= set(columns)


def test_a_command_is_added_by_a_module_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's command runs, has its help and stands in the reference."""
    module = ModuleType("lakehouse.cli.commands.measured")
    exec(block("def measured"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "measured", "measured:measured")
    assert "## lakehouse measured\n" in commands_markdown()
    assert "List the sites" in CliRunner().invoke(cli, ["--help"]).output
    publish_three_days(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.delenv("LAKEHOUSE_LAKE_URI", raising=False)
    done = CliRunner().invoke(cli, ["measured", "--metric", "humidity"])
    assert (done.output, done.exit_code) == ("bergen\n", 0)


def test_a_setting_is_added_by_its_field() -> None:
    """The page's field is a setting, with its variable and meaning."""
    names: dict[str, Any] = {}
    exec(block("MoreSettings"), names)
    kind = names["MoreSettings"]
    assert settings_of(kind)["quiet_hours"].says == "hours in which upkeep rests"
    assert get_type_hints(kind)["quiet_hours"] is int
    assert kind(home=Path("/h"), lake_uri="/h/lake").quiet_hours == 0


def test_a_fault_case_has_the_form_of_the_page() -> None:
    """The page's case is one that the catalogue lists."""
    names: dict[str, Any] = {}
    exec(block("CASES"), names)
    assert [isinstance(case, Case) for case in names["CASES"]] == [True]
