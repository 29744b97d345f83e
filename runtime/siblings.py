"""Siblings: further processes of one program, which end with the first, as it does with any of them.

Belongs here: starting, watching and ending them. Programs of their own, which outlive who starts them, are in
`processes`.

Work that is shared among processes is half done when one of them is gone, so the program ends as a whole and says so.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Siblings:
    """What became of them: in `ended` stand the numbers of those that ended by themselves, from 1."""

    ended: list[int] = field(default_factory=list)


@contextmanager
def siblings(commands: Sequence[Sequence[str]]) -> Iterator[Siblings]:
    """Run this Python with each of the arguments while the block runs; when one ends before, this process is asked to
    end as by SIGTERM."""
    found, leaving = Siblings(), threading.Event()
    children = [subprocess.Popen([sys.executable, *command]) for command in commands]

    def watch(number: int, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        if not leaving.is_set():
            found.ended.append(number)
            os.kill(os.getpid(), signal.SIGTERM)

    watchers = [
        threading.Thread(target=watch, args=(number, child), daemon=True) for number, child in enumerate(children, 1)
    ]
    for watcher in watchers:
        watcher.start()
    try:
        yield found
    finally:
        leaving.set()
        for child in children:
            child.terminate()
        for watcher in watchers:
            watcher.join()
