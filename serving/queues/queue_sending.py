"""Messages on their way in: to a queue, or to each subscription of a topic that takes them; now, or at a time.

Belongs here: that, inside a unit of the store, and which message came before. What becomes of them then is in
`queue_messages`.
"""

import uuid

from serving.queues.queue_entities import SUBSCRIPTION, TOPIC, Entity, path_of, require, rules_of, subscriptions_of
from serving.queues.queue_errors import ARGUMENT, NOT_ALLOWED, QueueError
from serving.queues.queue_filters import takes
from serving.queues.queue_store import ACTIVE, SCHEDULED, QueueStore
from wire.amqp_message import ANNOTATIONS, DELIVERY, HEADER, AmqpMessage, read_message, sections, with_message_id

SCHEDULED_AT = "x-opt-scheduled-enqueue-time"


def send(store: QueueStore, address: str, data: bytes, at_ms: int | None = None) -> int | None:
    """Put a message in, at a later time when that or the message says so; its number, None for one that came before.

    Raises QueueError, WireError.
    """
    entity = require(store, address)
    if entity.kind == SUBSCRIPTION or path_of(address) != entity.path:
        raise QueueError(NOT_ALLOWED, f"Nothing is sent to {address!r}: send to a queue or topic.")
    message = read_message(data)
    if at_ms is None and message.annotations.get(SCHEDULED_AT) is not None:
        at_ms = int(message.annotations[SCHEDULED_AT])
    if _came_before(store, entity, message):
        return None
    if at_ms is not None and at_ms > store.now():
        return _put(store, entity, data, message, at_ms)
    return distribute(store, entity, data, message)


def distribute(store: QueueStore, entity: Entity, data: bytes, message: AmqpMessage) -> int:
    """Put a message into its queue, or into each subscription that takes it."""
    if entity.kind != TOPIC:
        return _put(store, entity, data, message)
    number = next_number(store, entity)
    for each in takers_of(store, entity, message):
        _put(store, each, data, message)
    return number


def takers_of(store: QueueStore, topic: Entity, message: AmqpMessage) -> list[Entity]:
    """The subscriptions of a topic whose rules take a message."""
    found = subscriptions_of(store, topic.path)
    return [each for each in found if any(takes(rule, message) for rule in rules_of(store, each.path).values())]


def _came_before(store: QueueStore, entity: Entity, message: AmqpMessage) -> bool:
    """True for a message whose id is still remembered; that of another is from now on."""
    message_id = message.properties.get("message_id")
    if not entity.options.duplicates_s or message_id is None:
        return False
    now = store.now()
    known = store.db.execute(
        "SELECT until_ms FROM seen WHERE queue = ? AND message_id = ?", (entity.path, str(message_id))
    ).fetchone()
    if known is not None and known["until_ms"] > now:
        return True
    until = now + round(entity.options.duplicates_s * 1000)
    store.db.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", (entity.path, str(message_id), until))
    return False


def _put(store: QueueStore, entity: Entity, data: bytes, message: AmqpMessage, at_ms: int | None = None) -> int:
    session = message.properties.get("group_id")
    if entity.options.has_sessions and session is None:
        raise QueueError(NOT_ALLOWED, f"{entity.name} takes messages of sessions: give this one a session id.")
    number, now = next_number(store, entity), store.now()
    expiry = _expiry(entity, message, at_ms or now)
    parts = sections(data)
    message_id = message.properties.get("message_id")
    content = b"".join(each for code, each in parts if code not in (HEADER, ANNOTATIONS, DELIVERY))
    if message_id is None:
        # the client for Node.js settles none that has no id, and gives it none itself
        message_id = uuid.uuid4().hex
        content = with_message_id(content, message_id)
    store.db.execute(
        "INSERT INTO messages (queue, number, state, session, message_id, front, content, enqueued_ms, visible_ms, "
        "expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entity.path, number, ACTIVE if at_ms is None else SCHEDULED, None if session is None else str(session),
            str(message_id),
            b"".join(each for code, each in parts if code in (HEADER, ANNOTATIONS)),
            content,
            now, at_ms, expiry,
        ),
    )  # fmt: skip
    store.touched.add(entity.path)
    return number


def _expiry(entity: Entity, message: AmqpMessage, from_ms: int) -> int | None:
    said = message.header.get("ttl")
    spans = [
        *([] if said is None else [int(said)]),
        *([round(entity.options.ttl_s * 1000)] if entity.options.ttl_s else []),
    ]
    return from_ms + min(spans) if spans else None


def next_number(store: QueueStore, entity: Entity) -> int:
    """The number of its next message. Raises QueueError when it was deleted."""
    row = store.db.execute(
        "UPDATE entities SET next_number = next_number + 1 WHERE path = ? RETURNING next_number - 1", (entity.path,)
    ).fetchone()
    if row is None:
        raise QueueError(ARGUMENT, f"{entity.name} was deleted.")
    return int(row[0])
