"""What was seen of firmware manifests: the versions that an enrolment accepted, the last statement of each device.

Belongs here: refusing what is older than that, and keeping what is newer. Whether a manifest is signed belongs in
`wire.firmware_manifest`, what a device must show in `hub.access.firmware_attestation`.

They stay when the enrolment is taken out: one that is made anew does not let older firmware in.
"""

from collections.abc import Mapping
from typing import Any

from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.documents_table import add_document, document_of, replace_document
from hub.registry.enrolments import Enrolment
from wire.firmware_manifest import RoleVersion

_VERSIONS, _STATEMENTS = "firmware_versions", "firmware_statements"


def accept_firmware(
    tx: Tx, enrolment: Enrolment, registration_id: str, versions: Mapping[str, RoleVersion], at_ms: int
) -> None:
    """Keep what a device has shown, made at `at_ms`.

    Raises HubError for metadata older than what the enrolment accepted before by the same keys, and for a statement
    that is not later than the device's last.
    """
    name = f"{enrolment.kind}/{enrolment.enrolment_id}"
    seen = _seen(tx, enrolment.tenant, _VERSIONS, name)
    for role, shown in versions.items():
        last = seen.get(role, {})
        if last.get("keys") == list(shown.keys) and shown.version < last["version"]:
            raise HubError(
                HubCode.IotHubUnauthorized,
                f"The firmware manifest is rolled back: its {role} has version {shown.version}, and "
                f"{last['version']} was accepted before.",
            )
    if at_ms <= _seen(tx, enrolment.tenant, _STATEMENTS, registration_id).get("at", -1):
        raise HubError(HubCode.IotHubUnauthorized, "The firmware statement was used before: sign one anew.")
    accepted = {role: {"version": each.version, "keys": list(each.keys)} for role, each in versions.items()}
    _keep(tx, enrolment.tenant, _VERSIONS, name, accepted)
    _keep(tx, enrolment.tenant, _STATEMENTS, registration_id, {"at": at_ms})


def _seen(tx: Tx, tenant: str, kind: str, name: str) -> dict[str, Any]:
    found = document_of(tx, tenant, kind, name)
    return {} if found is None else found.body


def _keep(tx: Tx, tenant: str, kind: str, name: str, body: dict[str, Any]) -> None:
    old = document_of(tx, tenant, kind, name)
    if old is None:
        add_document(tx, tenant, kind, name, body, HubCode.EnrollmentConflict)
    elif old.body != body:
        replace_document(tx, tenant, kind, old, body, None)
