"""Watching: a question of `lakehouse sql` that is asked again and again.

Belongs here: when a question is asked anew, and by which publication. What it answers is the caller's.
"""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lake.reading.reader import Reader


def watch(
    open_one: Callable[[], AbstractContextManager["Reader"]],
    newest: Callable[[], int | None],
    ask: Callable[["Reader"], None],
    pause: Callable[[], None],
) -> None:
    """Ask, pause and ask again until Ctrl-C; once there is a newer publication, of that. An error ends it."""
    try:
        while True:
            with open_one() as reader:
                number = None if reader.publication is None else reader.publication.publication_id
                while newest() == number:
                    ask(reader)
                    pause()
    except KeyboardInterrupt:
        return


def clear() -> None:
    """Empty the screen, so that an answer stands where the one before stood; elsewhere than on a terminal nothing."""
    if sys.stdout.isatty():
        click.clear()


def pause_of(seconds: float) -> Callable[[], None]:
    """A pause, after all that was printed can be read."""

    def pause() -> None:
        sys.stdout.flush()
        time.sleep(seconds)

    return pause
