"""Dying at a chosen point: a step in a process of its own, which kills itself or Spark there.

Belongs here: points and processes. Product code knows nothing of this: the function at the point is replaced by one
that calls it and kills. Which points there are belongs in the cases.

The processes are forked by `tests.support.warm`, so that a case does not wait for imports.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from runtime.settings import Settings
from tests.support.warm import start_apart

_PROJECT = ("lake.", "ingestion.", "pipeline.", "dagster_project.")
_LIMIT_S = 240

Step = Callable[[Settings], None]


@dataclass(frozen=True)
class Point:
    """The `call`-th call of a function (`module.name`): before it, after it, or once it has written a data file.

    `folder`, below the lake, is where `files` looks for that file. `kills` is who dies there: 'self', or the program
    of that name in the home's run folder.
    """

    function: str
    call: int = 1
    when: Literal["before", "files", "after"] = "before"
    folder: str = ""
    kills: str = "self"
    by: signal.Signals = signal.SIGKILL


def run_to(point: Point, step: Step, settings: Settings) -> None:
    """Run `step` in a process that dies at `point`, or fails since another one does; fails when it ends well."""
    expected = -signal.SIGKILL if point.kills == "self" else 1
    process = start_to(point, step, settings)
    process.join(_LIMIT_S)
    assert process.exitcode == expected, f"{point} was not come to"


def start_to(point: Point, step: Step, settings: Settings) -> BaseProcess:
    """Begin `step`, armed with `point`, in a process of its own."""
    return start_apart(_step_to, point, step, settings)


def _step_to(point: Point, step: Step, settings: Settings) -> None:
    arm(point, settings)
    step(settings)


def arm(point: Point, settings: Settings) -> None:
    """Put the killing function in the place of the one at the point, wherever the project has imported it."""
    module_name, name = point.function.rsplit(".", 1)
    real = getattr(import_module(module_name), name)
    calls = 0

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != point.call:
            return real(*arguments, **named)
        if point.when == "before":
            _kill(point, settings)
        if point.when == "files":
            _at_a_new_file(Path(settings.lake_uri) / point.folder, lambda: _kill(point, settings))
        result = real(*arguments, **named)
        if point.when != "before":  # nor is a process to go on whose file was not seen in time
            _kill(point, settings)
        return result

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith(_PROJECT) and getattr(module, name, None) is real:
            setattr(module, name, dying)


def _kill(point: Point, settings: Settings) -> None:
    if point.kills == "self":
        os.kill(os.getpid(), point.by)
    from runtime.processes import find

    record = find(settings, point.kills)
    if record is not None:
        os.kill(record.pid, point.by)


def _at_a_new_file(folder: Path, act: Callable[[], None]) -> None:
    before = set(folder.rglob("*.parquet"))

    def watch() -> None:
        while not any(path not in before for path in folder.rglob("*.parquet")):
            time.sleep(0.001)  # what another process writes cannot be awaited
        act()

    threading.Thread(target=watch, daemon=True).start()
