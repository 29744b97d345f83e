"""Attestation of firmware: what a device must show to register by an enrolment that declares a manifest.

Belongs here: reading what it shows, and checking its signed statement against the manifest. Signatures and expiry of
the manifest belong in `wire.firmware_manifest`, what was seen before in `hub.registry.firmware_versions`.

The statement is signed by what the device registers by, its key or its certificate's, and says when it was made: it
holds for some minutes and once.
"""

import hmac
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeGuard

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from hub.access.attestation import Claim
from hub.registry.enrolments import Enrolment, Proof
from runtime.errors import WireError
from wire.firmware_manifest import RoleVersion, read_firmware, read_root, statement

_HOLDS_MS = 300_000


@dataclass(frozen=True, slots=True)
class Shown:
    """What a device has shown and holds: the versions of the manifest, and when the statement was made."""

    versions: Mapping[str, RoleVersion]
    at_ms: int


def attest_firmware(enrolment: Enrolment, claim: Claim, proof: Proof, payload: Any) -> Shown | None:
    """What the device shows of its firmware in `payload`; None where its enrolment declares no manifest.

    Raises WireError when it shows nothing, or what does not hold.
    """
    declared = enrolment.attestation.get("manifest")
    if not declared:
        return None
    given = payload.get("firmware") if isinstance(payload, Mapping) else None
    if not isinstance(given, Mapping):
        raise WireError('The enrolment wants a firmware manifest: the payload has no "firmware".')
    digest, length, at_ms = given.get("sha256"), given.get("length"), given.get("at")
    if not isinstance(digest, str) or not _is_count(length) or not _is_count(at_ms):
        raise WireError("The firmware statement lacks its sha256 (text), length or at (milliseconds since 1970).")
    if abs(at_ms - claim.now.timestamp() * 1000) > _HOLDS_MS:
        raise WireError(f"The firmware statement was not made within {_HOLDS_MS // 60_000} minutes of the hub's clock.")
    text = statement(claim.scope, claim.registration_id, at_ms, digest, length)
    if not _is_signed(text, given.get("signature"), proof, claim.chain):
        raise WireError("The firmware statement is not signed by what the device registers by.")
    wanted = read_firmware(read_root(declared["root"]), declared["target"], given, claim.now)
    if (digest.lower(), length) != (wanted.sha256, wanted.length):
        raise WireError(f"The firmware is not the manifest's {declared['target']!r}: its hash or length is another.")
    return Shown(wanted.versions, at_ms)


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_signed(text: bytes, signature: Any, proof: Proof, chain: Sequence[x509.Certificate]) -> bool:
    try:
        raw = b64decode(signature, validate=True) if isinstance(signature, str) else b""
    except ValueError:
        return False
    if proof.thumbprint is None:
        keys = [b64decode(key) for key in (proof.primary_key, proof.secondary_key) if key]
        return any(hmac.compare_digest(hmac.digest(key, text, sha256), raw) for key in keys)
    public = chain[0].public_key()
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(raw, text, ec.ECDSA(SHA256()))
        elif isinstance(public, rsa.RSAPublicKey):
            public.verify(raw, text, padding.PKCS1v15(), SHA256())
        else:
            return False
    except InvalidSignature:
        return False
    return True
