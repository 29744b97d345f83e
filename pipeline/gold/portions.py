"""Portions: a refresh of very many hours, cut into some that are built and published one after the other.

Belongs here: where it is cut, and how long the rest may take. Memory and what an interruption costs are bounded by a
portion, however long the history is. Building and publishing one is `gold_refresh`'s.
"""

import time
from collections.abc import Callable, Sequence

from lake.slices import day_of
from runtime.wording import counted

HOURS_AT_ONCE = 50_000
"""More than five years. What a portion costs whatever it holds is some ten seconds of processor time."""


def first_portion(hours: Sequence[str]) -> tuple[list[str], list[str]]:
    """The first HOURS_AT_ONCE of hours in order, without the rest of a day that would be cut in two; and the others."""
    end = len(hours)
    if end > HOURS_AT_ONCE:
        end = HOURS_AT_ONCE
        while end > 0 and day_of(hours[end - 1]) == day_of(hours[HOURS_AT_ONCE]):
            end -= 1
        if end == 0:  # one day is more than a portion
            end = sum(day_of(hour) == day_of(hours[0]) for hour in hours)
    return list(hours[:end]), list(hours[end:])


class Pace:
    """How long what is left may take, if it takes as long as what was done since this was made."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s, self._start_s = clock_s, clock_s()

    def said(self, done: int, left: int) -> str:
        """In words, of so many hours done and left."""
        left_s = (self._clock_s() - self._start_s) * left / max(done, 1)
        about = f"{left_s:.0f} s" if left_s < 90 else f"{left_s / 60:.0f} min"
        return f"{done:,} of {counted(done + left, 'hour')} done, about {about} left"
