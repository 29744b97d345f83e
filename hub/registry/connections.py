"""Connections: which hub process holds a device, since when, and under which epoch.

Belongs here: taking, giving up and finding connections, in transactions. The connection itself belongs to its session.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update

from hub.registry.change_feed import record_change
from hub.registry.database import Tx
from hub.registry.identities import key_of, learn, require
from hub.registry.outbox import CONNECTED, DISCONNECTED, tell_event
from hub.registry.registry_tables import CONNECTIONS, IDENTITIES


@dataclass(frozen=True)
class ConnectionState:
    """A device's newest connection; moments in microseconds, `epoch` 0 when it never connected."""

    epoch: int = 0
    instance: str = ""
    is_connected: bool = False
    changed_at: int | None = None
    active_at: int | None = None


def next_epoch(tx: Tx, device_id: str, module_id: str, instance: str, model_id: str | None) -> int:
    """Give the device to `instance`; the number of this connection. Earlier owners are told by the change feed.

    Raises HubError for a device that is not registered.
    """
    identity = require(tx, device_id, module_id)
    old = connection_of(tx, device_id, module_id)
    values: dict[str, Any] = {
        "epoch": old.epoch + 1, "instance": instance, "is_connected": True, "changed_at": tx.now, "active_at": tx.now
    }  # fmt: skip
    if old.epoch:
        tx.connection.execute(update(CONNECTIONS).where(key_of(CONNECTIONS, device_id, module_id)).values(values))
    else:
        tx.connection.execute(insert(CONNECTIONS).values(device_id=device_id, module_id=module_id, **values))
    record_change(tx, "connected", device_id, module_id, {"epoch": old.epoch + 1, "instance": instance})
    tell_event(tx, device_id, CONNECTED, _event(module_id, old.epoch + 1))
    if model_id:
        learn(tx, identity, model_id=model_id)
    return old.epoch + 1


def disconnected(tx: Tx, device_id: str, module_id: str, epoch: int) -> None:
    """The connection of that epoch ended; nothing happens when a newer one holds the device."""
    is_this = key_of(CONNECTIONS, device_id, module_id) & (CONNECTIONS.c.epoch == epoch) & CONNECTIONS.c.is_connected
    values = {"is_connected": False, "changed_at": tx.now, "active_at": tx.now}
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


def drop_connections(tx: Tx, instance: str) -> int:
    """An instance starts anew: what it held before it was killed is not connected; how many that were."""
    is_its = (CONNECTIONS.c.instance == instance) & CONNECTIONS.c.is_connected
    rows = tx.connection.execute(select(CONNECTIONS).where(is_its)).all()
    for row in rows:
        disconnected(tx, row.device_id, row.module_id, row.epoch)
    return len(rows)


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
