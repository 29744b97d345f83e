"""The change feed: what connections of this and other processes must learn of at once.

Belongs here: recording changes in their transaction, and telling them to subscribers in order. What a subscriber does
with one belongs to it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select

from hub.registry.database import Database, Tx
from hub.registry.registry_tables import CHANGES
from runtime.containment import Contained

POLL_S = 0.2
"""Changes of other processes are seen after this time at most."""

_INSERT = insert(CHANGES)
_BEGINNING = "beginning"
_KEPT_S = 600.0
_NOTED_EVERY_S = 60.0
_MOST_FORGOTTEN = 10_000
_AGAIN_S = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """Something that happened to a device or module: `kind` is identity, desired, cloud_message or connected.

    `MISSED` is that this process was away for so long that others forgot changes that it had not seen.
    """

    kind: str
    device_id: str
    module_id: str
    detail: dict[str, Any]


MISSED = "missed"
Subscriber = Callable[[Change], None]


def record_change(
    tx: Tx, kind: str, device_id: str, module_id: str = "", detail: Mapping[str, Any] | None = None
) -> None:
    """Have subscribers of every process told of it once this transaction is committed."""
    values = {"changed_at": tx.now, "kind": kind, "device_id": device_id, "module_id": module_id}
    tx.connection.execute(_INSERT, {**values, "detail": dict(detail or {})})


def _newest(tx: Tx) -> int:
    """The number of the newest change. One there is always: who saw none could not tell what it missed."""
    newest = select(func.max(CHANGES.c.n))
    if tx.connection.execute(newest).scalar() is None:
        record_change(tx, _BEGINNING, "")
    return int(tx.connection.execute(newest).scalar_one())


class ChangeFeed:
    """Reads the feed in a thread of its own and calls the subscribers, oldest change first.

    What it has seen for ten minutes by `clock`, which counts seconds, it takes out: every process has seen it.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._noted: deque[tuple[float, int]] = deque()
        self._subscribers: list[Subscriber] = []
        self._wake = threading.Event()
        self._is_open = True
        self._last = database.write(_newest).result()
        self._thread = threading.Thread(target=self._follow, name="registry-feed", daemon=True)
        self._thread.start()

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have `subscriber` called, in the feed's thread, for each change from now on."""
        self._subscribers.append(subscriber)

    def wake(self) -> None:
        """Something was committed here: look now."""
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._is_open = False
        self._wake.set()
        self._thread.join()

    def _follow(self) -> None:
        while self._is_open:
            self._wake.wait(POLL_S)
            self._wake.clear()
            # who is told that a device is disabled counts on it: the thread outlives a database that is away
            with Contained(_log, "Reading the registry's changes") as contained:
                for change in self._news():
                    for subscriber in tuple(self._subscribers):
                        with Contained(_log, f"A subscriber to the registry's changes, told of {change.kind}"):
                            subscriber(change)
                self._forget_old()
            if contained.has_failed:
                self._wake.wait(_AGAIN_S)

    def _news(self) -> list[Change]:
        query = select(CHANGES).where(CHANGES.c.n > self._last).order_by(CHANGES.c.n)
        rows = self._database.read(lambda tx: tx.connection.execute(query).all())
        if not rows:
            return []
        found = [Change(row.kind, row.device_id, row.module_id, row.detail) for row in rows]
        # numbers may be left out, but the newest that anybody has seen stays until a newer one is old
        is_missed = rows[0].n > self._last + 1 and not self._knows(self._last)
        self._last = rows[-1].n
        return [Change(MISSED, "", "", {}), *found] if is_missed else found

    def _knows(self, n: int) -> bool:
        query = select(CHANGES.c.n).where(CHANGES.c.n <= n).limit(1)
        return self._database.read(lambda tx: tx.connection.execute(query).first()) is not None

    def _forget_old(self) -> None:
        """Take out what every process has long seen, some of it each time; not the newest of all."""
        now_s = self._clock()
        if not self._noted or now_s - self._noted[-1][0] >= _NOTED_EVERY_S:
            self._noted.append((now_s, self._last))
        while len(self._noted) > 1 and now_s - self._noted[1][0] >= _KEPT_S:
            self._noted.popleft()
        noted_s, last = self._noted[0]
        if now_s - noted_s < _KEPT_S:
            return
        oldest = self._database.read(lambda tx: tx.connection.execute(select(func.min(CHANGES.c.n))).scalar())
        if oldest is None or oldest >= last:
            self._noted.popleft()
            return
        is_old = CHANGES.c.n < min(last, oldest + _MOST_FORGOTTEN)
        self._database.write(lambda tx: tx.connection.execute(delete(CHANGES).where(is_old))).result()
