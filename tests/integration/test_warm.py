"""Commands that tests fork from a process with imports: they do what the same command does from the start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.settings import Settings
from tests.end_to_end.lakehouse import COMMAND
from tests.support import warm


def _find_all_imported() -> None:
    assert set(warm.IMPORTED) <= set(sys.modules)


def test_a_fork_finds_all_imported() -> None:
    """The server, which says nothing of what it cannot import, has imported every module that it was told."""
    process = warm.start_apart(_find_all_imported)
    process.join(120)
    assert process.exitcode == 0


@pytest.mark.parametrize("arguments", [["--version"], ["status"], ["sql", "SELECT nothing"], ["refresh", "--no-such"]])
def test_a_forked_command_is_the_command(arguments: list[str], tmp_path: Path) -> None:
    """Output, errors and exit code are those of a process from the start, in a home that the environment names."""
    settings = Settings(home=tmp_path / "home", lake_uri=str(tmp_path / "home" / "lake"))
    environment = {**os.environ, **settings.child_environment(), "LANG": "C.UTF-8"}
    command = [sys.executable, "-c", COMMAND, *arguments]
    cold = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    forked = warm.run_command(arguments, environment, 120)
    assert (forked.returncode, forked.stdout, forked.stderr) == (cold.returncode, cold.stdout, cold.stderr)
