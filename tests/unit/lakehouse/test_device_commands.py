"""The commands `simulate` and `replay`: what they refuse before anything starts."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from device_sim.faults import DEMO_FAULTS, parse_faults
from device_sim.simulation import SimulationOptions, plan
from lakehouse.cli.commands.replay import replay
from lakehouse.cli.commands.simulate import simulate
from runtime.errors import UsageError
from runtime.settings import Settings


@pytest.mark.parametrize(
    ("command", "arguments", "says"),
    [
        (simulate, ["--speed", "fast"], "neither 'max' nor a number"),
        (simulate, ["--speed", "nan"], "neither 'max' nor a number"),
        (simulate, ["--speed", "-1"], "neither 'max' nor a number"),
        (simulate, ["--start", "noon"], "write it as 2026-11-20T05:00"),
        (simulate, ["--devices", "0"], "x>=1"),
        (simulate, ["--faults", "/nonexistent/f.json"], "does not exist"),
        (replay, ["/nonexistent/f.csv", "--model", "pump"], "does not exist"),
        (replay, [__file__, "--model", "pump", "--map", "a"], "not COLUMN=TELEMETRY"),
        (replay, [__file__, "--model", "pump", "--map", "a=b", "--map", "a=c"], "mapped twice"),
    ],
)
def test_wrong_options_are_usage_errors(command: click.Command, arguments: list[str], says: str) -> None:
    """An option that cannot be is exit code 2 and one sentence, before a broker is started."""
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_print_faults_prints_a_faults_file() -> None:
    """What is printed is a file to start from: every fault with its values."""
    result = CliRunner().invoke(simulate, ["--print-faults"])
    assert result.exit_code == 0
    assert parse_faults(result.output, "printed") == DEMO_FAULTS


@pytest.mark.parametrize("devices", [0, -3])
def test_a_plan_is_refused_before_anything_is_sent(devices: int, tmp_path: Path) -> None:
    """The function refuses what the command's options would."""
    options = SimulationOptions(datetime(2026, 11, 20, tzinfo=UTC), devices=devices, hours=1)
    with pytest.raises(UsageError, match="--devices 1 or more"):
        plan(Settings(home=tmp_path, lake_uri=str(tmp_path)), options, datetime(2026, 11, 21, tzinfo=UTC))
    assert not list(tmp_path.iterdir())


def test_help_imports_nothing_heavy(request: pytest.FixtureRequest) -> None:
    """Looking at the two commands loads neither numpy, Arrow nor the Kafka client."""
    code = (
        "import sys, lakehouse.cli.commands.simulate, lakehouse.cli.commands.replay;"
        "print(sorted({'numpy', 'pyarrow', 'confluent_kafka', 'rich', 'duckdb', 'dagster'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=request.config.rootpath, capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_a_check_prints_the_rows_that_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not counted among those that would be sent."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    path = tmp_path / "a.csv"
    path.write_text("time,temperature\n2025-01-01,21\n2025-01-02,-999\n2025-01-03,\n")
    arguments = [str(path), "--model", "thermostat", "--device", "attic", "--missing", "-999", "--dry-run"]
    result = CliRunner().invoke(replay, arguments, catch_exceptions=False, standalone_mode=False)
    assert result.return_value == 0
    assert result.stdout.startswith("1 row of 1 device would be sent; nothing was.")
    assert "Left out, without a value: 2 rows." in result.stderr


def test_a_check_names_what_is_sent_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row without a device, and one of a device whose clock stood at nothing, are no surprise later."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    path = tmp_path / "a.csv"
    path.write_text("ts,unit,temperature\n1736899200,a,21\n0,a,22\n1736899800,,23\nsoon,a,24\n1,2,3,4\n")
    arguments = [str(path), "--model", "thermostat", "--device-column", "unit", "--time-unit", "s", "--dry-run"]
    result = CliRunner().invoke(replay, arguments, catch_exceptions=False, standalone_mode=False)
    assert result.return_value == 3
    assert result.stderr.splitlines()[-5:] == [
        "Without a device, which the lake refuses: 1 row.",
        "With a time that cannot be read: 1 row, the first in line 5.",
        "With a time outside the years 2000 to 2099: 1 row, the first in line 3, 0, which is read as 1970-01-01 00:00.",
        "Refused, line 6: 4 cells under 3 names",
        "Refused of a.csv: 1 row. Mend what is wrong and replay the file again: the other rows are known by then.",
    ]


def test_what_a_file_says_moves_no_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, values and halves of characters are shown on their line, with no sign that a terminal obeys."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    path = tmp_path / "a.jsonl"
    path.write_text(r'{"time":"2025-01-01","d":"Halle \u00e9\u001b[2J\n\ud800","temperature":1}')
    arguments = [str(path), "--model", "thermostat", "--device-column", "d", "--dry-run"]
    result = CliRunner().invoke(replay, arguments, catch_exceptions=False, standalone_mode=False)
    assert r"  Halle é\x1b[2J\n\ud800: 1 row, " in result.stdout
