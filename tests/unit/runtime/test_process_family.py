"""Many processes at once, with real ones that end."""

import subprocess
import sys
from pathlib import Path

import psutil

from runtime.process_family import ask_each, command_line, family, kill_all, processes_of

_NAP = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"]
# a child, a grandchild, and their numbers
_PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_who_ended_meanwhile_is_left_out() -> None:
    """Of a family that is listed and then killed in part, a zombie and a process that is gone answer nothing, and
    neither stops the others from being asked or killed."""
    naps = [subprocess.Popen(_NAP, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        for nap in naps:
            assert nap.stdout is not None
            assert nap.stdout.readline() == "up\n"
        listed = [psutil.Process(nap.pid) for nap in naps]
        assert set(listed) <= set(family())
        naps[0].kill()
        naps[0].wait()  # gone
        naps[1].kill()
        while listed[1].status() != psutil.STATUS_ZOMBIE:
            pass
        assert ask_each(listed, command_line) == {listed[2]: " ".join(_NAP)}
        assert naps[2].poll() is None
        kill_all(listed)
        assert naps[2].wait(120) < 0
        assert family(naps[0].pid) == []
    finally:
        for nap in naps:
            nap.kill()
            nap.communicate()


def test_a_family_is_a_process_and_all_below_it(tmp_path: Path) -> None:
    """The process itself comes first, then its child; both, and nobody else, are of the home that they were given."""
    environment = {"LAKEHOUSE_HOME": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert [process.pid for process in family(parent.pid)] == [parent.pid, child]
        assert {process.pid for process in processes_of(tmp_path)} == {parent.pid, child}
    finally:
        kill_all(family(parent.pid))
        parent.communicate()
