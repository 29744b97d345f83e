"""`lakehouse models`: what it prints and answers."""

import json
import re
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


def test_show_says_what_kind_each_telemetry_is(home: Path) -> None:
    """A counter has its carry limit, maximum and the unit of its rate, a gauge its way and the unit of its integral,
    declared or not; a text is of no kind."""
    telemetry = [("depth", "double"), ("level", "double"), ("turns", "long"), ("note", "string"), ("is_up", "boolean")]
    contents = [{"@type": "Telemetry", "name": name, "schema": schema} for name, schema in telemetry]
    kinds = {"turns": {"kind": "counter", "max": 1000}, "level": {"kind": "gauge", "carry_limit_s": 90_000}}
    (home / "probe.json").write_text(json.dumps({**PROBE, "contents": contents}))
    (home / "probe.quality.json").write_text(json.dumps({"kinds": kinds}))
    assert run("add", str(home / "probe.json")).exit_code == 0
    lines = [re.split(r"  +", line.strip()) for line in run("show", "dtmi:test:probe").output.splitlines()]
    found = {line[0]: line[3] for line in lines if line[0] in dict(telemetry) or line[0] == "column"}
    assert found == {
        "column": "kind", "depth": "gauge, carried 3600 s, previous, integral in h",
        "level": "gauge, carried 90000 s, previous, integral in h",
        "turns": "counter, carried 7 d, 0 again at 1000, rate in 1_h", "note": "note", "is_up": "state, carried 1 d",
    }  # fmt: skip


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


def test_files_and_folders_are_added_in_any_order(home: Path) -> None:
    """A device whose base and component stand in other files, with its own file first, and a folder in a folder."""
    base = {**PROBE, "@id": "dtmi:test:base;1"}
    head = {"@context": "dtmi:dtdl:context;2", "@type": "Interface"}
    part = {"@type": "Component", "name": "motor", "schema": "dtmi:test:motor;1"}
    device = {**head, "@id": "dtmi:test:device;1", "extends": "dtmi:test:base;1", "contents": [part]}
    motor = {**head, "@id": "dtmi:test:motor;1",
             "contents": [{"@type": "Telemetry", "name": "speed", "schema": "double"}]}  # fmt: skip
    folder = home / "models" / "parts"
    folder.mkdir(parents=True)
    (home / "device.json").write_text(json.dumps(device))
    (folder / "base.json").write_text(json.dumps(base))
    (folder / "motor.json").write_text(json.dumps(motor))
    (folder / "base.quality.json").write_text(json.dumps({"ranges": {"depth": [0, 90]}}))
    added = json.loads(run("add", str(home / "device.json"), str(home / "models"), "--json").stdout)
    assert len(added["paths"]) == 3
    columns = [each["name"] for each in json.loads(run("show", "dtmi:test:device;1", "--json").stdout)["columns"]]
    assert columns[-2:] == ["depth_m", "motor_speed"]
    again = run("add", str(home / "models"), str(home / "device.json"))
    assert "nothing changed" in again.output
    assert isinstance(run("add", str(home / "models"), "--table", "x").exception, UsageError)
    empty = home / "empty"
    empty.mkdir()
    assert "no JSON file" in str(run("add", str(empty)).exception)


def test_nothing_is_added_when_one_file_cannot_be(home: Path) -> None:
    """The other files of the call are not written either."""
    (home / "bad.json").write_text(json.dumps({**PROBE, "@id": "dtmi:test:bad;1", "extends": "dtmi:test:nowhere;1"}))
    assert isinstance(run("add", str(home / "probe.json"), str(home / "bad.json")).exception, ModelError)
    assert "dtmi:test:probe;1" not in run("list").output


def test_a_template_can_be_added_as_it_is(home: Path) -> None:
    """`init` writes a model with its quality file, and overwrites nothing."""
    result = run("init", "dtmi:test:greenhouseSensor;1", "--folder", str(home / "mine"))
    assert result.exit_code == 0, result.output
    assert sorted(each.name for each in (home / "mine").iterdir()) == [
        "greenhouse_sensor.json", "greenhouse_sensor.quality.json",
    ]  # fmt: skip
    added = run("add", str(home / "mine" / "greenhouse_sensor.json"))
    assert added.exit_code == 0, added.output
    for text in (
        "silver.greenhouse_sensors",
        "temperature_degc",
        "-40 … 85",
        "idle | running | fault",
        "gauge, carried 3600 s, linear",
        "state, carried 1 d",
    ):
        assert text in added.output
    assert "is there already" in str(
        run("init", "dtmi:test:greenhouseSensor;1", "--folder", str(home / "mine")).exception
    )
    assert isinstance(run("init", "sensor").exception, ModelError)
    assert isinstance(run("init", "dtmi:test:sensor").exception, UsageError)


@pytest.mark.parametrize("arguments", [(), ("init",), ("add",), ("list",), ("show",)])
def test_help_has_an_example(arguments: tuple[str, ...]) -> None:
    """`--help` of the group and of each subcommand shows one."""
    assert f"lakehouse models {' '.join(arguments)}".strip() in run(*arguments, "--help").output
