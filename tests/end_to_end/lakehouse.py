"""The command `lakehouse` as a user runs it, against the shared broker and Spark of the tests.

Belongs here: running it in a process that `warm` forks, and reading what it printed.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runtime.settings import Settings
from tests.support.warm import run_command

COMMAND = "import sys; from lakehouse.cli import main; sys.exit(main())"
_LIMIT_S = 420


@dataclass(frozen=True)
class Result:
    """How a command ended and what it printed."""

    exit_code: int
    output: str
    errors: str


def lakehouse(settings: Settings, *arguments: str, exit_codes: Sequence[int] = (0,)) -> Result:
    """Run a command in the home of `settings`; any other exit code than expected fails the test with the output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LAKEHOUSE_", "AWS_"))}
    environment |= settings.child_environment()
    done = run_command(arguments, environment, _LIMIT_S)
    said = f"lakehouse {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    assert done.returncode in exit_codes, said
    assert "Traceback" not in done.stderr, said
    return Result(done.returncode, done.stdout, done.stderr)


def query(settings: Settings, sql: str, *options: str) -> list[dict[str, Any]]:
    """What `lakehouse sql` answers, as one object a row."""
    rows: list[dict[str, Any]] = json.loads(lakehouse(settings, "sql", sql, "--format", "json", *options).output)
    return rows
