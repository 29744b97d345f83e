"""Processes that wait for no imports: forked from a server that has imported what commands and dbt use.

Belongs here: the server, a command in a process of it, and the dbt of a test that refreshes in its own process. What
dies at a chosen point is in `tests.faults.harness`, which forks from the same server.

A command that is run so has its own environment, streams and exit code, as in a process from the start: `lakehouse up`
forks its runs in the same way. That commands work where nothing is imported yet is shown by the tests that start them
cold: those of the wheel, of streams, of `up`, and each that kills one.
"""

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pipeline.gold import dbt_process
from pipeline.gold.dbt_process import Dbt
from runtime.settings import load_settings, take_environment

IMPORTED = [
    "dagster_project.definitions",
    "dagster_project.runs.in_process",
    "lakehouse.cli.main",
    "pipeline.silver.tick",
    "pipeline.gold.gold_refresh",
    "pipeline.gate.validation",
    *dbt_process.IMPORTED,
    "pyspark.sql.connect.functions",
    "pyspark.sql.connect.session",
    "tests.support.frozen",
]
_REFRESHING = {"demo", "refresh", "release", "backfill"}

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(IMPORTED)


def start_apart(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Begin a function of a module in a process of its own, which does not outlive this one."""
    process = _server.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def run_command(
    arguments: Sequence[str], environment: Mapping[str, str], limit_s: float
) -> "subprocess.CompletedProcess[str]":
    """Run `lakehouse` with arguments to its end."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        given = (list(arguments), dict(environment), os.getcwd(), output, errors)
        process = _server.Process(target=_be_command, args=given)
        process.start()
        process.join(limit_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), limit_s, output.read_text(), errors.read_text())
        return subprocess.CompletedProcess(
            list(arguments), process.exitcode, output.read_text(encoding="utf-8"), errors.read_text(encoding="utf-8")
        )


def _be_command(arguments: list[str], environment: Mapping[str, str], folder: str, output: Path, errors: Path) -> None:
    from lakehouse.cli import main

    take_environment(environment)
    time.tzset()
    os.chdir(folder)
    sys.argv = ["lakehouse", *arguments]
    for number, path in ((1, output), (2, errors)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    if arguments and arguments[0] in _REFRESHING:
        dbt_process.keep_spare(load_settings())  # while this process has one thread
    try:
        main()
    finally:
        atexit._run_exitfuncs()  # which a fork does not come to
        sys.stdout.flush()
        sys.stderr.flush()


class ForkedDbts(list[Dbt]):
    """In the place of `dbt_process`'s spare ones: there is always one, which is forked when it is asked for."""

    def __bool__(self) -> bool:
        return True

    def pop(self, index: Any = -1) -> Dbt:
        """A dbt that waits for its order."""
        order, to_dbt = _server.Pipe(duplex=False)
        from_dbt, said = _server.Pipe(duplex=False)
        process = _server.Process(target=_be_dbt, args=(order, said), daemon=True)
        process.start()
        order.close()
        said.close()

        def wait() -> int:
            process.join()
            return process.exitcode or 0

        return Dbt(os.fdopen(os.dup(to_dbt.fileno()), "w"), os.fdopen(os.dup(from_dbt.fileno())), wait, process.kill)


def _be_dbt(order: Connection, said: Connection) -> None:
    for connection, numbers in ((order, (0,)), (said, (1, 2))):
        for number in numbers:
            os.dup2(connection.fileno(), number)
        connection.close()
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    dbt_process.serve()
