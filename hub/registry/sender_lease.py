"""The lease on the outbox: one of the processes on a registry sends at a time, whatever their clocks say.

Belongs here: taking, keeping and giving it back, in transactions. No moment of one process is compared with a moment of
another: who holds the lease counts its renewals, and who wants it watches, by its own monotonic clock, whether they
still come.
"""

import time
from collections.abc import Callable

from sqlalchemy import select, update

from hub.registry.database import Tx
from hub.registry.hub_registry import Registry
from hub.registry.registry_tables import LEASES

SILENT_S = 12.0
"""A holder that has not renewed for so long is gone. It renews before it sends, and what it sends has ended by then."""

_IS_OUTBOX = LEASES.c.name == "outbox"


class SenderLease:
    """The lease as `owner` sees it; `clock` counts seconds."""

    def __init__(self, registry: Registry, owner: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._owner = owner
        self._clock = clock
        self._seen: tuple[str, int] | None = None
        self._since_s = 0.0

    def watch(self) -> None:
        """See whether it is renewed, without wanting it."""
        self._registry.read(self._look)

    def take(self) -> bool:
        """Take or renew it; False while another holds it."""
        # a commit wakes the sender: one that only waits must make none
        return self._is_free(self._registry.read(self._look)[0]) and self._registry.write(self._take).result()

    def _take(self, tx: Tx) -> bool:
        holder, count = self._look(tx)
        if not self._is_free(holder):
            return False
        tx.connection.execute(update(LEASES).where(_IS_OUTBOX).values(owner=self._owner, renewals=count + 1))
        return True

    def give_back(self) -> None:
        """Leave it to whoever wants it next, who need not wait; nothing happens when another holds it."""
        self._registry.write(self._give_back).result()

    def _give_back(self, tx: Tx) -> None:
        own = _IS_OUTBOX & (LEASES.c.owner == self._owner)
        tx.connection.execute(update(LEASES).where(own).values(owner=""))

    def _is_free(self, holder: str) -> bool:
        return holder in ("", self._owner) or self._clock() - self._since_s >= SILENT_S

    def _look(self, tx: Tx) -> tuple[str, int]:
        row = tx.connection.execute(select(LEASES.c.owner, LEASES.c.renewals).where(_IS_OUTBOX)).one()
        found = (str(row.owner), int(row.renewals))
        if found != self._seen:
            self._seen, self._since_s = found, self._clock()
        return found
