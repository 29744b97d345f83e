"""Identities: devices and their modules, what they prove themselves by, and what the lake knows of them.

Belongs here: creating, replacing, deleting and finding them, with etags, and the lifecycle events that follow. How a
proof is checked belongs in `wire.sas` and in the sessions.
"""

import base64
import re
import secrets
import sys
from dataclasses import dataclass, field, fields, replace
from typing import Any

from sqlalchemy import Row, Table, bindparam, delete, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from hub.hub_errors import HubCode, HubError
from hub.registry.change_feed import record_change
from hub.registry.database import Tx
from hub.registry.moments import new_etag
from hub.registry.outbox import tell_lifecycle
from hub.registry.registry_tables import CLOUD_MESSAGES, CONNECTIONS, IDENTITIES, TWINS
from wire.envelope import MAINTENANCE_ENDED, MAINTENANCE_STARTED, REGISTERED, RETIRED, UPDATED

# Source: IoT Hub's rule for device and module ids
_ID = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")
SAS, SELF_SIGNED, BY_AUTHORITY, NO_AUTH = "sas", "selfSigned", "certificateAuthority", "none"


@dataclass(frozen=True, slots=True)
class Identity:
    """A device, or with a `module_id` one of its modules. Keys are base64, thumbprints hexadecimal."""

    device_id: str
    tenant: str
    module_id: str = ""
    generation_id: str = ""
    etag: str = ""
    status: str = "enabled"
    status_reason: str | None = None
    status_updated_at: int | None = None
    auth: str = SAS
    primary_key: str | None = None
    secondary_key: str | None = None
    primary_thumbprint: str | None = None
    secondary_thumbprint: str | None = None
    is_edge: bool = False
    device_scope: str | None = None
    parent_scopes: list[str] = field(default_factory=list)
    managed_by: str | None = None
    model_id: str | None = None
    site_id: str | None = None
    interval_s: int | None = None
    created_at: int = 0

    @property
    def is_enabled(self) -> bool:
        """True while it may connect."""
        return self.status == "enabled"


_COLUMNS = [IDENTITIES.c[each.name] for each in fields(Identity)]
# words that many devices have in common are kept in memory once
_IS_SHARED = [each.name in {"tenant", "status", "auth", "model_id", "site_id"} for each in fields(Identity)]


def new_key() -> str:
    """A symmetric key of 32 random bytes, in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(table: Table, device_id: str, module_id: str) -> ColumnElement[bool]:
    """The condition that a row of `table` is of this device or module."""
    return (table.c.device_id == device_id) & (table.c.module_id == module_id)


def keyed(table: Table) -> ColumnElement[bool]:
    """As `key_of`, for a statement that is made once and executed with `key_values`: making it takes half its time."""
    return (table.c.device_id == bindparam("of_device")) & (table.c.module_id == bindparam("of_module"))


def key_values(device_id: str, module_id: str) -> dict[str, Any]:
    """What `keyed` is executed with."""
    return {"of_device": device_id, "of_module": module_id}


_FIND = select(*_COLUMNS).where(keyed(IDENTITIES))


def find(tx: Tx, device_id: str, module_id: str = "") -> Identity | None:
    """The identity, None when there is none."""
    row = tx.connection.execute(_FIND, key_values(device_id, module_id)).first()
    return None if row is None else _identity(row)


def require(tx: Tx, device_id: str, module_id: str = "") -> Identity:
    """The identity. Raises HubError when there is none."""
    found = find(tx, device_id, module_id)
    if found is None:
        raise not_found(device_id, module_id)
    return found


def not_found(device_id: str, module_id: str = "") -> HubError:
    """The error that says so."""
    if module_id:
        return HubError(HubCode.ModuleNotFound, f"Device {device_id!r} has no module {module_id!r}.")
    return HubError(HubCode.DeviceNotFound, f"There is no device {device_id!r}.")


def create(tx: Tx, wanted: Identity) -> Identity:
    """Add an identity with keys where none are given, its empty twin, and the event that registers it.

    Raises HubError when the id is taken or cannot be used, or when a module's tenant has no such device.
    """
    for each in filter(None, (wanted.device_id, wanted.module_id)):
        if not _ID.fullmatch(each):
            raise HubError(
                HubCode.ArgumentInvalid, f"{each!r} is no id: 1 to 128 ASCII letters, digits or -:.+%_#*?!(),=@;$'."
            )
    if find(tx, wanted.device_id, wanted.module_id) is not None:
        if wanted.module_id:
            raise HubError(HubCode.ModuleAlreadyExistsOnDevice, f"Module {wanted.module_id!r} exists already.")
        raise HubError(HubCode.DeviceAlreadyExists, f"A device {wanted.device_id!r} is already registered.")
    if wanted.module_id and require(tx, wanted.device_id).tenant != wanted.tenant:
        raise not_found(wanted.device_id)
    made = _with_keys(replace(wanted, generation_id=str(tx.now), etag=new_etag(), created_at=tx.now))
    tx.connection.execute(insert(IDENTITIES).values(_values(made)))
    empty: dict[str, Any] = {name: {} for name in ("tags", "desired", "desired_meta", "reported", "reported_meta")}
    twin = {"device_id": made.device_id, "module_id": made.module_id, "etag": new_etag(), "version": 2, **empty}
    tx.connection.execute(insert(TWINS).values(**twin, desired_version=1, reported_version=1))
    if not made.module_id:
        tell_lifecycle(tx, made.device_id, REGISTERED, _facts(made))
        if not made.is_enabled:
            tell_lifecycle(tx, made.device_id, MAINTENANCE_STARTED, {})
    record_change(tx, "identity", made.device_id, made.module_id)
    return made


def put(tx: Tx, wanted: Identity, if_match: str | None) -> Identity:
    """Replace what exists (`wanted` names everything that may be changed). Raises HubError for another etag."""
    old = require(tx, wanted.device_id, wanted.module_id)
    check_etag(if_match, old.etag)
    status_at = tx.now if wanted.status != old.status else old.status_updated_at
    made = replace(
        wanted, generation_id=old.generation_id, created_at=old.created_at, etag=new_etag(), status_updated_at=status_at
    )
    made = _with_keys(made)
    tx.connection.execute(
        update(IDENTITIES).where(key_of(IDENTITIES, made.device_id, made.module_id)).values(_values(made))
    )
    if not made.module_id:
        _tell_difference(tx, old, made)
    record_change(tx, "identity", made.device_id, made.module_id)
    return made


def learn(tx: Tx, identity: Identity, **facts: Any) -> Identity:
    """Take over what the device or its twin says of model, site or interval, and tell the lake if it is news."""
    made = replace(identity, **facts)
    if made == identity:
        return identity
    changed = {name: getattr(made, name) for name in facts}
    tx.connection.execute(update(IDENTITIES).where(key_of(IDENTITIES, made.device_id, made.module_id)).values(changed))
    if not made.module_id:
        _tell_difference(tx, identity, made)
    record_change(tx, "identity", made.device_id, made.module_id)
    return made


def remove(tx: Tx, device_id: str, module_id: str, if_match: str | None) -> None:
    """Delete it with its twin, its queue and, for a device, its modules. Raises HubError when it is not as expected."""
    old = require(tx, device_id, module_id)
    check_etag(if_match, old.etag)
    for table in (IDENTITIES, TWINS, CONNECTIONS):
        rows = delete(table).where(table.c.device_id == device_id)
        tx.connection.execute(rows.where(table.c.module_id == module_id) if module_id else rows)
    if not module_id:
        tx.connection.execute(delete(CLOUD_MESSAGES).where(CLOUD_MESSAGES.c.device_id == device_id))
        tell_lifecycle(tx, device_id, RETIRED, {})
    record_change(tx, "identity", device_id, module_id)


def modules_of(tx: Tx, device_id: str) -> list[Identity]:
    """The modules of a device, by name."""
    of_device = (IDENTITIES.c.device_id == device_id) & (IDENTITIES.c.module_id != "")
    rows = tx.connection.execute(select(*_COLUMNS).where(of_device).order_by(IDENTITIES.c.module_id))
    return [_identity(row) for row in rows]


def devices_of(tx: Tx, tenant: str, limit: int, after: str = "") -> list[Identity]:
    """Devices of a tenant by id, those behind `after`."""
    wanted = (IDENTITIES.c.tenant == tenant) & (IDENTITIES.c.module_id == "") & (IDENTITIES.c.device_id > after)
    rows = tx.connection.execute(select(*_COLUMNS).where(wanted).order_by(IDENTITIES.c.device_id).limit(limit))
    return [_identity(row) for row in rows]


def check_etag(if_match: str | None, etag: str) -> None:
    """Raises HubError unless the client's If-Match (None or `*` fits all) is the etag, quoted or not."""
    wanted = None if if_match is None else if_match.removeprefix("W/").strip('"')
    if wanted is not None and wanted not in ("*", etag):
        raise HubError(HubCode.PreconditionFailed, f"It was changed by another: its etag is no longer {wanted!r}.")


def _with_keys(identity: Identity) -> Identity:
    if identity.auth != SAS:
        return replace(identity, primary_key=None, secondary_key=None)
    for key in filter(None, (identity.primary_key, identity.secondary_key)):
        _check_key(key)
    return replace(
        identity, primary_key=identity.primary_key or new_key(), secondary_key=identity.secondary_key or new_key()
    )


def _check_key(key: str) -> None:
    try:
        length = len(base64.b64decode(key, validate=True))
    except ValueError as error:
        raise HubError(HubCode.ArgumentInvalid, "A symmetric key is base64 text: this one is not.") from error
    if not 16 <= length <= 64:
        raise HubError(HubCode.ArgumentInvalid, f"A symmetric key has 16 to 64 bytes: this one has {length}.")


def _tell_difference(tx: Tx, old: Identity, new: Identity) -> None:
    before, after = _facts(old), _facts(new)
    news = {name: value for name, value in after.items() if value != before[name]}
    if any(value is not None for value in news.values()):
        tell_lifecycle(tx, new.device_id, UPDATED, news)
    if old.is_enabled != new.is_enabled:
        tell_lifecycle(tx, new.device_id, MAINTENANCE_ENDED if new.is_enabled else MAINTENANCE_STARTED, {})


def _facts(identity: Identity) -> dict[str, str | int | None]:
    return {
        "model_id": identity.model_id, "site_id": identity.site_id, "reporting_interval_s": identity.interval_s
    }  # fmt: skip


def _values(identity: Identity) -> dict[str, Any]:
    return {each.name: getattr(identity, each.name) for each in fields(Identity)}


def _identity(row: Row[Any]) -> Identity:
    values = zip(row, _IS_SHARED, strict=True)
    given: list[Any] = [sys.intern(each) if is_shared and each else each for each, is_shared in values]
    return Identity(*given)
