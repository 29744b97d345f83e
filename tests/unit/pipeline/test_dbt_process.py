"""The process that dbt is loaded in: how it ends without having built anything."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lake.project_files import PROJECT_FOLDER
from pipeline.gold.dbt_process import Dbt, end_dbt, run_dbt
from runtime.errors import StepError
from runtime.settings import Settings


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


def test_a_fork_that_nobody_listens_to_does_not_go_on_as_its_parent(tmp_path: Path) -> None:
    """Nor when it has something to say; what comes after the fork is done once, by the parent."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from runtime.settings import Settings; from pipeline.gold import dbt_process\n"
        "def serve(): sys.stdin.read(); print('told to nobody'); raise ValueError\n"
        "dbt_process.serve = serve\n"
        "try: dbt_process.keep_spare(Settings(home=Path(sys.argv[1]), lake_uri=sys.argv[1]))\n"
        "finally: print(os.getpid(), file=open(sys.argv[1] + '/went_on', 'a'), flush=True)\n"
        "spare = dbt_process.start_dbt(None)\n"
        "spare.stdout.close(); spare.stdin.close(); sys.exit(spare.wait())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, cwd=PROJECT_FOLDER)
    assert (done.returncode, len((tmp_path / "went_on").read_text().split())) == (1, 1)
