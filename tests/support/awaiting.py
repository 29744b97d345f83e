"""Awaiting: what another process or thread does, looked at again and again until it is done.

Belongs here: the one loop that does it, and the error that says that it was not done in time. How long anything may
take is no claim of these tests, and two busy cores take long: the limit is generous, and only ends what never comes.
"""

import time
from collections.abc import Callable
from typing import TypeVar

LIMIT_S = 180.0
Found = TypeVar("Found")


class NotInTimeError(AssertionError):
    """What was awaited has not come."""


def awaited(
    look: Callable[[], Found], what: str | Callable[[], object], *, limit_s: float = LIMIT_S, every_s: float = 0.05
) -> Found:
    """What `look` gives once it is true of something.

    Raises NotInTimeError, which says `what` has not come: words, or what is known so far.
    """
    deadline = time.monotonic() + limit_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise NotInTimeError(f"not in {limit_s:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(every_s)
    return found
