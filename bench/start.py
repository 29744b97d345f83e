"""Start: how long one waits, of the command as a user runs it: for a small answer, and for all of the demo.

Belongs here: short commands in an empty home, and the demo, which checks by itself that every message is where it
should be.
"""

import os
import subprocess
import time
from pathlib import Path

from bench.harness import COMMAND, DifferenceError, Result, Times
from lake.records.publications import newest
from runtime.settings import Settings

_COMMANDS = {
    "--help": (["--help"], "Commands:"),
    "sql SELECT 1": (["sql", "SELECT 1 AS one", "--format", "json"], '"one"'),
    "status": (["status", "--json"], '"running"'),
}


def run(folder: Path, is_quick: bool) -> list[Result]:
    """Five rounds of each command, quick two; the demo three times after one that is not counted, quick one alone."""
    rounds = 2 if is_quick else 5
    commands = tuple(Times(name, _asked(folder, rounds, *each)) for name, each in _COMMANDS.items())
    demos = [_demo(folder / f"demo-{number}") for number in range(1 if is_quick else 4)][-3:]
    stages = (
        Times("first row in gold", tuple(first for first, _ in demos)),
        Times("demo", tuple(whole for _, whole in demos)),
    )
    short = "help 0.3 s, sql of one row 1 s"
    return [
        Result("start", "a command to its end", 1, "commands", commands, short, is_alone=True),
        Result("start-demo", "`lakehouse demo`", 1, "demos", stages, "first row 45 s, all 90 s", is_alone=True),
    ]


def _asked(folder: Path, rounds: int, arguments: list[str], wanted: str) -> tuple[float, ...]:
    """Seconds of so many answers, which must have `wanted` in them, after one that is not counted."""
    environment, seconds = os.environ | {"LAKEHOUSE_HOME": str(folder)}, []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        done = subprocess.run([*COMMAND, *arguments], env=environment, check=True, capture_output=True, text=True)
        seconds.append(time.perf_counter() - began)
        if wanted not in done.stdout:
            raise DifferenceError(f"{arguments} came to {done.stdout!r}")
    return tuple(seconds[1:])


def _demo(home: Path) -> tuple[float, float]:
    """Seconds until something is published, and until the demo has ended well."""
    settings, first = Settings(home=home, lake_uri=str(home / "lake")), 0.0
    environment = os.environ | {"LAKEHOUSE_HOME": str(home)}
    began = time.perf_counter()
    with subprocess.Popen([*COMMAND, "demo"], env=environment, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            if not first and newest(settings) is not None:
                first = time.perf_counter() - began
            time.sleep(0.2)  # a publication announces itself by its record alone
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode:
        raise DifferenceError(f"the demo ended with {process.returncode}: {said}")
    return first, time.perf_counter() - began
