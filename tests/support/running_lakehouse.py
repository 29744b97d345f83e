"""A lakehouse that runs: the command `lakehouse` as a user starts it, with programs of its own.

Belongs here: a home with its environment, starting `up`, and what it has said. What is shown of it is the tests'.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from runtime.process_family import ask_each, command_line, processes_of
from tests.support.awaiting import awaited
from tests.support.warm import run_command

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from lakehouse.cli import main; main()"]
READY = "Ctrl-C stops all of it."
_START_S = 300


@contextmanager
def ended_lakehouse(home: Path) -> Iterator["Lakehouse"]:
    """A lakehouse of which nothing runs after the block, however it ends."""
    lakehouse = Lakehouse(home)
    try:
        yield lakehouse
    finally:
        lakehouse.run("down")


class Lakehouse:
    """The command with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        ours = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
        self.environment = ours | {"LAKEHOUSE_HOME": str(home), "PYTHONPATH": str(ROOT), "LAKEHOUSE_SPARK_MEMORY": "1g"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in a process that has what it imports."""
        return run_command(arguments, self.environment, _START_S)

    def up(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `up` in the foreground and wait until it says that all answers."""
        return self.starting("up", *arguments, until=READY)

    def starting(self, *arguments: str, until: str) -> subprocess.Popen[str]:
        """Start a command and wait until it has said something."""
        self.output = self.home.parent / "up.out"
        with self.output.open("w") as file:
            process = subprocess.Popen(
                [*COMMAND, *arguments], env=self.environment, stdout=file, stderr=subprocess.STDOUT, text=True
            )
        awaited(lambda: until in self.said() or process.poll() is not None, self.said, limit_s=_START_S)
        assert process.poll() is None, self.said()
        return process

    def said(self) -> str:
        """What `up` has said so far."""
        return self.output.read_text()

    def record(self, name: str) -> psutil.Process:
        """A program that `up` started."""
        return psutil.Process(json.loads((self.home / "run" / f"{name}.json").read_text())["pid"])

    def processes(self) -> list[str]:
        """Every process that has this home in its environment."""
        commands = ask_each(processes_of(self.home), command_line)
        return [f"{process.pid} {command[:200]}" for process, command in commands.items()]
