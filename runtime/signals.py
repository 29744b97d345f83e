"""Signals: what a termination or Ctrl-C does to this process and to what it starts.

Belongs here: handlers that hold for a block. Which program is stopped, and how, belongs in `processes`.
"""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that what was started is stopped; its default ends the process at once."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def interruptible_children() -> Iterator[None]:
    """Let programs start with SIGINT as usual even where a shell has it ignored, as for its background jobs.

    They inherit that, and Dagster's would ignore SIGTERM as well: they do at it what they do at SIGINT.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # exec makes the default of any handler
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _exit(signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal end the block half way; what it does takes a bounded time."""
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C, a termination or the end of the terminal sets inside the block."""
    stop = threading.Event()
    ignored = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_IGN]  # nohup
    with _handled(lambda *_: stop.set(), ignored):
        yield stop


@contextmanager
def _handled(handler: Any, except_for: Sequence[int] = ()) -> Iterator[None]:
    former = {number: signal.signal(number, handler) for number in _ENDING if number not in except_for}
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)
