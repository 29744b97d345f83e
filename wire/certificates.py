"""Certificates: a certificate authority of our own, and what a peer's certificate says.

Belongs here: making keys and certificates, checking a chain, thumbprints; PEM in, PEM out. Where files lie and when a
certificate is made anew belongs in the hub and the edge.

Keys are EC P-256. A root lives 10 years, an intermediate 1 year, a server's 90 days, a device's 1 year. Clients trust
the root only, so whoever presents a certificate presents its intermediate too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.errors import WireError

ROOT_DAYS, INTERMEDIATE_DAYS, SERVER_DAYS, DEVICE_DAYS = 3650, 365, 90, 365
# clocks of devices go wrong: a certificate holds from a day before it was made
_BEFORE = timedelta(days=1)
_LONGEST_CHAIN = 8


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with what stands between it and the root, and its private key, all PEM."""

    chain: bytes
    key: bytes


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its certificate, its key, and the certificates between it and the root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: bytes = b""

    @classmethod
    def root(cls, name: str, now: datetime, days: int = ROOT_DAYS) -> Self:
        """A root of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _builder(subject, subject, key.public_key(), now, days)
        return cls(_authority(builder, key.public_key(), key.public_key(), None).sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> Self:
        """An authority from PEM, `certificate` with what stands above it. Raises WireError for what is none."""
        loaded = load_pem_private_key(key, None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise WireError("The authority's key is no elliptic curve key.")
        own, *others = read_chain(certificate)
        return cls(own, loaded, b"".join(map(_pem, others)))

    @property
    def pem(self) -> bytes:
        """Its certificate; for an intermediate followed by what stands between it and the root."""
        return _pem(self.certificate) + self.above

    @property
    def key_pem(self) -> bytes:
        """Its private key."""
        return _key_pem(self.key)

    def intermediate(self, name: str, now: datetime, days: int = INTERMEDIATE_DAYS) -> Self:
        """An authority under this one, that issues but makes no further authorities."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self.certificate.subject, key.public_key(), now, days)
        certificate = _authority(builder, key.public_key(), self.key.public_key(), 0).sign(self.key, hashes.SHA256())
        is_root = self.certificate.subject == self.certificate.issuer
        return type(self)(certificate, key, b"" if is_root else self.pem)

    def issue_server(self, hosts: Sequence[str], now: datetime, days: int = SERVER_DAYS) -> Issued:
        """A certificate for a server by these names and addresses, the first of which is its common name."""
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        return self._issue(hosts[0], now, days, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def issue_device(self, device_id: str, now: datetime, days: int = DEVICE_DAYS) -> Issued:
        """A certificate whose common name is the device id."""
        return self._issue(device_id, now, days, ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _issue(
        self,
        name: str,
        now: datetime,
        days: int,
        usage: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self.certificate.subject, key.public_key(), now, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        is_root = self.certificate.subject == self.certificate.issuer
        return Issued(_pem(certificate) + (b"" if is_root else self.pem), _key_pem(key))


def read_chain(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM text. Raises WireError when there is none."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise WireError("The text holds no certificate in PEM.") from error


def thumbprints(certificate: x509.Certificate) -> tuple[str, str]:
    """SHA-1 and SHA-256 of a certificate in upper-case hexadecimal, as device registries write them."""
    # SHA-1 names a certificate in the anchor's API; nothing is signed by it
    return certificate.fingerprint(hashes.SHA1()).hex().upper(), certificate.fingerprint(hashes.SHA256()).hex().upper()


def common_name(certificate: x509.Certificate) -> str:
    """The subject's common name, empty when it has none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def is_current(certificate: x509.Certificate, now: datetime) -> bool:
    """True while `now` lies in its validity."""
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def is_issued_by(chain: Sequence[x509.Certificate], authorities: Iterable[x509.Certificate], now: datetime) -> bool:
    """True when `chain`, the peer's certificate first, leads to one of `authorities` over valid certificates.

    An authority may be a root or an intermediate; one that is no certificate authority leads nowhere.
    """
    if not chain or not is_current(chain[0], now):
        return False
    trusted, between = list(authorities), [link for link in chain[1:] if may_issue(link)]
    link = chain[0]
    for _ in range(_LONGEST_CHAIN):
        if any(_signed(link, issuer) and is_current(issuer, now) and may_issue(issuer) for issuer in trusted):
            return True
        above = next((each for each in between if each != link and _signed(link, each) and is_current(each, now)), None)
        if above is None:
            return False
        link = above
    return False


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def may_issue(certificate: x509.Certificate) -> bool:
    """True for the certificate of an authority."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    builder = builder.not_valid_before(now - _BEFORE).not_valid_after(now + timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _authority(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePublicKey,
    issuer: ec.EllipticCurvePublicKey,
    path_length: int | None,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(usage, critical=True)
    if issuer != key:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer)
        builder = builder.add_extension(identifier, critical=False)
    return builder


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
