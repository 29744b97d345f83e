"""`lakehouse models`: what it prints and answers."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lakehouse.cli.commands.models import models
from runtime.errors import ModelError, UsageError

PROBE = {
    "@context": "dtmi:dtdl:context;2",
    "@id": "dtmi:test:probe;1",
    "@type": "Interface",
    "contents": [
        {"@type": "Telemetry", "name": "depth", "schema": "double", "unit": "metre"},
        {"@type": "Property", "name": "serial", "schema": "string"},
    ],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lakehouse of its own, and a model file to add."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    (tmp_path / "probe.json").write_text(json.dumps(PROBE))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(models, arguments)


def test_add_says_what_the_model_becomes(home: Path) -> None:
    """Table, columns, notes and limits are printed; then list and show know it."""
    (home / "probe.quality.json").write_text(json.dumps({"ranges": {"depth": [0, 90]}}))
    result = run("add", str(home / "probe.json"))
    assert result.exit_code == 0, result.output
    for text in ("silver.probes", "depth_m", "0 … 90", "property serial", "reporting_interval_s"):
        assert text in result.output
    assert "silver.probes" in run("list").output
    assert "depth_m" in run("show", "dtmi:test:probe").output
    assert "was known: nothing changed" in run("add", str(home / "probe.json")).output


def test_answers_as_json(home: Path) -> None:
    """Every subcommand answers in JSON too."""
    added = json.loads(run("add", str(home / "probe.json"), "--table", "deep_probes", "--json").stdout)
    assert added["path"].endswith("test.probe-1.json")
    assert [each["table"] for each in added["models"]] == ["silver.deep_probes"]
    listed = json.loads(run("list", "--json").stdout)
    assert [each["model_id"] for each in listed["models"]][-1] == "dtmi:test:probe;1"
    assert "dtmi:lakehouse:pump_motor;1" in listed["parts"]
    shown = json.loads(run("show", "dtmi:test:probe;1", "--json").stdout)
    assert shown["columns"][-1] == {"name": "depth_m", "type": "double", "nullable": True}
    assert shown["telemetry"][0]["json_path"] == ["depth"]


def test_errors_reach_the_caller(home: Path) -> None:
    """Unknown and impossible models end as errors of the project's own, which the command prints as one sentence."""
    assert isinstance(run("show", "dtmi:lakehouse:pomp;1").exception, UsageError)
    assert "is used by" in str(run("show", "dtmi:lakehouse:pump_motor;1").exception)
    (home / "probe.json").write_text("{}")
    assert isinstance(run("add", str(home / "probe.json")).exception, ModelError)
    assert run("add", str(home / "nowhere.json")).exit_code == 2


@pytest.mark.parametrize("arguments", [(), ("add",), ("list",), ("show",)])
def test_help_has_an_example(arguments: tuple[str, ...]) -> None:
    """`--help` of the group and of each subcommand shows one."""
    assert f"lakehouse models {' '.join(arguments)}".strip() in run(*arguments, "--help").output
