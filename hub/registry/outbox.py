"""The outbox: what the lake is to hear of the registry, written in the transaction that changes it.

Belongs here: adding rows, reading them in order, and forgetting those that Kafka has. Sending belongs in
`hub.messages.outbox_sender`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select

from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.moments import moment_of
from hub.registry.registry_tables import FACTS, OUTBOX
from wire.envelope import LIFECYCLE_TOPIC, Message, lifecycle_message, rfc3339

DEVICE_EVENTS_TOPIC = "device_events"
CONNECTED = "lakehouse.device.connected"
DISCONNECTED = "lakehouse.device.disconnected"
TWIN_CHANGED = "lakehouse.twin.changed"

# a record of Kafka has a megabyte at most, with its headers; a row that it never takes would keep back all behind it
_LARGEST = 900_000
_INSERT = insert(OUTBOX)


def tell_lifecycle(tx: Tx, device_id: str, kind: str, attributes: Mapping[str, str | int | None]) -> None:
    """A change of the device's registry record that takes effect now; attributes that are None are left out.

    Raises HubError, as `tell_event` does, for what no record of Kafka can hold.
    """
    named = {name: value for name, value in attributes.items() if value is not None}
    _add(tx, LIFECYCLE_TOPIC, device_id, kind, named)


def tell_event(tx: Tx, device_id: str, kind: str, value: Mapping[str, Any]) -> None:
    """An event of a device for the topic `device_events`."""
    _add(tx, DEVICE_EVENTS_TOPIC, device_id, kind, value)


def pending(tx: Tx, limit: int) -> list[tuple[int, Message]]:
    """The oldest rows as messages with their numbers; the same row is the same message however often it is sent."""
    registry: str = tx.connection.execute(select(FACTS.c.value).where(FACTS.c.name == "registry_id")).scalar_one()
    rows = tx.connection.execute(select(OUTBOX).order_by(OUTBOX.c.n).limit(limit)).all()
    found = []
    for row in rows:
        message = lifecycle_message(row.device_id, f"{registry}-{row.n}", row.type, row.time, row.value)
        message.topic = row.topic
        found.append((row.n, message))
    return found


def forget(tx: Tx, numbers: Sequence[int]) -> None:
    """Take out what Kafka has acknowledged."""
    tx.connection.execute(delete(OUTBOX).where(OUTBOX.c.n.in_(numbers)))


def _add(tx: Tx, topic: str, device_id: str, kind: str, value: Mapping[str, Any]) -> None:
    size = len(json.dumps(value))
    if size > _LARGEST:
        raise HubError(HubCode.MessageTooLarge, f"What {device_id!r} tells has {size} bytes of JSON, over {_LARGEST}.")
    time = rfc3339(moment_of(tx.now))
    row = {"topic": topic, "device_id": device_id, "type": kind, "time": time, "value": dict(value)}
    tx.connection.execute(_INSERT, row)
