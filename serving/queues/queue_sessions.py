"""Sessions: messages of one kind that one receiver at a time gets, in their order, with a state of its own.

Belongs here: who holds a session, its state, and which there are. Its messages are in `queue_messages`.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from serving.queues.queue_entities import require
from serving.queues.queue_errors import SESSION_LOST, SESSION_TAKEN, QueueError
from serving.queues.queue_store import ACTIVE, QueueStore


@dataclass(frozen=True)
class HeldSession:
    """A session that somebody holds, until then unless it is renewed."""

    queue: str
    session: str
    lock: bytes
    until_ms: int


def hold(store: QueueStore, queue: str, session: str) -> HeldSession:
    """Hold a session, there be messages or not. Raises QueueError when another does."""
    row = _row(store, queue, session)
    if row is not None and row["lock"] is not None and row["locked_ms"] > store.now():
        raise QueueError(SESSION_TAKEN, f"The session {session!r} is held by another receiver.")
    _free_messages(store, queue, session)
    lock, until = uuid.uuid4().bytes, _until(store, queue)
    store.db.execute(
        "INSERT INTO sessions (queue, session, lock, locked_ms) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (queue, session) DO UPDATE SET lock = excluded.lock, locked_ms = excluded.locked_ms",
        (queue, session, lock, until),
    )
    return HeldSession(queue, session, lock, until)


def hold_next(store: QueueStore, queue: str) -> HeldSession | None:
    """Hold the session of the oldest message that nobody else works on; None when there is none."""
    row = store.db.execute(
        "SELECT session FROM messages AS m WHERE queue = ? AND session IS NOT NULL "
        f"AND state = {ACTIVE} AND (expires_ms IS NULL OR expires_ms > ?) AND NOT EXISTS ("
        "SELECT 1 FROM sessions AS s WHERE s.queue = m.queue AND s.session = m.session AND s.lock IS NOT NULL "
        "AND s.locked_ms > ?) ORDER BY number LIMIT 1",
        (queue, store.now(), store.now()),
    ).fetchone()
    return None if row is None else hold(store, queue, row["session"])


def renew(store: QueueStore, held: HeldSession) -> HeldSession:
    """Hold it, and its messages, for as long again. Raises QueueError when it is lost."""
    if not is_held(store, held):
        raise QueueError(SESSION_LOST, f"The session {held.session!r} is held no more.")
    until = _until(store, held.queue)
    place = (until, held.queue, held.session)
    store.db.execute("UPDATE sessions SET locked_ms = ? WHERE queue = ? AND session = ?", place)
    store.db.execute("UPDATE messages SET locked_ms = ? WHERE queue = ? AND session = ? AND lock IS NOT NULL", place)
    return HeldSession(held.queue, held.session, held.lock, until)


def is_held(store: QueueStore, held: HeldSession) -> bool:
    """True while nobody else may have it."""
    row = _row(store, held.queue, held.session)
    return row is not None and row["lock"] == held.lock and row["locked_ms"] > store.now()


def let_go(store: QueueStore, held: HeldSession) -> None:
    """Its receiver is gone: what it held comes to the next."""
    row = _row(store, held.queue, held.session)
    if row is not None and row["lock"] == held.lock:
        store.db.execute(
            "UPDATE sessions SET lock = NULL, locked_ms = NULL WHERE queue = ? AND session = ?",
            (held.queue, held.session),
        )
        _free_messages(store, held.queue, held.session)
        store.touched.add(held.queue)


def let_all_go(store: QueueStore) -> None:
    """No receiver outlives the process that served it."""
    for row in store.db.execute("SELECT queue, session FROM sessions WHERE lock IS NOT NULL").fetchall():
        _free_messages(store, row["queue"], row["session"])
    store.db.execute("UPDATE sessions SET lock = NULL, locked_ms = NULL WHERE lock IS NOT NULL")


def state_of(store: QueueStore, queue: str, session: str) -> bytes | None:
    """What its receivers keep of it."""
    row = _row(store, queue, session)
    return None if row is None else row["state"]


def set_state(store: QueueStore, held: HeldSession, state: bytes | None) -> None:
    """Raises QueueError when the session is lost."""
    if not is_held(store, held):
        raise QueueError(SESSION_LOST, f"The session {held.session!r} is held no more.")
    store.db.execute("UPDATE sessions SET state = ? WHERE queue = ? AND session = ?", (state, held.queue, held.session))


def sessions_of(store: QueueStore, queue: str, skip: int, most: int) -> list[str]:
    """Sessions that have messages or a state, by name."""
    rows = store.db.execute(
        "SELECT session FROM messages WHERE queue = ? AND session IS NOT NULL UNION "
        "SELECT session FROM sessions WHERE queue = ? AND state IS NOT NULL ORDER BY 1 LIMIT ? OFFSET ?",
        (queue, queue, most, skip),
    )
    return [row["session"] for row in rows]


def _row(store: QueueStore, queue: str, session: str) -> dict[str, Any] | None:
    row = store.db.execute("SELECT * FROM sessions WHERE queue = ? AND session = ?", (queue, session)).fetchone()
    return None if row is None else dict(row)


def _until(store: QueueStore, queue: str) -> int:
    return store.now() + round(require(store, queue).options.lock_s * 1000)


def _free_messages(store: QueueStore, queue: str, session: str) -> None:
    store.db.execute(
        "UPDATE messages SET lock = NULL, locked_ms = NULL WHERE queue = ? AND session = ? AND lock IS NOT NULL",
        (queue, session),
    )
