"""Messages from the cloud to devices, and the feedback on them.

Belongs here: the queue of each device with its time to live, delivery count and lock, and the feedback that a sender
asked for. How a message reaches a device belongs to its session.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, Table, bindparam, delete, func, insert, select, update

from hub.hub_errors import HubCode, HubError
from hub.registry.change_feed import record_change
from hub.registry.database import Tx
from hub.registry.identities import require
from hub.registry.moments import text_of
from hub.registry.registry_tables import CLOUD_MESSAGES, FEEDBACK
from wire.hub_topics import write_bag

# Source: IoT Hub's limits of cloud-to-device messaging
MOST_WAITING = 50
MOST_BYTES = 64 * 1024
# as they stand in a topic, which has 65,535 bytes, the device's name and what is added for it
_MOST_SPELT = 64_000
_SECOND = 1_000_000
TIME_TO_LIVE = 3600 * _SECOND
_LOCK = 60 * _SECOND
_FEEDBACK_GROUP = 64
# what every connection executes is made once
_OF_DEVICE = update(CLOUD_MESSAGES).where(CLOUD_MESSAGES.c.device_id == bindparam("of_device"))
_RELEASE = _OF_DEVICE.where(CLOUD_MESSAGES.c.lock_token.is_not(None)).values(lock_token=None)
_BEGIN_ANEW = _OF_DEVICE.values(lock_token=None, locked_until=None)


@dataclass(frozen=True)
class CloudMessage:
    """One message: `system` has to, mid, cid, uid, ct, ce as given; `ack` is none, positive, negative or full.

    `was_taken` is so when the client's session may have been sent it before, whichever connection that was by.
    """

    n: int
    device_id: str
    body: bytes
    properties: dict[str, Any]
    system: dict[str, Any]
    ack: str
    enqueued_at: int
    expires_at: int
    delivery_count: int
    lock_token: str | None
    was_taken: bool = False


@dataclass(frozen=True)
class FeedbackBatch:
    """Feedback records for a service, to be completed or abandoned by the token."""

    lock_token: str
    records: list[dict[str, Any]]


def enqueue(tx: Tx, message: CloudMessage) -> CloudMessage:
    """Add a message; `n`, counts and lock are made here.

    Raises HubError for an unknown device, a full queue, and what is too large for a device to be sent.
    """
    _check_size(message)
    require(tx, message.device_id)
    _expire(tx, message.device_id)
    waiting = select(func.count()).select_from(CLOUD_MESSAGES).where(CLOUD_MESSAGES.c.device_id == message.device_id)
    if tx.connection.execute(waiting).scalar_one() >= MOST_WAITING:
        raise HubError(
            HubCode.DeviceMaximumQueueDepthExceeded, f"{MOST_WAITING} messages wait for {message.device_id!r} already."
        )
    values = {
        "device_id": message.device_id, "body": message.body, "properties": message.properties,
        "system": message.system, "ack": message.ack, "enqueued_at": tx.now,
        "expires_at": message.expires_at or tx.now + TIME_TO_LIVE, "delivery_count": 0,
    }  # fmt: skip
    row = tx.connection.execute(insert(CLOUD_MESSAGES).values(values).returning(CLOUD_MESSAGES)).one()
    record_change(tx, "cloud_message", message.device_id)
    return _message(row)


def take(tx: Tx, device_id: str) -> CloudMessage | None:
    """The oldest message that nobody holds, locked for a minute; None when there is none."""
    _expire(tx, device_id)
    is_free = (CLOUD_MESSAGES.c.device_id == device_id) & (
        CLOUD_MESSAGES.c.lock_token.is_(None) | (CLOUD_MESSAGES.c.locked_until < tx.now)
    )
    row = tx.connection.execute(select(CLOUD_MESSAGES).where(is_free).order_by(CLOUD_MESSAGES.c.n).limit(1)).first()
    if row is None:
        return None
    lock = {"lock_token": secrets.token_hex(16), "locked_until": tx.now + _LOCK}
    changed = update(CLOUD_MESSAGES).where(CLOUD_MESSAGES.c.n == row.n).values(lock)
    taken = _message(tx.connection.execute(changed.returning(CLOUD_MESSAGES)).one())
    # a release leaves the moment, a new session takes it away
    return replace(taken, was_taken=row.locked_until is not None)


def complete(tx: Tx, device_id: str, lock_token: str) -> None:
    """The device has it. Raises HubError when the lock is lost."""
    _end(tx, _held(tx, device_id, lock_token), "Success")


def reject(tx: Tx, device_id: str, lock_token: str) -> None:
    """The device can never have it. Raises HubError when the lock is lost."""
    _end(tx, _held(tx, device_id, lock_token), "Rejected")


def release(tx: Tx, device_id: str, tokens: Collection[str] | None = None) -> None:
    """The connection is gone: what it held unanswered waits again, and counts as no delivery.

    Without `tokens` that is what anybody holds: for a new connection, before which no other has a say any more.
    """
    if tokens is None:
        tx.connection.execute(_RELEASE, {"of_device": device_id})
        return
    is_its = (CLOUD_MESSAGES.c.device_id == device_id) & CLOUD_MESSAGES.c.lock_token.in_(tokens)
    tx.connection.execute(update(CLOUD_MESSAGES).where(is_its).values(lock_token=None))


def put_back(tx: Tx, message: CloudMessage) -> None:
    """What was taken and not sent waits again, as if it had not been taken; nothing happens when the lock is lost."""
    is_it = (CLOUD_MESSAGES.c.device_id == message.device_id) & (CLOUD_MESSAGES.c.lock_token == message.lock_token)
    values = {"lock_token": None, **({} if message.was_taken else {"locked_until": None})}
    tx.connection.execute(update(CLOUD_MESSAGES).where(is_it).values(values))


def begin_anew(tx: Tx, device_id: str) -> None:
    """The client knows of nothing that it was sent: all that waits is free, and counts as never taken."""
    tx.connection.execute(_BEGIN_ANEW, {"of_device": device_id})


def purge(tx: Tx, device_id: str) -> int:
    """Drop everything that waits for a device; how many that were."""
    require(tx, device_id)
    rows = tx.connection.execute(select(CLOUD_MESSAGES).where(CLOUD_MESSAGES.c.device_id == device_id)).all()
    for row in rows:
        _end(tx, _message(row), "Purged")
    return len(rows)


def waiting_count(tx: Tx, device_id: str) -> int:
    """How many messages wait for a device."""
    rows = select(func.count()).select_from(CLOUD_MESSAGES)
    alive = (CLOUD_MESSAGES.c.device_id == device_id) & (CLOUD_MESSAGES.c.expires_at > tx.now)
    return tx.connection.execute(rows.where(alive)).scalar_one()


def take_feedback(tx: Tx, tenant: str) -> FeedbackBatch | None:
    """Up to 64 records that nobody holds, locked for a minute; None when there are none."""
    tx.connection.execute(delete(FEEDBACK).where(FEEDBACK.c.expires_at < tx.now))
    is_free = (FEEDBACK.c.tenant == tenant) & (FEEDBACK.c.lock_token.is_(None) | (FEEDBACK.c.locked_until < tx.now))
    rows = tx.connection.execute(select(FEEDBACK).where(is_free).order_by(FEEDBACK.c.n).limit(_FEEDBACK_GROUP)).all()
    if not rows:
        return None
    token = secrets.token_hex(16)
    lock = update(FEEDBACK).where(FEEDBACK.c.n.in_([row.n for row in rows]))
    tx.connection.execute(lock.values(lock_token=token, locked_until=tx.now + _LOCK))
    return FeedbackBatch(token, [row.record for row in rows])


def complete_feedback(tx: Tx, tenant: str, lock_token: str) -> None:
    """The service has it. Raises HubError when the lock is lost."""
    is_its = (FEEDBACK.c.tenant == tenant) & (FEEDBACK.c.lock_token == lock_token)
    if not tx.connection.execute(delete(FEEDBACK).where(is_its & (FEEDBACK.c.locked_until >= tx.now))).rowcount:
        raise _lock_lost()


def abandon_feedback(tx: Tx, tenant: str, lock_token: str) -> None:
    """The service gives it back. Raises HubError when the lock is lost."""
    is_its = (FEEDBACK.c.tenant == tenant) & (FEEDBACK.c.lock_token == lock_token)
    if not _unlock(tx, FEEDBACK, is_its & (FEEDBACK.c.locked_until >= tx.now)):
        raise _lock_lost()


def _check_size(message: CloudMessage) -> None:
    given = [*message.system.items(), *message.properties.items()]
    texts = [(name, "" if value is None else str(value)) for name, value in given]
    try:
        size = len(message.body) + sum(len(name.encode()) + len(value.encode()) for name, value in texts)
    except UnicodeEncodeError as error:
        raise HubError(HubCode.ArgumentInvalid, "A property of the message is not text in UTF-8.") from error
    if size > MOST_BYTES:
        raise HubError(
            HubCode.MessageTooLarge, f"The message has {size} bytes with its properties: {MOST_BYTES} are the most."
        )
    if (spelt := len(write_bag(texts))) > _MOST_SPELT:
        raise HubError(
            HubCode.MessageTooLarge,
            f"The message's properties have {spelt} bytes as a topic spells them: {_MOST_SPELT} are the most.",
        )


def _held(tx: Tx, device_id: str, lock_token: str) -> CloudMessage:
    is_its = (CLOUD_MESSAGES.c.device_id == device_id) & (CLOUD_MESSAGES.c.lock_token == lock_token)
    row = tx.connection.execute(
        select(CLOUD_MESSAGES).where(is_its & (CLOUD_MESSAGES.c.locked_until >= tx.now))
    ).first()
    if row is None:
        raise _lock_lost()
    return _message(row)


def _lock_lost() -> HubError:
    return HubError(HubCode.DeviceMessageLockLost, "The lock is lost: it was held for longer than a minute, or ended.")


def _unlock(tx: Tx, table: Table, condition: Any) -> int:
    return tx.connection.execute(update(table).where(condition).values(lock_token=None, locked_until=None)).rowcount


def _expire(tx: Tx, device_id: str) -> None:
    is_dead = (CLOUD_MESSAGES.c.device_id == device_id) & (CLOUD_MESSAGES.c.expires_at <= tx.now)
    for row in tx.connection.execute(select(CLOUD_MESSAGES).where(is_dead)).all():
        _end(tx, _message(row), "Expired")


def _end(tx: Tx, message: CloudMessage, outcome: str) -> None:
    tx.connection.execute(delete(CLOUD_MESSAGES).where(CLOUD_MESSAGES.c.n == message.n))
    asked = {"positive": outcome == "Success", "negative": outcome != "Success", "full": True}
    if not asked.get(message.ack, False):
        return
    identity = require(tx, message.device_id)
    record = {
        "originalMessageId": message.system.get("mid"), "description": outcome, "statusCode": outcome,
        "deviceId": message.device_id, "deviceGenerationId": identity.generation_id,
        "enqueuedTimeUtc": text_of(tx.now),
    }  # fmt: skip
    values = {"tenant": identity.tenant, "record": record, "enqueued_at": tx.now, "expires_at": tx.now + TIME_TO_LIVE}
    tx.connection.execute(insert(FEEDBACK).values(values))


def _message(row: Row[Any]) -> CloudMessage:
    return CloudMessage(**{name: value for name, value in row._mapping.items() if name != "locked_until"})
