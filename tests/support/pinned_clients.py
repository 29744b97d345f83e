"""Clients from PyPI that want other versions than ours, for tests that ask a server with its own SDK.

Belongs here: running a script in the environment that a client has for itself, beside ours. The Makefile makes them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def printed_lines(client: str, script: str, *arguments: str) -> Iterator[str]:
    """What a script prints in the environment of a client, line by line, as it is printed.

    Skips the test where `make integration` has not made the environment; CI has it or fails.
    """
    python = Path(sys.prefix) / client / "bin" / "python"
    if not python.exists() and "CI" not in os.environ:
        pytest.skip(f"{python} is not there: make .venv/.{client}")
    command = [str(python), "-u", "-c", script, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from (line.rstrip("\n") for line in process.stdout)
    assert process.returncode == 0
