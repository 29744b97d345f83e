"""What time alone does to queues: scheduled messages become due, others expire, locks run out, ids are forgotten.

Belongs here: that, inside a unit of the store. When it is looked for is said by `queue_broker`.
"""

from collections.abc import Mapping
from typing import Any

from runtime.errors import LakehouseError
from serving.queues.queue_entities import DEAD_LETTERS, TOPIC, find
from serving.queues.queue_messages import TOO_OFTEN, bury, whole
from serving.queues.queue_sending import distribute, next_number, takers_of
from serving.queues.queue_store import ACTIVE, SCHEDULED, QueueStore
from wire.amqp_message import read_message

EXPIRED = "TTLExpiredException"
NOT_PUT_IN = "ScheduledMessageRefused"
_MOST = 500


def keep_up(store: QueueStore) -> None:
    """See to all that is due, the oldest first, at most some hundreds at once."""
    _activate(store)
    _expire(store)
    _bury_poison(store)
    store.db.execute("DELETE FROM seen WHERE until_ms <= ?", (store.now(),))


def is_due(store: QueueStore) -> bool:
    """True when there is something to see to; only looks."""
    now = store.now()
    asked = (
        (f"SELECT 1 FROM messages WHERE state = {SCHEDULED} AND visible_ms <= ? LIMIT 1", (now,)),
        ("SELECT 1 FROM messages WHERE expires_ms <= ? LIMIT 1", (now,)),
        ("SELECT 1 FROM messages WHERE locked_ms <= ? LIMIT 1", (now,)),
        ("SELECT 1 FROM seen WHERE until_ms <= ? LIMIT 1", (now,)),
    )
    return any(store.db.execute(*each).fetchone() is not None for each in asked)


def _activate(store: QueueStore) -> None:
    """A scheduled message is put in as if it were sent now, behind what is there."""
    rows = store.db.execute(
        f"SELECT * FROM messages WHERE state = {SCHEDULED} AND visible_ms <= ? ORDER BY visible_ms, number LIMIT ?",
        (store.now(), _MOST),
    ).fetchall()
    for row in rows:
        try:
            with store.unit():
                _put_in(store, row)
        except LakehouseError as error:
            # nobody is there to be told, and the others' time has come too
            _set_aside(store, row, str(error))


def _put_in(store: QueueStore, row: Mapping[str, Any]) -> None:
    store.db.execute("DELETE FROM messages WHERE queue = ? AND number = ?", (row["queue"], row["number"]))
    entity = find(store, row["queue"])
    if entity is not None:
        distribute(store, entity, whole(row), read_message(whole(row)))


def _set_aside(store: QueueStore, row: Mapping[str, Any], why: str) -> None:
    """Among the dead letters of its queue or, since nobody reads those of a topic, of the subscriptions taking it."""
    entity = find(store, row["queue"])
    if entity is None or entity.kind != TOPIC:
        bury(store, row, NOT_PUT_IN, why)
        return
    store.db.execute("DELETE FROM messages WHERE queue = ? AND number = ?", (row["queue"], row["number"]))
    for each in takers_of(store, entity, read_message(whole(row))):
        copy = {**dict(row), "queue": each.path, "number": next_number(store, each)}
        names = ", ".join(copy)
        store.db.execute(f"INSERT INTO messages ({names}) VALUES ({', '.join('?' * len(copy))})", tuple(copy.values()))
        bury(store, copy, NOT_PUT_IN, why)


def _expire(store: QueueStore) -> None:
    now = store.now()
    rows = store.db.execute(
        f"SELECT * FROM messages WHERE expires_ms <= ? AND state != {SCHEDULED} "
        "AND (locked_ms IS NULL OR locked_ms <= ?) LIMIT ?",
        (now, now, _MOST),
    ).fetchall()
    for row in rows:
        entity = find(store, row["queue"])
        if entity is not None and entity.options.keeps_expired and entity.kind != TOPIC:
            bury(store, row, EXPIRED, "Nobody received it within its time to live.")
        else:
            store.db.execute("DELETE FROM messages WHERE queue = ? AND number = ?", (row["queue"], row["number"]))


def _bury_poison(store: QueueStore) -> None:
    """Locks that ran out are taken off; a message that was delivered often enough is a dead letter."""
    rows = store.db.execute("SELECT * FROM messages WHERE locked_ms <= ? LIMIT ?", (store.now(), _MOST)).fetchall()
    for row in rows:
        entity, is_dead = find(store, row["queue"]), row["queue"].endswith(DEAD_LETTERS)
        if entity is not None and not is_dead and row["deliveries"] >= entity.options.most_deliveries:
            bury(store, row, TOO_OFTEN, f"It was delivered {row['deliveries']} times and never settled.")
        else:
            store.db.execute(
                "UPDATE messages SET lock = NULL, locked_ms = NULL WHERE queue = ? AND number = ?",
                (row["queue"], row["number"]),
            )
            if row["state"] == ACTIVE:
                store.touched.add(row["queue"])
