"""Start: how long one waits for a small answer, of the command as a user runs it.

Belongs here: short commands in an empty home. `make demo` says itself how long it took.
"""

import os
import subprocess
from pathlib import Path

from bench.harness import COMMAND, Result, Side, take_turns

_COMMANDS = {
    "--help": ["--help"],
    "sql of one row": ["sql", "SELECT 1"],
    "status": ["status"],
}


def run(folder: Path, is_quick: bool) -> list[Result]:
    """Five rounds of each, quick or not."""
    environment = os.environ | {"LAKEHOUSE_HOME": str(folder)}

    def asking(arguments: list[str]) -> Side:
        name = " ".join(arguments)

        def work() -> None:
            subprocess.run([*COMMAND, *arguments], env=environment, check=True, capture_output=True)

        return Side(name, work)

    times = take_turns([asking(arguments) for arguments in _COMMANDS.values()], 5)
    return [
        Result("start", "a command to its end", 1, "commands", times, "help 0.3 s, sql of one row 1 s", is_alone=True)
    ]
