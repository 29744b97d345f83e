"""The wheel in an empty environment, outside a checkout: the command works there as it does here."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from lake.code_version import code_version

PROJECT = Path(__file__).resolve().parents[2]
Lakehouse = Callable[..., str]


@pytest.fixture(scope="module")
def lakehouse(tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """The command of the wheel, run in an empty folder; returns what it prints.

    Its environment is new but for the packages of others and the jars, which it sees where they are installed here.
    """
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    wheel = next(folder.glob("*.whl"))
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    places = sysconfig.get_paths(vars={"base": str(environment), "platbase": str(environment)})
    # a path that a .pth file adds is searched, and its own .pth files, such as this checkout's, are not read
    (Path(places["purelib"]) / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    (environment / "share").mkdir(exist_ok=True)
    (environment / "share" / "lakehouse").symlink_to(Path(sys.prefix) / "share" / "lakehouse")
    empty = folder / "empty"
    empty.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAKEHOUSE_", "PYTHON"))}

    def run(*arguments: str) -> str:
        command = [str(environment / "bin" / "lakehouse"), *arguments]
        done = subprocess.run(command, cwd=empty, env=kept, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_installed_code_has_the_version_of_this_tree(lakehouse: Lakehouse) -> None:
    """The digest is that of the checkout that the wheel was built from: rooms and dbt project are all there."""
    assert lakehouse("--version").split("+")[1].strip() == code_version().split("+")[1]


def test_the_demo_runs_outside_a_checkout(lakehouse: Lakehouse) -> None:
    """`lakehouse demo` publishes gold, and `lakehouse sql` reads it from the folder where it ran."""
    assert "Every message is where it should be." in lakehouse("demo", "--devices", "6", "--hours", "3")
    rows = lakehouse("sql", "select count(*) as n from gold.device_hours", "--format", "csv").splitlines()
    assert rows[0] == "n"
    assert int(rows[1]) > 0
