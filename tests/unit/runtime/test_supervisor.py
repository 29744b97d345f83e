"""What `down` finds of programs that were killed."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from runtime import processes, supervisor
from runtime.process_ids import ProcessId
from runtime.process_records import ProcessRecord
from runtime.settings import Settings

PARENT = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"


def test_children_of_a_killed_program_are_stopped_while_it_is_a_zombie(tmp_path: Path) -> None:
    """A killed program stays a zombie while its parent does not ask for it, in many containers for ever; what it had
    started is stopped all the same."""
    home = Settings(home=tmp_path, lake_uri=str(tmp_path))
    home.run_folder.mkdir(parents=True)
    # started here, not by `spawn`, so that nobody asks for its exit status
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        started = psutil.Process(parent.pid)
        processes.keep(home, ProcessRecord("nap", ProcessId.of(parent.pid), "here"))
        started.kill()
        os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)  # waits, and leaves it a zombie
        assert started.status() == psutil.STATUS_ZOMBIE
        assert child.is_running()
        assert supervisor.stop_all(home, []) == ["nap"]
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
