"""Connections: which hub process holds a device, since when, and under which epoch.

Belongs here: taking, giving up and finding connections, in transactions. The connection itself belongs to its session.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from hub.registry.change_feed import record_change
from hub.registry.database import Tx
from hub.registry.identities import key_of, key_values, keyed, learn, require
from hub.registry.outbox import CONNECTED, DISCONNECTED, tell_event
from hub.registry.registry_tables import CONNECTIONS, IDENTITIES, INSTANCES

# how long a message may have been on its way to Kafka when its process was killed
_UNSURE_MS = 32_000
_MOST_EPOCHS = 32
# of so many devices at most the end is told in one commit, which keeps all others waiting
_MOST_ENDED = 500

# what every connection executes is made once
_FIND = select(CONNECTIONS).where(keyed(CONNECTIONS))
_ADD, _CHANGE = insert(CONNECTIONS), update(CONNECTIONS).where(keyed(CONNECTIONS))
_FIND_INSTANCE = select(INSTANCES.c.beats).where(INSTANCES.c.instance == bindparam("of_instance"))
_END = _CHANGE.where(CONNECTIONS.c.epoch == bindparam("of_epoch"), CONNECTIONS.c.is_connected)


@dataclass(frozen=True)
class ConnectionState:
    """A device's newest connection; moments in microseconds, `epoch` 0 when it never connected."""

    epoch: int = 0
    instance: str = ""
    is_connected: bool = False
    changed_at: int | None = None
    active_at: int | None = None


@dataclass(frozen=True)
class Opened:
    """A new connection: its epoch, and in which `previous` epochs, from which of Kafka's moments on, a message that it
    sends again may have landed already."""

    epoch: int
    previous: tuple[int, ...]
    since_ms: int


def next_epoch(tx: Tx, device_id: str, module_id: str, instance: str, model_id: str | None) -> Opened:
    """Give the device to `instance`. Earlier owners are told by the change feed.

    Raises HubError for a device that is not registered.
    """
    identity = require(tx, device_id, module_id)
    _make_known(tx, instance)
    row = tx.connection.execute(_FIND, key_values(device_id, module_id)).first()
    opened = Opened(1, (), tx.now // 1000) if row is None else _opened_after(tx, row)
    values: dict[str, Any] = {
        "epoch": opened.epoch, "instance": instance, "is_connected": True, "changed_at": tx.now, "active_at": tx.now,
        "earlier_epochs": list(opened.previous), "since_ms": opened.since_ms, "landed_since_ms": None,
    }  # fmt: skip
    if row is None:
        tx.connection.execute(_ADD, {"device_id": device_id, "module_id": module_id, **values})
    else:
        tx.connection.execute(_CHANGE, {**key_values(device_id, module_id), **values})
    record_change(tx, "connected", device_id, module_id, {"epoch": opened.epoch, "instance": instance})
    tell_event(tx, device_id, CONNECTED, _event(module_id, opened.epoch))
    if model_id:
        learn(tx, identity, model_id=model_id)
    return opened


def _opened_after(tx: Tx, row: Row[Any]) -> Opened:
    epoch, earlier = row.epoch + 1, tuple(row.earlier_epochs)
    if not row.is_connected:
        if row.landed_since_ms is None:
            return Opened(epoch, earlier, row.since_ms)
        return Opened(epoch, (row.epoch,), row.landed_since_ms)
    return Opened(epoch, *_after_kill(row, _low_waters(tx, [row.instance])))


def _low_waters(tx: Tx, instances: Collection[str]) -> dict[str, int]:
    rows = select(INSTANCES.c.instance, INSTANCES.c.low_water_ms).where(INSTANCES.c.instance.in_(instances))
    return {str(row.instance): int(row.low_water_ms) for row in tx.connection.execute(rows)}


def _after_kill(row: Row[Any], low_waters: dict[str, int]) -> tuple[tuple[int, ...], int]:
    """In which epochs, and from when on, messages lie of a connection whose process was killed.

    It may have acknowledged nothing of what lies in Kafka since its last beat.
    """
    earlier = tuple(row.earlier_epochs)
    since_ms = low_waters.get(row.instance, row.changed_at // 1000) - _UNSURE_MS
    return (row.epoch, *earlier)[:_MOST_EPOCHS], min(since_ms, row.since_ms) if earlier else since_ms


def _make_known(tx: Tx, instance: str, since: int | None = None) -> None:
    """Who holds a connection is known by name: so others can see that it is gone, even if it never beat.

    It holds some `since` that moment, from now on when there is none: what it landed lies from there on.
    """
    if tx.connection.execute(_FIND_INSTANCE, {"of_instance": instance}).first() is None:
        low_water_ms = (tx.now if since is None else since) // 1000
        tx.connection.execute(insert(INSTANCES).values(instance=instance, low_water_ms=low_water_ms, beats=0))


def beat(tx: Tx, instance: str, low_water_ms: int, gone: Collection[str] = ()) -> dict[str, int]:
    """A hub process lives, and everything older than `low_water_ms` that it acknowledged needs no second look.

    It has seen that those that are `gone` do not: what they held is disconnected, and they are forgotten. How often
    each process has beaten.
    """
    _make_known(tx, instance)
    changed = update(INSTANCES).where(INSTANCES.c.instance == instance)
    tx.connection.execute(changed.values(low_water_ms=low_water_ms, beats=INSTANCES.c.beats + 1))
    if gone:
        _end(tx, gone)
    beats = _beats(tx)
    if beats[instance] == 1:
        # registries that are there may have connections of processes that were killed before they were known
        since = func.min(CONNECTIONS.c.changed_at).label("since")
        held = select(CONNECTIONS.c.instance, since).where(CONNECTIONS.c.is_connected).group_by(CONNECTIONS.c.instance)
        for row in tx.connection.execute(held).all():
            _make_known(tx, str(row.instance), row.since)
    return beats


def _beats(tx: Tx) -> dict[str, int]:
    rows = tx.connection.execute(select(INSTANCES.c.instance, INSTANCES.c.beats))
    return {str(row.instance): int(row.beats) for row in rows}


def _end(tx: Tx, gone: Collection[str]) -> None:
    """Have what processes held that are gone end as a connection does, as far as one commit goes.

    A process of which something is left stays known, and its beats count anew: if it lives after all, it sees by its
    next beat that it was taken for gone, however much was ended by then.
    """
    held = CONNECTIONS.c.is_connected & CONNECTIONS.c.instance.in_(gone)
    rows = tx.connection.execute(select(CONNECTIONS).where(held).limit(_MOST_ENDED)).all()
    low_waters = _low_waters(tx, gone)
    for row in rows:
        previous, since_ms = _after_kill(row, low_waters)
        values: dict[str, Any] = {"is_connected": False, "changed_at": tx.now, "landed_since_ms": None}
        values |= {"earlier_epochs": list(previous), "since_ms": since_ms}
        is_it = key_of(CONNECTIONS, row.device_id, row.module_id)
        tx.connection.execute(update(CONNECTIONS).where(is_it).values(values))
        tell_event(tx, row.device_id, DISCONNECTED, _event(row.module_id, row.epoch))
    of_gone = INSTANCES.c.instance.in_(gone)
    done = delete(INSTANCES) if len(rows) < _MOST_ENDED else update(INSTANCES).values(beats=0)
    tx.connection.execute(done.where(of_gone))


def hold_again(tx: Tx, device_id: str, module_id: str, epoch: int) -> None:
    """The connection of that epoch is there, though others took its process for gone; nothing when a newer one is."""
    is_this = key_of(CONNECTIONS, device_id, module_id) & (CONNECTIONS.c.epoch == epoch) & ~CONNECTIONS.c.is_connected
    values: dict[str, Any] = {"is_connected": True, "changed_at": tx.now, "active_at": tx.now}
    if tx.connection.execute(update(CONNECTIONS).where(is_this).values(values)).rowcount:
        tell_event(tx, device_id, CONNECTED, _event(module_id, epoch))


def disconnected(tx: Tx, device_id: str, module_id: str, epoch: int, landed_since_ms: int | None) -> None:
    """The connection of that epoch ended; nothing happens when a newer one holds the device.

    `landed_since_ms` is the moment from which on its messages may lie in Kafka, None when none do.
    """
    values: dict[str, Any] = {"is_connected": False, "changed_at": tx.now, "active_at": tx.now}
    values |= {"landed_since_ms": landed_since_ms, "of_epoch": epoch, **key_values(device_id, module_id)}
    if tx.connection.execute(_END, values).rowcount:
        tell_event(tx, device_id, DISCONNECTED, _event(module_id, epoch))


def connection_of(tx: Tx, device_id: str, module_id: str = "") -> ConnectionState:
    """The newest connection of a device or module."""
    columns = (
        CONNECTIONS.c.epoch, CONNECTIONS.c.instance, CONNECTIONS.c.is_connected, CONNECTIONS.c.changed_at,
        CONNECTIONS.c.active_at,
    )  # fmt: skip
    row = tx.connection.execute(select(*columns).where(key_of(CONNECTIONS, device_id, module_id))).first()
    return ConnectionState() if row is None else ConnectionState(**row._mapping)


def holder_of(tx: Tx, device_id: str, module_id: str = "") -> str | None:
    """The hub process that a device or module is connected to, None when there is none; it may have been killed."""
    found = connection_of(tx, device_id, module_id)
    return found.instance if found.is_connected else None


def device_counts(tx: Tx, tenant: str) -> tuple[int, int, int]:
    """A tenant's devices: all, the enabled, the connected."""
    of_tenant = (IDENTITIES.c.tenant == tenant) & (IDENTITIES.c.module_id == "")
    total = tx.connection.execute(select(func.count()).select_from(IDENTITIES).where(of_tenant)).scalar_one()
    enabled = of_tenant & (IDENTITIES.c.status == "enabled")
    enabled_count = tx.connection.execute(select(func.count()).select_from(IDENTITIES).where(enabled)).scalar_one()
    both = IDENTITIES.join(
        CONNECTIONS,
        (CONNECTIONS.c.device_id == IDENTITIES.c.device_id) & (CONNECTIONS.c.module_id == IDENTITIES.c.module_id),
    )
    connected = select(func.count()).select_from(both).where(of_tenant & CONNECTIONS.c.is_connected)
    return total, enabled_count, tx.connection.execute(connected).scalar_one()


def _event(module_id: str, epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, **({"moduleId": module_id} if module_id else {})}
