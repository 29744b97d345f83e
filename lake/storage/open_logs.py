"""Open logs: the tables that a step has opened, of which it asks for news only when it comes to them again.

Belongs here: keeping them for as long as a step lasts. Opening a table belongs in `delta`.

Opening a table reads its log from the last checkpoint on, and a step comes to the same table a dozen times: what an
application has reached, which version to read, which columns there are, the commit itself. A kept table moves on with
its log, so whoever needs one version of it asks for that version, and gets a table of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from deltalake import DeltaTable

_kept: ContextVar[dict[str, DeltaTable] | None] = ContextVar("logs that a step keeps open", default=None)


@contextmanager
def open_logs() -> Iterator[None]:
    """Keep what this thread opens in the block, or in the block around it. As `@open_logs()`: in each call."""
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def kept_table(uri: str) -> DeltaTable | None:
    """A table that was opened before, as it is now; None when it has to be opened."""
    found = (_kept.get() or {}).get(uri)
    if found is not None:
        found.update_incremental()
    return found


def keep_table(uri: str, opened: DeltaTable) -> None:
    """Keep a table at its newest version, when a step has asked for that."""
    kept = _kept.get()
    if kept is not None:
        kept[uri] = opened
