"""Connections: which hub process holds a device, since when, and under which epoch.

Belongs here: taking, giving up and finding connections, in transactions. The connection itself belongs to its session.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from hub.registry.change_feed import record_change
from hub.registry.database import Tx
from hub.registry.identities import key_of, learn, require
from hub.registry.outbox import CONNECTED, DISCONNECTED, tell_event
from hub.registry.registry_tables import CONNECTIONS, IDENTITIES, INSTANCES

# how long a message may have been on its way to Kafka when its process was killed
_UNSURE_MS = 32_000
_MOST_EPOCHS = 32


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
    row = tx.connection.execute(select(CONNECTIONS).where(key_of(CONNECTIONS, device_id, module_id))).first()
    opened = Opened(1, (), tx.now // 1000) if row is None else _opened_after(tx, row)
    values: dict[str, Any] = {
        "epoch": opened.epoch, "instance": instance, "is_connected": True, "changed_at": tx.now, "active_at": tx.now,
        "earlier_epochs": list(opened.previous), "since_ms": opened.since_ms, "landed_since_ms": None,
    }  # fmt: skip
    if row is None:
        tx.connection.execute(insert(CONNECTIONS).values(device_id=device_id, module_id=module_id, **values))
    else:
        tx.connection.execute(update(CONNECTIONS).where(key_of(CONNECTIONS, device_id, module_id)).values(values))
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
    # its process was killed: it may have acknowledged nothing of what lies in Kafka since its last beat
    low_water = tx.connection.execute(select(INSTANCES.c.low_water_ms).where(INSTANCES.c.instance == row.instance))
    beat_ms = low_water.scalar()
    since_ms = (row.changed_at // 1000 if beat_ms is None else beat_ms) - _UNSURE_MS
    return Opened(epoch, (row.epoch, *earlier)[:_MOST_EPOCHS], min(since_ms, row.since_ms) if earlier else since_ms)


def beat(tx: Tx, instance: str, low_water_ms: int) -> dict[str, int]:
    """A hub process lives, and everything older than `low_water_ms` that it acknowledged needs no second look.

    How often each process has beaten.
    """
    is_it = INSTANCES.c.instance == instance
    changed = update(INSTANCES).where(is_it).values(low_water_ms=low_water_ms, beats=INSTANCES.c.beats + 1)
    if not tx.connection.execute(changed).rowcount:
        tx.connection.execute(insert(INSTANCES).values(instance=instance, low_water_ms=low_water_ms, beats=1))
    rows = tx.connection.execute(select(INSTANCES.c.instance, INSTANCES.c.beats)).all()
    return {str(row.instance): int(row.beats) for row in rows}


def disconnected(tx: Tx, device_id: str, module_id: str, epoch: int, landed_since_ms: int | None) -> None:
    """The connection of that epoch ended; nothing happens when a newer one holds the device.

    `landed_since_ms` is the moment from which on its messages may lie in Kafka, None when none do.
    """
    is_this = key_of(CONNECTIONS, device_id, module_id) & (CONNECTIONS.c.epoch == epoch) & CONNECTIONS.c.is_connected
    values: dict[str, Any] = {"is_connected": False, "changed_at": tx.now, "active_at": tx.now}
    values["landed_since_ms"] = landed_since_ms
    if tx.connection.execute(update(CONNECTIONS).where(is_this).values(values)).rowcount:
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
