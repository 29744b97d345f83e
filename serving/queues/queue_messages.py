"""Messages of a queue: held under a lock, settled, looked at.

Belongs here: what becomes of messages that are there, inside a unit of the store. How they come in is in
`queue_sending`. Who may ask, and over which link, belongs in `broker_session`; sessions in `queue_sessions`; what time
alone does in `queue_upkeep`.

A message that is held stays in its queue under a lock until it is settled or the lock runs out. It counts as delivered
when it is held, and no more when its receiver gives it back unseen (`release`).
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.queues.queue_entities import (
    DEAD_LETTERS,
    path_of,
    require,
)  # fmt: skip
from serving.queues.queue_errors import LOCK_LOST, MESSAGE_NOT_FOUND, NOT_ALLOWED, QueueError
from serving.queues.queue_store import ACTIVE, DEFERRED, SCHEDULED, QueueStore
from wire.amqp_message import (
    front,
    read_message,
    with_application,
)
from wire.amqp_types import Int, Long, Timestamp

TOO_OFTEN = "MaxDeliveryCountExceeded"


@dataclass(frozen=True)
class Held:
    """A message that was received: its bytes, and the lock it is held under; none when it is gone with that."""

    number: int
    data: bytes
    lock: uuid.UUID | None = None


@dataclass(frozen=True)
class Receiving:
    """Who receives: from which queue, of which session, and whether what is received is held or gone."""

    queue: str
    session: str | None = None
    session_until_ms: int = 0
    is_held: bool = True


def receive(store: QueueStore, by: Receiving, most: int) -> list[Held]:
    """The next messages that nobody holds, in their order."""
    now, options = store.now(), require(store, by.queue).options
    of_session = "" if by.session is None else "AND session = ?"
    rows = store.db.execute(
        f"SELECT * FROM messages WHERE queue = ? AND state = {ACTIVE} AND (locked_ms IS NULL OR locked_ms <= ?) "
        f"AND (expires_ms IS NULL OR expires_ms > ?) {of_session} ORDER BY number LIMIT ?",
        (by.queue, now, now, *([] if by.session is None else [by.session]), most),
    ).fetchall()
    found = []
    for row in rows:
        if row["deliveries"] >= options.most_deliveries and not by.queue.endswith(DEAD_LETTERS):
            bury(store, row, TOO_OFTEN, f"It was delivered {row['deliveries']} times and never settled.")
        else:
            until = by.session_until_ms if by.session is not None else now + round(options.lock_s * 1000)
            found.append(_hold(store, row, until if by.is_held else None))
    return found


def receive_deferred(store: QueueStore, by: Receiving, numbers: Iterable[int]) -> list[Held]:
    """Messages that were put aside. Raises QueueError when one of them is not, or is held."""
    now, options = store.now(), require(store, by.queue).options
    found = []
    for number in numbers:
        row = store.db.execute(
            f"SELECT * FROM messages WHERE queue = ? AND number = ? AND state = {DEFERRED} AND session IS ? "
            "AND (locked_ms IS NULL OR locked_ms <= ?)",
            (by.queue, number, by.session, now),
        ).fetchone()
        if row is None:
            raise QueueError(MESSAGE_NOT_FOUND, f"No message {number} is deferred there.")
        until = by.session_until_ms if by.session is not None else now + round(options.lock_s * 1000)
        found.append(_hold(store, row, until if by.is_held else None))
    return found


def complete(store: QueueStore, lock: bytes) -> None:
    """It is done. Raises QueueError when the lock is lost, as all that follow."""
    _delete(store, _held(store, lock))


def abandon(store: QueueStore, lock: bytes, changed: Mapping[str, Any]) -> None:
    """It is to come again, with application properties changed; a dead letter after so many times."""
    row = dict(_held(store, lock))
    row["content"] = with_application(row["content"], changed) if changed else row["content"]
    _free(store, row, row["state"])
    options = require(store, row["queue"]).options
    if row["deliveries"] >= options.most_deliveries and not row["queue"].endswith(DEAD_LETTERS):
        bury(store, row, TOO_OFTEN, f"It was given back {row['deliveries']} times.")


def release(store: QueueStore, lock: bytes) -> None:
    """Nobody has looked at it: it comes again as if it had not been delivered."""
    row = _held(store, lock)
    _free(store, row, row["state"])
    store.db.execute(
        "UPDATE messages SET deliveries = deliveries - 1 WHERE queue = ? AND number = ?", (row["queue"], row["number"])
    )


def defer(store: QueueStore, lock: bytes, changed: Mapping[str, Any]) -> None:
    """It is put aside, for who asks for its number."""
    row = dict(_held(store, lock))
    row["content"] = with_application(row["content"], changed) if changed else row["content"]
    _free(store, row, DEFERRED)


def dead_letter(store: QueueStore, lock: bytes, reason: str, description: str) -> None:
    """It cannot be worked on."""
    row = _held(store, lock)
    if row["queue"].endswith(DEAD_LETTERS):
        raise QueueError(NOT_ALLOWED, "A dead letter cannot become one: complete it, or send it again.")
    bury(store, row, reason, description)


def bury(store: QueueStore, row: Mapping[str, Any], reason: str, description: str) -> None:
    """Move a message to the dead letters of its queue, with why."""
    said = {"DeadLetterReason": reason[:4096], "DeadLetterErrorDescription": description[:4096]}
    target = row["queue"] + DEAD_LETTERS
    store.db.execute(
        f"UPDATE messages SET queue = ?, state = {ACTIVE}, session = NULL, content = ?, source = ?, lock = NULL, "
        "locked_ms = NULL, expires_ms = NULL WHERE queue = ? AND number = ?",
        (target, with_application(row["content"], said), row["queue"], row["queue"], row["number"]),
    )
    store.touched.add(target)


def renew(store: QueueStore, lock: bytes) -> int:
    """Hold it for as long again; until when, in milliseconds."""
    row = _held(store, lock)
    until = store.now() + round(require(store, row["queue"]).options.lock_s * 1000)
    store.db.execute("UPDATE messages SET locked_ms = ? WHERE lock = ?", (until, lock))
    return until


def peek(store: QueueStore, address: str, first: int, most: int, session: str | None = None) -> list[Held]:
    """Messages from a number on, whatever their state, as they lie there."""
    require(store, address)
    of_session = "" if session is None else "AND session = ?"
    rows = store.db.execute(
        f"SELECT * FROM messages WHERE queue = ? AND number >= ? {of_session} ORDER BY number LIMIT ?",
        (path_of(address), first, *([] if session is None else [session]), most),
    )
    return [Held(row["number"], _as_delivered(row)) for row in rows]


def cancel_scheduled(store: QueueStore, address: str, numbers: Iterable[int]) -> None:
    """Take scheduled messages back. Raises QueueError when one of them is not scheduled any more."""
    path = require(store, address).path
    for number in numbers:
        gone = store.db.execute(
            f"DELETE FROM messages WHERE queue = ? AND number = ? AND state = {SCHEDULED}", (path, number)
        )
        if not gone.rowcount:
            raise QueueError(MESSAGE_NOT_FOUND, f"No message {number} is scheduled there.")


def whole(row: Mapping[str, Any]) -> bytes:
    """A message as it was sent."""
    return bytes(row["front"]) + bytes(row["content"])


def _held(store: QueueStore, lock: bytes) -> Any:
    row = store.db.execute("SELECT * FROM messages WHERE lock = ?", (lock,)).fetchone()
    if row is None or row["locked_ms"] <= store.now():
        raise QueueError(LOCK_LOST, "The lock has run out, or the message was settled: it may have come to another.")
    return row


def _hold(store: QueueStore, row: Any, until: int | None) -> Held:
    """Lock a message until then, or delete it."""
    if until is None:
        _delete(store, row)
        return Held(row["number"], _as_delivered(row))
    lock = uuid.uuid4()
    store.db.execute(
        "UPDATE messages SET lock = ?, locked_ms = ?, deliveries = deliveries + 1 WHERE queue = ? AND number = ?",
        (lock.bytes, until, row["queue"], row["number"]),
    )
    return Held(row["number"], _as_delivered(row, until), lock)


def _delete(store: QueueStore, row: Any) -> None:
    store.db.execute("DELETE FROM messages WHERE queue = ? AND number = ?", (row["queue"], row["number"]))


def _free(store: QueueStore, row: Mapping[str, Any], state: int) -> None:
    store.db.execute(
        "UPDATE messages SET lock = NULL, locked_ms = NULL, state = ?, content = ? WHERE queue = ? AND number = ?",
        (state, row["content"], row["queue"], row["number"]),
    )
    store.touched.add(row["queue"])


def _as_delivered(row: Any, locked_until: int | None = None) -> bytes:
    """A message's bytes with what a broker says of it in front."""
    sent = read_message(row["front"])
    said: dict[Any, Any] = {
        **sent.annotations,
        "x-opt-enqueued-time": Timestamp(row["enqueued_ms"]),
        "x-opt-sequence-number": Long(row["number"]),
        "x-opt-message-state": Int(row["state"]),
    }
    if locked_until is not None:
        said["x-opt-locked-until"] = Timestamp(locked_until)
    if row["source"] is not None:
        said["x-opt-deadletter-source"] = row["source"]
    return front({**sent.header, "delivery_count": row["deliveries"]}, said) + bytes(row["content"])
