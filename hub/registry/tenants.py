"""Tenants: who owns identities, twins and keys, and the shared access policies that speak for them.

Belongs here: policies and their keys, authorities, a tenant's scope for provisioning, and refused attempts across
tenants.
"""

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from hub.hub_errors import HubCode, HubError
from hub.registry.change_feed import record_change
from hub.registry.database import Tx
from hub.registry.documents_table import Document, add_document, document_of, documents_of, remove_document
from hub.registry.identities import Identity, new_key, require
from hub.registry.registry_tables import FACTS, POLICIES, REFUSALS

DEFAULT_TENANT = "default"
REGISTRY_READ, REGISTRY_WRITE, SERVICE, DEVICE = "RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect"
# the policies that every IoT hub is made with
_POLICIES = {
    "iothubowner": (REGISTRY_READ, REGISTRY_WRITE, SERVICE, DEVICE),
    "service": (SERVICE,),
    "registryRead": (REGISTRY_READ,),
    "registryReadWrite": (REGISTRY_READ, REGISTRY_WRITE),
    "device": (DEVICE,),
}
_AUTHORITY = "authority"
KEYS_CHANGED = "tenant_keys"
"""The change that tells every process to judge again who a tenant's keys or authorities let in."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """A key with rights in one tenant; keys are base64."""

    tenant: str
    name: str
    primary_key: str
    secondary_key: str
    rights: frozenset[str]


class CrossTenantError(HubError):
    """A tenant asked for what belongs to another; to him it does not exist."""

    def __init__(self, tenant: str, what: str, owner: str) -> None:
        super().__init__(HubCode.DeviceNotFound, f"There is no device {what!r}.")
        self.tenant, self.what, self.owner = tenant, what, owner


def add_tenant(tx: Tx, tenant: str) -> Policy:
    """Make a tenant with the usual policies, or leave what is there; its owner's policy.

    Raises HubError for a name that cannot be used.
    """
    if not tenant.isascii() or not tenant.replace("-", "").isalnum() or len(tenant) > 64:
        raise HubError(HubCode.ArgumentInvalid, f"{tenant!r} is no tenant's name: letters, digits and '-', 64 at most.")
    if not policies_of(tx, tenant):
        for name, rights in _POLICIES.items():
            keys = {"primary_key": new_key(), "secondary_key": new_key()}
            tx.connection.execute(insert(POLICIES).values(tenant=tenant, name=name, rights=" ".join(rights), **keys))
    return next(policy for policy in policies_of(tx, tenant) if policy.name == "iothubowner")


def rotate_policy(tx: Tx, tenant: str, name: str, which: str) -> Policy:
    """Make the `primary` or `secondary` key of a policy anew; who signed by the old one is cut off.

    Raises HubError for an unknown policy.
    """
    is_this = (POLICIES.c.tenant == tenant) & (POLICIES.c.name == name)
    column = POLICIES.c.primary_key if which == "primary" else POLICIES.c.secondary_key
    if not tx.connection.execute(update(POLICIES).where(is_this).values({column: new_key()})).rowcount:
        raise HubError(HubCode.ResourceNotFound, f"There is no policy {name!r} in tenant {tenant!r}.")
    record_change(tx, KEYS_CHANGED, "", detail={"tenant": tenant})
    return next(policy for policy in policies_of(tx, tenant) if policy.name == name)


def tenant_names(tx: Tx) -> list[str]:
    """Every tenant."""
    return list(tx.connection.execute(select(POLICIES.c.tenant).distinct().order_by(POLICIES.c.tenant)).scalars())


def policies_of(tx: Tx, tenant: str) -> list[Policy]:
    """The policies of a tenant."""
    rows = tx.connection.execute(select(POLICIES).where(POLICIES.c.tenant == tenant).order_by(POLICIES.c.name))
    return [_policy(row) for row in rows]


def policies_named(tx: Tx, name: str) -> list[Policy]:
    """The policies of that name, one a tenant: whose key signed a token says which tenant speaks."""
    return [_policy(row) for row in tx.connection.execute(select(POLICIES).where(POLICIES.c.name == name))]


def id_scope(tx: Tx, tenant: str) -> str:
    """What a device names to be provisioned into this tenant."""
    registry: str = tx.connection.execute(select(FACTS.c.value).where(FACTS.c.name == "registry_id")).scalar_one()
    return f"0ne{hashlib.sha256(f'{registry}/{tenant}'.encode()).hexdigest()[:8].upper()}"


def tenant_of_scope(tx: Tx, scope: str) -> str | None:
    """The tenant that an id scope belongs to, None when there is none."""
    return next((tenant for tenant in tenant_names(tx) if id_scope(tx, tenant) == scope), None)


def require_own(tx: Tx, tenant: str, device_id: str, module_id: str = "") -> Identity:
    """The identity. Raises HubError when there is none, CrossTenantError when it is another tenant's."""
    found = require(tx, device_id, module_id)
    if found.tenant != tenant:
        raise CrossTenantError(tenant, device_id, found.tenant)
    return found


def log_refusal(tx: Tx, error: CrossTenantError) -> None:
    """Keep that a tenant tried to reach into another."""
    _log.warning("Tenant %s asked for %s of tenant %s and was refused.", error.tenant, error.what, error.owner)
    values = {"refused_at": tx.now, "tenant": error.tenant, "what": error.what, "owner": error.owner}
    tx.connection.execute(insert(REFUSALS).values(values))


def refusal_count(tx: Tx) -> int:
    """How many attempts across tenants were refused so far."""
    return tx.connection.execute(select(func.count()).select_from(REFUSALS)).scalar_one()


def add_authority(tx: Tx, tenant: str, name: str, pem: str) -> None:
    """Trust a certificate authority of the tenant's to vouch for its devices. Raises HubError for a taken name."""
    add_document(tx, tenant, _AUTHORITY, name, {"pem": pem}, HubCode.EnrollmentConflict)


def authorities_of(tx: Tx, tenant: str) -> list[bytes]:
    """The certificates of a tenant's authorities, PEM."""
    return list(named_authorities(tx, tenant).values())


def named_authorities(tx: Tx, tenant: str) -> dict[str, bytes]:
    """The same by their names."""
    return {each.document_id: str(each.body["pem"]).encode() for each in documents_of(tx, tenant, _AUTHORITY)}


def remove_authority(tx: Tx, tenant: str, name: str) -> None:
    """Trust it no more; devices that it alone vouches for are cut off. Raises HubError for an unknown name."""
    found: Document | None = document_of(tx, tenant, _AUTHORITY, name)
    if found is None:
        raise HubError(HubCode.ResourceNotFound, f"There is no authority {name!r} in tenant {tenant!r}.")
    remove_document(tx, tenant, _AUTHORITY, found, "*")
    record_change(tx, KEYS_CHANGED, "", detail={"tenant": tenant})


def _policy(row: Row[Any]) -> Policy:
    return Policy(row.tenant, row.name, row.primary_key, row.secondary_key, frozenset(row.rights.split()))
