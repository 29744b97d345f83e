"""Enrolments as JSON, in the provisioning service's form.

Belongs here: what a client's enrolment must look like, the keys that are made for it, and what of it is shown.
"""

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.hub_errors import HubCode, HubError
from hub.registry.enrolments import GROUP, INDIVIDUAL, Enrolment, Registration
from hub.registry.identities import new_key
from hub.registry.moments import text_of
from runtime.errors import WireError
from wire.certificates import read_chain, thumbprints
from wire.firmware_manifest import read_root

Json = dict[str, Any]
_ID_NAMES = {INDIVIDUAL: "registrationId", GROUP: "enrollmentGroupId"}
_LONGEST_ID = 128


def new_enrolment(
    kind: str, enrolment_id: str, certificate: str | None, site: str | None, manifest: Json | None = None
) -> Json:
    """An enrolment by keys that are made here, or by a certificate in PEM: a device's, or its authority's for a group.

    `manifest` names the firmware that its devices must show: `root`, TUF's metadata, and `target`.
    Raises HubError for a certificate or a root that is none.
    """
    section = "clientCertificates" if kind == INDIVIDUAL else "signingCertificates"
    attestation: Json = {"type": "symmetricKey"}
    if certificate is not None:
        attestation = {"type": "x509", "x509": {section: {"primary": {"certificate": certificate}}}}
    if manifest is not None:
        attestation["manifest"] = manifest
    twin = {"tags": {"site": site}} if site else {}
    return checked(kind, enrolment_id, {"attestation": attestation, "initialTwin": twin})


def checked(kind: str, enrolment_id: str, body: Json, old: Json | None = None) -> Json:
    """A client's enrolment as it is kept, with keys where it wants some.

    A client that changes what it was shown names no keys: those of the `old` attestation stay.
    Raises HubError for what cannot be an enrolment.
    """
    if not 0 < len(enrolment_id) <= _LONGEST_ID or body.get(_ID_NAMES[kind], enrolment_id) != enrolment_id:
        raise HubError(HubCode.ArgumentInvalid, f"The path and the body name different {_ID_NAMES[kind]}s.")
    attestation = body.get("attestation")
    if not isinstance(attestation, dict) or attestation.get("type") not in ("symmetricKey", "x509"):
        raise HubError(HubCode.ArgumentInvalid, "The attestation's type is symmetricKey or x509: TPMs are not served.")
    if body.get("provisioningStatus", "enabled") not in ("enabled", "disabled"):
        raise HubError(HubCode.ArgumentInvalid, "The provisioningStatus is enabled or disabled.")
    kept = {key: value for key, value in body.items() if key not in ("etag", "registrationState")}
    kept |= {_ID_NAMES[kind]: enrolment_id, "provisioningStatus": body.get("provisioningStatus", "enabled")}
    attestation = _with_manifest(attestation, (old or {}).get("manifest"))
    if attestation["type"] == "symmetricKey":
        given = attestation.get("symmetricKey") or (old or {}).get("symmetricKey") or {}
        keys = {name: given.get(name) or new_key() for name in ("primaryKey", "secondaryKey")}
        return {**kept, "attestation": {**attestation, "symmetricKey": keys}}
    return {**kept, "attestation": {**attestation, "x509": _read_certificates(attestation.get("x509") or {})}}


def _with_manifest(attestation: Json, old: Json | None) -> Json:
    """The attestation with its firmware manifest: the `old` one where a client that knows of none leaves it out."""
    rest = {name: value for name, value in attestation.items() if name != "manifest"}
    manifest = attestation.get("manifest", old)
    if manifest is None:
        return rest
    if not isinstance(manifest, dict) or not isinstance(manifest.get("target"), str) or not manifest["target"]:
        raise HubError(HubCode.ArgumentInvalid, "A firmware manifest has a root (TUF metadata) and a target's name.")
    try:
        read_root(manifest.get("root"))
    except WireError as error:
        raise HubError(HubCode.ArgumentInvalid, str(error)) from error
    return {**rest, "manifest": {"root": manifest["root"], "target": manifest["target"]}}


def enrolment_json(enrolment: Enrolment, registration: Registration | None = None) -> Json:
    """An enrolment without its secrets."""
    body: Json = {
        "allocationPolicy": "hashed", "reprovisionPolicy": {"updateHubAssignment": True, "migrateDeviceData": True},
        **enrolment.body, "etag": enrolment.etag, "createdDateTimeUtc": text_of(enrolment.created_at),
        "lastUpdatedDateTimeUtc": text_of(enrolment.updated_at),
    }  # fmt: skip
    shown = {name: value for name, value in enrolment.attestation.items() if name != "symmetricKey"}
    body["attestation"] = _without_certificates(shown)
    if registration is not None:
        body["registrationState"] = registration.body
    return body


def _without_certificates(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_certificates(each) for name, each in value.items() if name != "certificate"}


def _read_certificates(given: Json) -> Json:
    """The certificates of an attestation with what they say of themselves."""
    made = dict(given)
    for section in ("clientCertificates", "signingCertificates"):
        if given.get(section):
            pairs = {place: _read(each) for place, each in given[section].items() if each}
            made[section] = pairs
    if not any(made.get(name) for name in ("clientCertificates", "signingCertificates", "caReferences")):
        raise HubError(HubCode.ArgumentInvalid, "An x509 attestation needs a certificate, or the name of an authority.")
    return made


def _read(given: Json) -> Json:
    text = str(given.get("certificate", ""))
    if "-----BEGIN" not in text:
        # the provisioning service's clients send base64 of the file or of its DER form
        try:
            decoded = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise HubError(HubCode.ArgumentInvalid, "A certificate is neither PEM nor base64.") from error
        text = decoded.decode("ascii", "replace") if decoded.startswith(b"-----BEGIN") else _pem(decoded)
    try:
        certificate = read_chain(text.encode())[0]
    except WireError as error:
        raise HubError(HubCode.ArgumentInvalid, str(error)) from error
    sha1, sha256 = thumbprints(certificate)
    return {
        "certificate": text,
        "info": {
            "subjectName": certificate.subject.rfc4514_string(), "issuerName": certificate.issuer.rfc4514_string(),
            "sha1Thumbprint": sha1, "sha256Thumbprint": sha256, "serialNumber": f"{certificate.serial_number:X}",
            "notBeforeUtc": certificate.not_valid_before_utc.isoformat(),
            "notAfterUtc": certificate.not_valid_after_utc.isoformat(), "version": 3,
        },
    }  # fmt: skip


def _pem(der: bytes) -> str:
    try:
        return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()
    except ValueError as error:
        raise HubError(HubCode.ArgumentInvalid, "A certificate that cannot be read.") from error
