"""Every command, with output that nobody reads or takes, in other locales, and with texts of any length."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
LONG = "x" * 5000
DTMI = f"dtmi:com:example:{'A' * 300};1"
# what each command says without starting anything
SAYING = {
    "demo": "--help", "up": "--help", "down": "", "simulate": "--help", "replay": "--help", "models": "list",
    "ingest": "--help", "refresh": "--help", "backfill": "--help", "release": "--help", "status": "",
    "missing": "--help", "trace": "--help", "verify": "--help", "sql": "'select 1'", "upkeep": "--help",
    "erase": "--help", "doctor": "--help",
}  # fmt: skip
UNICODE = "select 'Pumpe 泵 😀 é' as x"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def shell(home: Path, line: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a line of bash in which `$L` is the command."""
    names = {"L": f"{sys.executable} -m lakehouse.cli", "LAKEHOUSE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))}
    return subprocess.run(["bash", "-c", line], env={**kept, **names, **environment}, capture_output=True, timeout=120)


def is_one_sentence(errors: bytes) -> bool:
    return errors.startswith(b"Error: ") and errors.count(b"\n") == 1 and b"defect" not in errors


def sayings() -> list[str]:
    return [f"{name} {SAYING.get(name, '--help')}" for name in COMMANDS]


@pytest.mark.parametrize("command", sayings())
def test_output_that_cannot_be_written_is_a_failure_in_one_sentence(home: Path, command: str) -> None:
    """A full disk, and an output that is closed: exit code 1, no defect, no trace."""
    for where, why in ((">/dev/full", b"No space left"), (">&-", b"it is closed")):
        result = shell(home, f"$L {command} {where}")
        assert result.returncode == 1, command
        assert is_one_sentence(result.stderr), result.stderr
        assert why in result.stderr
    result = shell(home, f"$L {command} >&- 2>&-")
    assert (result.returncode, result.stderr) == (1, b"")


@pytest.mark.parametrize("command", sayings())
def test_a_reader_that_has_gone_changes_nothing(home: Path, command: str) -> None:
    """Neither the exit code, which is the command's own, nor that it says nothing about it; nor does no input."""
    result = shell(home, f"$L {command} | true; echo ${{PIPESTATUS[0]}}")
    assert (result.stdout, result.stderr) == (b"0\n", b"")
    assert shell(home, f"$L {command} <&- >/dev/null").returncode == 0


def test_the_exit_code_of_a_failure_survives_a_reader_that_has_gone(home: Path) -> None:
    """What went wrong is not hidden by `| head`, on either stream."""
    result = shell(home, "$L sql 'from nowhere' 2>&1 | true; echo ${PIPESTATUS[0]}")
    assert result.stdout == b"2\n"


def test_rows_end_when_nobody_reads_them(home: Path) -> None:
    """A long result is not looked up to its end for a reader that has seen enough."""
    line = "$L sql --format csv 'select * from range(100000000000)' | head -2; echo ${PIPESTATUS[0]}"
    assert shell(home, line).stdout == b"range\n0\n0\n"


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, "Pumpe 泵 😀 é".encode()),
        ({"PYTHONIOENCODING": "latin-1"}, "Pumpe \\u6cf5 \\U0001f600 é".encode("latin-1")),
        ({"LC_ALL": "C"}, "Pumpe 泵 😀 é".encode()),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "Pumpe 泵 😀 é".encode()),
        ({"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"},
         "Pumpe 泵 😀 é".encode()),
    ],
)  # fmt: skip
def test_any_text_can_be_shown_in_any_locale(home: Path, environment: dict[str, str], shown: bytes) -> None:
    """Characters that the locale does not have are escaped, in JSON as JSON does; the question is read as UTF-8."""
    result = shell(home, f'$L sql "{UNICODE}"; $L sql --format json "{UNICODE}"', **environment)
    assert result.stderr == b""
    table, _, rows = result.stdout.partition(b"[")
    assert shown in table
    assert json.loads(b"[" + rows) == [{"x": "Pumpe 泵 😀 é"}]
    missing = shell(home, "$L sql 'from 泵'", **environment)
    assert missing.returncode == 2
    assert is_one_sentence(missing.stderr)


@pytest.mark.parametrize(
    "line", ["$L sql $'select \\'\\xff\\''", "printf '\\xff' | $L sql", "printf '\\xff' >x; $L sql -f x"]
)
def test_what_is_no_utf8_is_refused(home: Path, line: str, tmp_path: Path) -> None:
    """Arguments, input and files that are no text are wrong usage."""
    result = shell(home, f"cd {tmp_path}; {line}")
    assert result.returncode == 2
    assert b"UTF-8" in result.stderr
    assert b"defect" not in result.stderr


TOO_LONG = {
    "models show": DTMI, "models add": LONG, "trace --message": LONG, "trace gold.device_hours": f"device_id={LONG}",
    "release --why x": LONG, "sql -f": LONG, "sql 'select 1' -o": LONG, "replay": LONG,
    "missing --to 2026 --from": LONG,
    "verify": LONG, "backfill --to 2026-01-01T00 --from": LONG, "simulate --models": LONG,
}  # fmt: skip


@pytest.mark.parametrize("command", TOO_LONG)
def test_a_text_of_any_length_is_no_defect(home: Path, command: str) -> None:
    """A path, id or time that is far too long is an error of who gave it."""
    result = shell(home, f"$L {command} '{TOO_LONG[command]}'")
    assert result.returncode in (1, 2)
    assert b"Error: " in result.stderr
    assert b"defect" not in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [("LAKEHOUSE_HOME", f"/tmp/{LONG}"), ("LAKEHOUSE_HOME", "/dev/null/x"), ("LAKEHOUSE_LAKE_URI", f"/tmp/{LONG}"),
     ("LAKEHOUSE_HOME", os.fsdecode(b"/tmp/\xff")), ("LAKEHOUSE_LAKE_URI", "/dev/null")],
)  # fmt: skip
def test_a_folder_that_cannot_be_is_said_at_the_start(home: Path, variable: str, value: str) -> None:
    """With the name of the setting."""
    result = shell(home, "$L status", **{variable: value})
    assert result.returncode == 2
    assert is_one_sentence(result.stderr)
    assert variable.encode() in result.stderr


def test_a_model_with_an_id_that_is_too_long_is_refused(home: Path, tmp_path: Path) -> None:
    """DTDL lets the id of an Interface have 128 characters; a longer one is said in a sentence."""
    model = {"@id": DTMI, "@type": "Interface", "@context": "dtmi:dtdl:context;3"}
    (tmp_path / "long.json").write_text(json.dumps(model))
    result = shell(home, f"$L models add {tmp_path}/long.json")
    assert result.returncode == 2
    assert is_one_sentence(result.stderr)
    assert b"an Interface may have 128" in result.stderr


def test_a_model_with_a_long_id_has_a_file_and_a_table(home: Path, tmp_path: Path) -> None:
    """Their names are shortened, differ for ids that differ late, and fit into a file system."""
    for last in "BC":
        model = {
            "@id": f"dtmi:example:{'A' * 112}{last};1", "@type": "Interface", "@context": "dtmi:dtdl:context;3",
            "contents": [{"@type": "Telemetry", "name": "temperature", "schema": "double"}],
        }  # fmt: skip
        (tmp_path / f"{last}.json").write_text(json.dumps(model))
        result = shell(home, f"$L models add {tmp_path}/{last}.json")
        assert result.returncode == 0, result.stderr
    names = [path.name for path in (home / "models").iterdir()]
    assert len(names) == 2
    assert max(map(len, names)) < 200
    tables = [
        line.split()[1] for line in shell(home, "$L models list").stdout.decode().splitlines() if "example" in line
    ]
    assert len(set(tables)) == 2
    assert max(map(len, tables)) < 140
