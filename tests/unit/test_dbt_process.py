"""The process that dbt is loaded in: how it ends without having built anything."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lake.errors import StepError
from lake.settings import Settings
from pipeline.dbt_process import Dbt, end_dbt, run_dbt


def program(code: str) -> Dbt:
    """A process in the place of dbt."""
    pipe = subprocess.PIPE
    child = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    return Dbt(child.stdin, child.stdout, child.wait, child.kill)


def test_what_a_dbt_that_cannot_load_says_is_told(tmp_path: Path) -> None:
    """It is gone before it is told to build, and its last words are in the error."""
    dbt = program("import sys; sys.stdin.close(); sys.exit('No module named dbt')")
    dbt.wait()
    with pytest.raises(StepError, match="No module named dbt"):
        run_dbt(Settings(home=tmp_path, lake_uri=str(tmp_path)), dbt)


def test_a_dbt_that_is_not_needed_is_ended() -> None:
    """Nothing is left of it, though it waits for ever."""
    dbt = program("import sys; sys.stdin.read()")
    end_dbt(dbt)
    assert dbt.wait() == -signal.SIGKILL
