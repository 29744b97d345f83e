"""Attestation of firmware: a device registers by what a signed manifest names, current, not rolled back, said now."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hub.access.attestation import Claim
from hub.access.firmware_attestation import attest_firmware
from hub.api.enrolment_json import checked, enrolment_json, new_enrolment
from hub.hub_errors import HubError
from hub.registry.enrolments import GROUP, Enrolment, Proof
from hub.registry.firmware_versions import accept_firmware
from hub.registry.hub_registry import Registry
from hub.registry.identities import SELF_SIGNED, new_key
from runtime.errors import WireError
from tests.support.firmware_repository import TARGET, FirmwareRepository, by_key, shown
from wire.certificates import Authority, read_chain

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
KEY = new_key()
REGISTRATION = "scope/registrations/pump-1"
CLAIM = Claim("scope", "pump-1", "a token", (), NOW)
PROOF = Proof(primary_key=new_key(), secondary_key=KEY)


@pytest.fixture(scope="module")
def repository() -> FirmwareRepository:
    return FirmwareRepository(NOW)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}", lambda: NOW)
    yield opened
    opened.close()


def enrolment(repository: FirmwareRepository, name: str = "line") -> Enrolment:
    body = new_enrolment(GROUP, name, None, None, repository.manifest())
    return Enrolment("default", GROUP, name, "etag", body, 0, 0)


def payload(repository: FirmwareRepository, at: datetime = NOW, **metadata: Any) -> dict[str, Any]:
    return shown(repository.metadata(**metadata), REGISTRATION, by_key(KEY), at)


def register(registry: Registry, wanted: Enrolment, given: Any, claim: Claim = CLAIM) -> None:
    """As a registration does it: all that holds is kept."""
    found = attest_firmware(wanted, claim, PROOF, given)
    assert found is not None
    registry.write(lambda tx: accept_firmware(tx, wanted, claim.registration_id, found.versions, found.at_ms)).result()


def test_what_the_manifest_names_holds(registry: Registry, repository: FirmwareRepository) -> None:
    """Signed by either key of the device; an enrolment without a manifest asks for nothing."""
    register(registry, enrolment(repository), payload(repository))
    plain = replace(enrolment(repository), body=new_enrolment(GROUP, "line", None, None))
    assert attest_firmware(plain, CLAIM, PROOF, None) is None


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"signer": "timestamp"}, "timestamp was signed by 0/1"),
        ({"signer": "snapshot"}, "snapshot was signed by 0/1"),
        ({"signer": "targets"}, "targets was signed by 0/1"),
        ({"late": "timestamp"}, "timestamp has expired"),
        ({"late": "snapshot"}, "snapshot has expired"),
        ({"late": "targets"}, "targets has expired"),
        ({"name": "pump/9.bin"}, "names no target"),
        ({"firmware": b"what a pump does not run"}, "its hash or length is another"),
    ],
)
def test_a_manifest_that_does_not_hold_is_refused(
    repository: FirmwareRepository, metadata: dict[str, Any], reason: str
) -> None:
    """Another signer or none of the root's, a role that expired by the hub's clock, another target, another hash."""
    with pytest.raises(WireError, match=reason):
        attest_firmware(enrolment(repository), CLAIM, PROOF, payload(repository, **metadata))


def test_another_repository_and_an_expired_root_are_refused(repository: FirmwareRepository) -> None:
    """What a stranger signed with keys of his own; all of it once the root is no longer current."""
    with pytest.raises(WireError, match="was signed by 0/1"):
        attest_firmware(enrolment(repository), CLAIM, PROOF, payload(FirmwareRepository(NOW)))
    later = NOW + timedelta(days=2)
    with pytest.raises(WireError, match="root has expired"):
        attest_firmware(enrolment(repository), replace(CLAIM, now=later), PROOF, payload(repository, later))


def test_roles_of_different_versions_are_not_mixed(repository: FirmwareRepository) -> None:
    """Each of them is signed, but the one above names another one."""
    for role in ("snapshot", "targets"):
        metadata = {**repository.metadata(version=2), role: repository.metadata(version=1)[role]}
        with pytest.raises(WireError, match="does not hold"):
            attest_firmware(enrolment(repository), CLAIM, PROOF, shown(metadata, REGISTRATION, by_key(KEY), NOW))


@pytest.mark.parametrize("given", [None, [], {}, {"firmware": None}, {"firmware": {}}])
def test_a_device_that_shows_nothing_is_refused(repository: FirmwareRepository, given: Any) -> None:
    """No payload, one of another kind, or an empty one."""
    with pytest.raises(WireError, match="firmware"):
        attest_firmware(enrolment(repository), CLAIM, PROOF, given)


@pytest.mark.parametrize("left_out", ["timestamp", "snapshot", "targets", "sha256", "length", "at", "signature"])
def test_every_part_is_needed(repository: FirmwareRepository, left_out: str) -> None:
    """What lacks one part is refused, and so is a part of another type."""
    given = payload(repository)["firmware"]
    others: list[Any] = [None, [], True, "é", -1]
    for value in others:
        with pytest.raises(WireError):
            attest_firmware(enrolment(repository), CLAIM, PROOF, {"firmware": {**given, left_out: value}})


def test_a_statement_is_the_devices_own_and_of_now(repository: FirmwareRepository) -> None:
    """Signed by another key, for another device, made long before or ahead of the hub's clock, changed afterwards."""
    metadata, wanted = repository.metadata(), enrolment(repository)
    for given in (
        shown(metadata, REGISTRATION, by_key(new_key()), NOW),
        shown(metadata, "scope/registrations/pump-2", by_key(KEY), NOW),
        {"firmware": {**payload(repository)["firmware"], "at": int(NOW.timestamp() * 1000) + 1}},
    ):
        with pytest.raises(WireError, match="not signed"):
            attest_firmware(wanted, CLAIM, PROOF, given)
    for minutes in (-6, 6):
        with pytest.raises(WireError, match="within 5 minutes"):
            attest_firmware(wanted, CLAIM, PROOF, payload(repository, NOW + timedelta(minutes=minutes)))


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_certificates_key_signs_too(repository: FirmwareRepository, kind: str) -> None:
    """ECDSA or PKCS #1 with SHA-256; what another key signed is refused."""
    chain: list[Any]
    key: Any
    if kind == "ec":
        issued = Authority.root("pump-1", NOW)
        chain, key = read_chain(issued.pem), load_pem_private_key(issued.key_pem, None)
    else:
        key = rsa.generate_private_key(65537, 2048)
        chain = [_WithKey(key.public_key())]
    other = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    claim, proof = replace(CLAIM, token=None, chain=chain), Proof(SELF_SIGNED, thumbprint="A")
    metadata, wanted = repository.metadata(), enrolment(repository)
    assert attest_firmware(wanted, claim, proof, shown(metadata, REGISTRATION, lambda text: _signed(key, text), NOW))
    with pytest.raises(WireError, match="not signed"):
        attest_firmware(wanted, claim, proof, shown(metadata, REGISTRATION, lambda text: _signed(other, text), NOW))


class _WithKey:
    """As much of a certificate as attestation asks."""

    def __init__(self, key: Any) -> None:
        self.public_key = lambda: key


def _signed(key: Any, text: bytes) -> bytes:
    how = (ec.ECDSA(SHA256()),) if isinstance(key, ec.EllipticCurvePrivateKey) else (padding.PKCS1v15(), SHA256())
    return bytes(key.sign(text, *how))


def test_a_statement_holds_once(registry: Registry, repository: FirmwareRepository) -> None:
    """Shown again it is refused, as is one made before it; the device's next one holds."""
    wanted, first = enrolment(repository), payload(repository)
    register(registry, wanted, first)
    for given in (first, payload(repository, NOW - timedelta(seconds=1))):
        with pytest.raises(HubError, match="used before"):
            register(registry, wanted, given)
    register(registry, wanted, payload(repository, NOW + timedelta(milliseconds=1)))


def test_a_rolled_back_manifest_is_refused(registry: Registry, repository: FirmwareRepository) -> None:
    """By the enrolment, from whichever device; another enrolment has its own versions, new keys begin anew."""
    wanted = enrolment(repository)
    register(registry, wanted, payload(repository, version=3))
    other = replace(CLAIM, registration_id="pump-2")
    old = shown(repository.metadata(version=2), "scope/registrations/pump-2", by_key(KEY), NOW)
    with pytest.raises(HubError, match="timestamp has version 2, and 3"):
        register(registry, wanted, old, other)
    register(registry, enrolment(repository, "other line"), old, other)
    renewed = FirmwareRepository(NOW)
    register(registry, enrolment(renewed), payload(renewed, NOW + timedelta(seconds=1)))


def test_an_enrolment_keeps_its_manifest(repository: FirmwareRepository) -> None:
    """A client that knows of none leaves it, null takes it away, it is shown; what is no root of TUF is refused."""
    body = new_enrolment(GROUP, "line", None, None, repository.manifest())
    assert enrolment_json(enrolment(repository))["attestation"]["manifest"] == repository.manifest()
    plain: dict[str, Any] = {"attestation": {"type": "symmetricKey"}}
    assert checked(GROUP, "line", plain, body["attestation"])["attestation"]["manifest"] == repository.manifest()
    without = {"attestation": {"type": "symmetricKey", "manifest": None}}
    assert "manifest" not in checked(GROUP, "line", without, body["attestation"])["attestation"]
    root = repository.root()
    forged = {**root, "signatures": FirmwareRepository(NOW).root()["signatures"]}
    wrong: list[Any] = [None, {}, [], "root", forged]
    for bad in wrong:
        with pytest.raises(HubError, match="no root metadata of TUF"):
            new_enrolment(GROUP, "line", None, None, {"root": bad, "target": TARGET})
    with pytest.raises(HubError, match="a target's name"):
        new_enrolment(GROUP, "line", None, None, {"root": root})
