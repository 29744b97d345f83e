"""Which process a run's tag names, and whether it runs."""

import os
import subprocess
import sys

from dagster_project.runs.under_way import PROCESS_TAG, find_process, is_alive, process_tag


def test_process_that_nobody_has_reaped_does_not_run() -> None:
    """A killed run counts as ended while it is still a zombie; before its end it counts as running."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        tag = process_tag(process.pid)[PROCESS_TAG]
        assert is_alive(tag)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
        assert not is_alive(tag)
        assert find_process(tag) is None
    finally:
        process.communicate()
