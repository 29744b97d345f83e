"""Many processes at once, each of which may end while it is looked at.

Belongs here: who descends from a process, who belongs to a home, what they answer and their end. Which program a number
stands for belongs in `process_ids`, starting and stopping programs in `processes`.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

_Answer = TypeVar("_Answer")


def family(pid: int | None = None) -> list[psutil.Process]:
    """A process, by default this one, and all that descend from it; none when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def processes_of(home: Path) -> list[psutil.Process]:
    """All that have this folder as LAKEHOUSE_HOME in their environment; another user's does not say."""
    environments = ask_each(psutil.process_iter(), _environment)
    return [process for process, found in environments.items() if found.get("LAKEHOUSE_HOME") == str(home)]


def ask_each(
    processes: Iterable[psutil.Process], question: Callable[[psutil.Process], _Answer]
) -> dict[psutil.Process, _Answer]:
    """What each answers; those that have ended meanwhile are left out."""
    answers = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # what is told of a zombie, too
            answers[process] = question(process)
    return answers


def command_line(process: psutil.Process) -> str:
    """The words that started it, with a space between them. Raises psutil.NoSuchProcess, of a zombie too."""
    return " ".join(process.cmdline())


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill those that have not ended."""
    ask_each(processes, psutil.Process.kill)


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.AccessDenied:
        return {}
