"""Identities and twins as JSON, in IoT Hub's form, both ways.

Belongs here: the documents' shapes. Paths and etags belong in the routes.
"""

from dataclasses import dataclass, replace
from typing import Any

from hub.hub_errors import HubCode, HubError
from hub.registry.cloud_queue import waiting_count
from hub.registry.connections import ConnectionState, connection_of
from hub.registry.database import Tx
from hub.registry.identities import BY_AUTHORITY, NO_AUTH, SAS, SELF_SIGNED, Identity
from hub.registry.moments import text_of
from hub.registry.twins import Twin, twin_of

Json = dict[str, Any]


@dataclass(frozen=True)
class Known:
    """All that the registry knows of a device or module."""

    identity: Identity
    connection: ConnectionState
    twin: Twin
    waiting: int


def known(tx: Tx, identity: Identity) -> Known:
    """What is known of an identity."""
    who = (identity.device_id, identity.module_id)
    return Known(identity, connection_of(tx, *who), twin_of(tx, *who), waiting_count(tx, identity.device_id))


def identity_json(tx: Tx, identity: Identity) -> Json:
    """An identity with its keys."""
    state = connection_of(tx, identity.device_id, identity.module_id)
    body: Json = {
        "deviceId": identity.device_id, "generationId": identity.generation_id, "etag": identity.etag,
        "connectionState": _connection(state), "connectionStateUpdatedTime": text_of(state.changed_at),
        "lastActivityTime": text_of(state.active_at),
        "cloudToDeviceMessageCount": 0 if identity.module_id else waiting_count(tx, identity.device_id),
        "authentication": {
            "type": identity.auth,
            "symmetricKey": {"primaryKey": identity.primary_key, "secondaryKey": identity.secondary_key},
            "x509Thumbprint": _thumbprints(identity),
        },
    }  # fmt: skip
    if identity.module_id:
        return {**body, "moduleId": identity.module_id, "managedBy": identity.managed_by}
    return {
        **body, "status": identity.status, "statusReason": identity.status_reason,
        "statusUpdatedTime": text_of(identity.status_updated_at), "capabilities": {"iotEdge": identity.is_edge},
        "deviceScope": identity.device_scope, "parentScopes": identity.parent_scopes,
    }  # fmt: skip


def twin_json(about: Known) -> Json:
    """A twin as the service side sees it."""
    identity, state, twin = about.identity, about.connection, about.twin
    body: Json = {
        "deviceId": identity.device_id, "etag": twin.etag, "deviceEtag": identity.etag, "status": identity.status,
        "statusUpdateTime": text_of(identity.status_updated_at), "connectionState": _connection(state),
        "lastActivityTime": text_of(state.active_at), "cloudToDeviceMessageCount": about.waiting,
        "authenticationType": identity.auth, "x509Thumbprint": _thumbprints(identity),
        "modelId": identity.model_id or "", "version": twin.version,
    }  # fmt: skip
    if identity.status_reason:
        body["statusReason"] = identity.status_reason
    if identity.module_id:
        body["moduleId"] = identity.module_id
    body["properties"] = {
        "desired": {**twin.desired, "$metadata": twin.desired_meta, "$version": twin.desired_version},
        "reported": {**twin.reported, "$metadata": twin.reported_meta, "$version": twin.reported_version},
    }
    if not identity.module_id:
        body["capabilities"] = {"iotEdge": identity.is_edge}
        if identity.device_scope:
            body |= {"deviceScope": identity.device_scope, "parentScopes": identity.parent_scopes}
        body["tags"] = twin.tags
    return body


def wanted_identity(tenant: str, device_id: str, module_id: str, body: Json, old: Identity | None) -> Identity:
    """What a client wants an identity to be; what it leaves out keeps its value or has its default.

    Raises HubError for a document that is none.
    """
    named = body.get("moduleId" if module_id else "deviceId") or body.get("id")
    if named not in (None, module_id or device_id):
        raise HubError(HubCode.ArgumentInvalid, f"The path names {module_id or device_id!r} and the body {named!r}.")
    base = old or Identity(device_id, tenant, module_id)
    status = body.get("status") or base.status
    if status not in ("enabled", "disabled"):
        raise HubError(HubCode.ArgumentInvalid, f"The status is {status!r}: enabled or disabled.")
    made = replace(
        base,
        status=status,
        status_reason=body.get("statusReason"),
        is_edge=bool(_object(body, "capabilities").get("iotEdge", False)),
        device_scope=body.get("deviceScope", base.device_scope),
        parent_scopes=body.get("parentScopes") or base.parent_scopes,
        managed_by=body.get("managedBy", base.managed_by),
    )
    if made.is_edge and made.device_scope is None:
        made = replace(made, device_scope=f"ms-azure-iot-edge://{device_id}")
    return _with_authentication(made, _object(body, "authentication"))


def _with_authentication(identity: Identity, given: Json) -> Identity:
    if not given:
        return identity
    keys, prints = _object(given, "symmetricKey"), _object(given, "x509Thumbprint")
    thumbprints = [prints.get("primaryThumbprint"), prints.get("secondaryThumbprint")]
    auth = given.get("type") or (SELF_SIGNED if any(thumbprints) else SAS)
    if auth not in (SAS, SELF_SIGNED, BY_AUTHORITY, NO_AUTH):
        raise HubError(HubCode.ArgumentInvalid, f"The authentication type is {auth!r}.")
    for each in filter(None, thumbprints):
        if len(each) not in (40, 64) or not all(c in "0123456789abcdefABCDEF" for c in each):
            raise HubError(HubCode.ArgumentInvalid, f"{each!r} is no SHA-1 or SHA-256 thumbprint.")
    first, second = (each.upper() if each else None for each in thumbprints)
    return replace(
        identity,
        auth=auth,
        primary_key=keys.get("primaryKey"),
        secondary_key=keys.get("secondaryKey"),
        primary_thumbprint=first,
        secondary_thumbprint=second,
    )


def _object(body: Json, name: str) -> Json:
    found = body.get(name) or {}
    if not isinstance(found, dict):
        raise HubError(HubCode.IotHubFormatError, f"{name!r} is no JSON object.")
    return found


def _connection(state: ConnectionState) -> str:
    return "Connected" if state.is_connected else "Disconnected"


def _thumbprints(identity: Identity) -> Json:
    return {"primaryThumbprint": identity.primary_thumbprint, "secondaryThumbprint": identity.secondary_thumbprint}
