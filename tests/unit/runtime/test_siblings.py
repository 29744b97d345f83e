"""Processes of one program end together."""

import subprocess
import sys

import psutil

_PROGRAM = """
import sys, time
from runtime.signals import asked_to_stop
from runtime.siblings import siblings
naps = [["-c", "import time; time.sleep(60)"], ["-c", "import sys; sys.stdin.read()"]]
with asked_to_stop() as stop, siblings(naps) as beside:
    print("here", flush=True)
    assert stop.wait(120)
print(beside.ended)
"""


def started() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


def test_one_that_ends_ends_all() -> None:
    """The first process is asked to end, knows which of the others ended by itself, and leaves none behind."""
    process = started()
    children = psutil.Process(process.pid).children()
    said, _ = process.communicate(timeout=120)
    assert said == "[2]\n"
    assert psutil.wait_procs(children, 10)[1] == []


def test_the_first_takes_the_others_along() -> None:
    """Asked to end, it ends the others, which then count as asked as well."""
    process = started()
    children = psutil.Process(process.pid).children()
    process.terminate()
    assert process.wait(120) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "[]\n"
    assert psutil.wait_procs(children, 10)[1] == []
