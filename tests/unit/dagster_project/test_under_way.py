"""Which process a run's tag names, and whether it runs."""

import os
import platform
import subprocess
import sys

import psutil
import pytest

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


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_ends_no_run(step_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on when the clock is set: its start is counted from the machine's, which moves with it."""
    tag = process_tag()[PROCESS_TAG]
    boot, create_time = psutil.boot_time(), psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot + step_s)
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + step_s)
    assert is_alive(tag)


def test_a_tag_of_another_shape_names_no_process() -> None:
    """What cannot be read on this machine is nobody that is awaited; of another machine nobody here can tell."""
    assert not is_alive(f"{platform.node()} 1 2.0")
    assert is_alive("elsewhere 1 2.0")
