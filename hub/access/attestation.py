"""Attestation: which enrolment a device that registers may come in by.

Belongs here: checking its token or certificate against individual enrolments and groups. What the registry makes of
it belongs in `hub.registry.enrolments`.

An individual enrolment goes before a group, also a disabled one: so one device of a group is kept out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from hub.registry.database import Tx
from hub.registry.enrolments import GROUP, INDIVIDUAL, Enrolment, Proof, enrolment_of, enrolments_of
from hub.registry.identities import SELF_SIGNED
from hub.registry.tenants import authorities_of
from runtime.errors import WireError
from wire import sas
from wire.certificates import common_name, is_current, is_issued_by, read_chain, thumbprints


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants to register: a registration id with a token or a certificate chain, at a moment."""

    scope: str
    registration_id: str
    token: str | None
    chain: Sequence[x509.Certificate]
    now: datetime


def attest(tx: Tx, tenant: str, claim: Claim) -> tuple[Enrolment, Proof]:
    """The enrolment by which the claim holds, and what the device will prove itself by at the hub.

    Raises WireError when there is none.
    """
    own = enrolment_of(tx, tenant, INDIVIDUAL, claim.registration_id)
    candidates = [own] if own is not None else enrolments_of(tx, tenant, GROUP)
    for enrolment in candidates:
        proof = _by_token(enrolment, claim) if claim.token else _by_certificate(tx, tenant, enrolment, claim)
        if proof is not None:
            if not enrolment.is_enabled:
                raise WireError(f"The enrolment of {claim.registration_id!r} is disabled.")
            return enrolment, proof
    raise WireError(f"No enrolment lets {claim.registration_id!r} in by these credentials.")


def _by_token(enrolment: Enrolment, claim: Claim) -> Proof | None:
    keys = enrolment.attestation.get("symmetricKey")
    if not isinstance(keys, Mapping):
        return None
    token = sas.parse(claim.token or "")
    wanted = f"{claim.scope}/registrations/{claim.registration_id}".lower()
    if token.target != wanted or token.is_expired(claim.now.timestamp()):
        return None
    primary, secondary = (_key(enrolment, keys.get(name), claim) for name in ("primaryKey", "secondaryKey"))
    if not any(key and token.is_signed_by(key) for key in (primary, secondary)):
        return None
    return Proof(primary_key=primary, secondary_key=secondary)


def _key(enrolment: Enrolment, key: Any, claim: Claim) -> str | None:
    if not isinstance(key, str) or not key:
        return None
    return sas.derive_key(key, claim.registration_id) if enrolment.kind == GROUP else key


def _by_certificate(tx: Tx, tenant: str, enrolment: Enrolment, claim: Claim) -> Proof | None:
    found = enrolment.attestation.get("x509")
    if not claim.chain or not isinstance(found, Mapping):
        return None
    leaf = claim.chain[0]
    if not is_current(leaf, claim.now) or common_name(leaf) != claim.registration_id:
        return None
    if enrolment.kind == INDIVIDUAL:
        named = _certificates(found.get("clientCertificates"))
        if thumbprints(leaf)[1] not in {thumbprints(each)[1] for each in named}:
            return None
        return Proof(SELF_SIGNED, thumbprint=thumbprints(leaf)[1])
    trusted = _certificates(found.get("signingCertificates"))
    if not trusted and found.get("caReferences"):
        trusted = [read_chain(pem)[0] for pem in authorities_of(tx, tenant)]
    if not is_issued_by(claim.chain, trusted, claim.now):
        return None
    # the group's authority may be none of the hub's: the device goes on by the certificate that it has shown
    return Proof(SELF_SIGNED, thumbprint=thumbprints(leaf)[1])


def _certificates(section: Any) -> list[x509.Certificate]:
    if not isinstance(section, Mapping):
        return []
    return [certificate for text in _texts(section.values()) for certificate in read_chain(text)[:1]]


def _texts(sections: Iterable[Any]) -> Iterable[bytes]:
    for section in sections:
        text = section.get("certificate") if isinstance(section, Mapping) else None
        if isinstance(text, str) and text:
            # clients give PEM, or the base64 within it
            is_pem = "-----BEGIN" in text
            yield (
                text.encode()
                if is_pem
                else (b"-----BEGIN CERTIFICATE-----\n" + text.strip().encode() + b"\n-----END CERTIFICATE-----\n")
            )
