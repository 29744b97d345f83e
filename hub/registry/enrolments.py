"""Enrolments: who may be provisioned, and what provisioning makes of them.

Belongs here: individual enrolments and groups as documents in the provisioning service's own form, and assigning a
device to the registry once its proof was checked. The proof is checked by who hears it, `hub.mqtt.provisioning`.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.identities import SAS, Identity, check_etag, create, find, put
from hub.registry.moments import new_etag, text_of
from hub.registry.registry_tables import ENROLMENTS, REGISTRATIONS
from hub.registry.tenants import CrossTenantError
from hub.registry.twins import change_twin

INDIVIDUAL, GROUP = "individual", "group"
REVOKED = "its enrolment is disabled"


@dataclass(frozen=True)
class Enrolment:
    """An enrolment of a tenant; `body` as the provisioning service's clients give it, secrets included."""

    tenant: str
    kind: str
    enrolment_id: str
    etag: str
    body: dict[str, Any]
    created_at: int
    updated_at: int

    @property
    def is_enabled(self) -> bool:
        """True while devices may be provisioned by it."""
        return bool(self.body.get("provisioningStatus", "enabled") == "enabled")

    @property
    def attestation(self) -> dict[str, Any]:
        """How devices prove themselves: `type` and a section of that name."""
        found: dict[str, Any] = self.body.get("attestation", {})
        return found


@dataclass(frozen=True)
class Registration:
    """What provisioning made of a registration id."""

    registration_id: str
    group_id: str | None
    device_id: str | None
    status: str
    etag: str
    body: dict[str, Any]
    created_at: int
    updated_at: int


@dataclass(frozen=True)
class Proof:
    """What a device proved itself by, checked already: the keys that it will use, or its certificate's thumbprint."""

    auth: str = SAS
    primary_key: str | None = None
    secondary_key: str | None = None
    thumbprint: str | None = None


def enrolment_of(tx: Tx, tenant: str, kind: str, enrolment_id: str) -> Enrolment | None:
    """The enrolment, None when there is none."""
    row = tx.connection.execute(select(ENROLMENTS).where(_is(tenant, kind, enrolment_id))).first()
    return None if row is None else _enrolment(row)


def enrolments_of(tx: Tx, tenant: str, kind: str) -> list[Enrolment]:
    """Every enrolment of a kind, by id."""
    wanted = (ENROLMENTS.c.tenant == tenant) & (ENROLMENTS.c.kind == kind)
    rows = tx.connection.execute(select(ENROLMENTS).where(wanted).order_by(ENROLMENTS.c.enrolment_id))
    return [_enrolment(row) for row in rows]


def put_enrolment(
    tx: Tx, tenant: str, kind: str, enrolment_id: str, body: dict[str, Any], if_match: str | None
) -> Enrolment:
    """Create it, or with `if_match` replace it. Disabling one cuts its devices off, enabling lets them in again.

    Raises HubError when it exists and no etag is given, or another one.
    """
    old = enrolment_of(tx, tenant, kind, enrolment_id)
    values: dict[str, Any] = {"etag": new_etag(), "body": body, "updated_at": tx.now}
    if old is None:
        key = {"tenant": tenant, "kind": kind, "enrolment_id": enrolment_id}
        tx.connection.execute(insert(ENROLMENTS).values(**key, **values, created_at=tx.now))
    else:
        if if_match is None:
            raise HubError(HubCode.EnrollmentConflict, f"An enrolment {enrolment_id!r} exists already.")
        check_etag(if_match, old.etag)
        tx.connection.execute(update(ENROLMENTS).where(_is(tenant, kind, enrolment_id)).values(values))
    made = enrolment_of(tx, tenant, kind, enrolment_id)
    assert made is not None  # written above
    if made.is_enabled != (old is None or old.is_enabled):
        _admit(tx, made)
    return made


def remove_enrolment(tx: Tx, tenant: str, kind: str, enrolment_id: str, if_match: str | None) -> None:
    """Take it out; devices that it provisioned stay. Raises HubError when there is none, or for another etag."""
    old = require_enrolment(tx, tenant, kind, enrolment_id)
    check_etag(if_match, old.etag)
    tx.connection.execute(delete(ENROLMENTS).where(_is(tenant, kind, enrolment_id)))


def require_enrolment(tx: Tx, tenant: str, kind: str, enrolment_id: str) -> Enrolment:
    """The enrolment. Raises HubError when there is none."""
    found = enrolment_of(tx, tenant, kind, enrolment_id)
    if found is None:
        raise HubError(HubCode.EnrollmentNotFound, f"There is no enrolment {enrolment_id!r}.")
    return found


def assign(tx: Tx, enrolment: Enrolment, registration_id: str, proof: Proof, payload: Any = None) -> Registration:
    """Bring the device that proved itself into the registry, by the enrolment's wishes.

    Raises HubError when the enrolment is disabled, and CrossTenantError when the id is another tenant's device.
    """
    if not enrolment.is_enabled:
        raise HubError(HubCode.IotHubUnauthorizedAccess, f"The enrolment of {registration_id!r} is disabled.")
    body = enrolment.body
    is_group = enrolment.kind == GROUP
    device_id = registration_id if is_group else body.get("deviceId") or registration_id
    old = find(tx, device_id)
    if old is not None and old.tenant != enrolment.tenant:
        raise CrossTenantError(enrolment.tenant, device_id, old.tenant)
    keys = {"primary_key": proof.primary_key, "secondary_key": proof.secondary_key}
    facts: dict[str, Any] = {"auth": proof.auth, "primary_thumbprint": proof.thumbprint, **keys}
    if old is None:
        is_edge = bool(body.get("capabilities", {}).get("iotEdge", False))
        create(tx, Identity(device_id, enrolment.tenant, is_edge=is_edge, **facts))
    elif any(getattr(old, name) != value for name, value in facts.items()):
        put(tx, replace(old, **facts), "*")
    if old is None or _starts_anew(body):
        twin = body.get("initialTwin") or {}
        desired = (twin.get("properties") or {}).get("desired") or {}
        change_twin(tx, device_id, "", {"tags": twin.get("tags") or {}, "desired": desired}, None)
    return _save_registration(tx, enrolment, registration_id, device_id, payload)


def registration_of(tx: Tx, tenant: str, registration_id: str) -> Registration | None:
    """What became of a registration id, None when it never registered."""
    row = tx.connection.execute(select(REGISTRATIONS).where(_is_registration(tenant, registration_id))).first()
    return None if row is None else _registration(row)


def registrations_of_group(tx: Tx, tenant: str, group_id: str) -> list[Registration]:
    """The registrations that a group brought, by id."""
    wanted = (REGISTRATIONS.c.tenant == tenant) & (REGISTRATIONS.c.group_id == group_id)
    rows = tx.connection.execute(select(REGISTRATIONS).where(wanted).order_by(REGISTRATIONS.c.registration_id))
    return [_registration(row) for row in rows]


def remove_registration(tx: Tx, tenant: str, registration_id: str, if_match: str | None) -> None:
    """Forget a registration; its device stays. Raises HubError when there is none, or for another etag."""
    old = registration_of(tx, tenant, registration_id)
    if old is None:
        raise HubError(HubCode.RegistrationNotFound, f"There is no registration {registration_id!r}.")
    check_etag(if_match, old.etag)
    tx.connection.execute(delete(REGISTRATIONS).where(_is_registration(tenant, registration_id)))


def _starts_anew(body: dict[str, Any]) -> bool:
    """A device that registers again gets the initial twin again, where the enrolment says that nothing is migrated."""
    policy = body.get("reprovisionPolicy") or {}
    return policy.get("updateHubAssignment", True) and not policy.get("migrateDeviceData", True)


def _save_registration(
    tx: Tx, enrolment: Enrolment, registration_id: str, device_id: str, payload: Any
) -> Registration:
    old = registration_of(tx, enrolment.tenant, registration_id)
    created_at = tx.now if old is None else old.created_at
    etag = new_etag()
    body = {
        "registrationId": registration_id, "deviceId": device_id, "status": "assigned",
        "substatus": "initialAssignment" if old is None else "deviceDataMigrated",
        "createdDateTimeUtc": text_of(created_at), "lastUpdatedDateTimeUtc": text_of(tx.now), "etag": etag,
    }  # fmt: skip
    if payload is not None:
        body["payload"] = payload
    group_id = enrolment.enrolment_id if enrolment.kind == GROUP else None
    values = {
        "group_id": group_id, "device_id": device_id, "status": "assigned", "etag": etag, "body": body,
        "updated_at": tx.now,
    }  # fmt: skip
    if old is None:
        key = {"tenant": enrolment.tenant, "registration_id": registration_id, "created_at": tx.now}
        tx.connection.execute(insert(REGISTRATIONS).values(**key, **values))
    else:
        changed = update(REGISTRATIONS).where(_is_registration(enrolment.tenant, registration_id))
        tx.connection.execute(changed.values(values))
    return Registration(registration_id, group_id, device_id, "assigned", etag, body, created_at, tx.now)


def _admit(tx: Tx, enrolment: Enrolment) -> None:
    """Let the devices of an enrolment in, or cut them off, as it now says."""
    if enrolment.kind == GROUP:
        found = registrations_of_group(tx, enrolment.tenant, enrolment.enrolment_id)
    else:
        one = registration_of(tx, enrolment.tenant, enrolment.enrolment_id)
        found = [] if one is None else [one]
    for registration in found:
        device = find(tx, registration.device_id or "")
        if device is None or device.tenant != enrolment.tenant:
            continue
        if not enrolment.is_enabled and device.is_enabled:
            put(tx, replace(device, status="disabled", status_reason=REVOKED), "*")
        elif enrolment.is_enabled and device.status_reason == REVOKED:
            put(tx, replace(device, status="enabled", status_reason=None), "*")


def _is(tenant: str, kind: str, enrolment_id: str) -> Any:
    columns = ENROLMENTS.c
    return (columns.tenant == tenant) & (columns.kind == kind) & (columns.enrolment_id == enrolment_id)


def _is_registration(tenant: str, registration_id: str) -> Any:
    return (REGISTRATIONS.c.tenant == tenant) & (REGISTRATIONS.c.registration_id == registration_id)


def _enrolment(row: Row[Any]) -> Enrolment:
    return Enrolment(**row._mapping)


def _registration(row: Row[Any]) -> Registration:
    return Registration(**{name: value for name, value in row._mapping.items() if name != "tenant"})
