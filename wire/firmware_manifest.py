"""Firmware manifests: signed metadata of an update repository, after The Update Framework (TUF).

Belongs here: whether metadata is signed by whom a root names, is current and names a target, and the text that a
device signs about its own firmware. Which versions were seen before belongs in `hub.registry.firmware_versions`, who
must show a manifest in `hub.access.firmware_attestation`.

Source: the specification of TUF 1.0, sections 5.3 to 5.6 (theupdateframework.github.io); targets that the top-level
role delegates are not looked up.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from runtime.errors import WireError

S = TypeVar("S", Timestamp, Snapshot, Targets)
_TARGETS_FILE = "targets.json"


@dataclass(frozen=True, slots=True)
class RoleVersion:
    """Which version of a role's metadata was shown, and the ids of the keys that the root wants for the role."""

    version: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Firmware:
    """What the manifest says of a target, and by which versions: role -> version."""

    sha256: str
    length: int
    versions: dict[str, RoleVersion]


def read_root(document: Any) -> Root:
    """A root from its JSON, signed by its own keys. Raises WireError for what is none; an expired one is none yet."""
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(json.dumps(document).encode())
        if not isinstance(metadata.signed, Root):
            raise WireError("The manifest's root is metadata of another role.")
        metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError, RecursionError) as error:
        raise WireError(f"The manifest's root is no root metadata of TUF that its own keys signed: {error}") from error
    return metadata.signed


def read_firmware(root: Root, target: str, shown: Mapping[str, Any], now: datetime) -> Firmware:
    """What `shown` (role -> metadata as text) says of `target`.

    Raises WireError unless every role is signed as the root wants, current, and the one that the role above it names.
    """
    try:
        if root.is_expired(now):
            raise WireError("The manifest's root has expired: give the enrolment a newer one.")
        timestamp = _signed(root, Timestamp, shown, None, now)
        snapshot = _signed(root, Snapshot, shown, timestamp.snapshot_meta, now)
        named = snapshot.meta.get(_TARGETS_FILE)
        if named is None:
            raise WireError(f"The firmware manifest's snapshot names no {_TARGETS_FILE}.")
        targets = _signed(root, Targets, shown, named, now)
    except (RepositoryError, ValueError) as error:
        raise WireError(f"The firmware manifest does not hold: {error}") from error
    found = targets.targets.get(target)
    if found is None or "sha256" not in found.hashes:
        raise WireError(f"The firmware manifest names no target {target!r} with a SHA-256.")
    versions = {
        role.type: RoleVersion(role.version, tuple(sorted(root.roles[role.type].keyids)))
        for role in (timestamp, snapshot, targets)
    }
    return Firmware(found.hashes["sha256"].lower(), found.length, versions)


def statement(scope: str, registration_id: str, at_ms: int, sha256: str, length: int) -> bytes:
    """The text that a device signs: at this moment (milliseconds since 1970) it runs what has this hash and length."""
    return f"firmware\n{scope}/registrations/{registration_id}\n{at_ms}\n{sha256}\n{length}".encode()


def _signed(root: Root, role: type[S], shown: Mapping[str, Any], named: MetaFile | None, now: datetime) -> S:
    text = shown.get(role.type)
    if not isinstance(text, str):
        raise WireError(f"The firmware manifest lacks its {role.type}, as text.")
    data = text.encode("utf-8", "replace")
    if named is not None:
        named.verify_length_and_hashes(data)
    metadata: Metadata[Any] = Metadata.from_bytes(data)
    signed = metadata.signed
    if not isinstance(signed, role):
        raise WireError(f"The firmware manifest has other metadata in place of its {role.type}.")
    root.verify_delegate(role.type, metadata.signed_bytes, metadata.signatures)
    if named is not None and signed.version != named.version:
        raise WireError(f"The firmware manifest has a {role.type} of version {signed.version}, not {named.version}.")
    if signed.is_expired(now):
        raise WireError(f"The firmware manifest's {role.type} has expired.")
    return signed
