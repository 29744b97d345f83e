"""Open logs: the tables that a step has opened, of which it asks for news only when it comes to them again.

Belongs here: keeping them for as long as a step lasts. How a table is opened belongs in `delta`.

Opening one reads its log from the last checkpoint on, and a step comes to the same table a dozen times: what an
application has reached, which version to read, which columns there are, the commit itself. A table that was asked for
as it is moves on with its log; one that was asked for at a version is kept apart, and stays there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from deltalake import DeltaTable

_Kept = dict[tuple[str, int | None], DeltaTable]
_kept: ContextVar[_Kept | None] = ContextVar("logs that a step keeps open", default=None)


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


def kept_table(uri: str, version: int | None) -> DeltaTable | None:
    """A table that was opened before, at a version or as it is now; None when it has to be opened."""
    found = (_kept.get() or {}).get((uri, version))
    if found is not None and version is None:
        found.update_incremental()
    return found


def keep_table(uri: str, version: int | None, opened: DeltaTable) -> None:
    """Keep a table that was asked for at a version, or as it is, when a step has asked for that."""
    kept = _kept.get()
    if kept is not None:
        kept[uri, version] = opened
