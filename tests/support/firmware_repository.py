"""A repository of firmware, and what a device shows of it to register.

Belongs here: TUF metadata with keys of its own, statements as a device signs them. Who judges them is `hub.access`.
"""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

TARGET = "pump/2.1.bin"
FIRMWARE = b"what the pump runs"


class FirmwareRepository:
    """Signs metadata that is current from `now` on for a day; one key a role."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.signers = {role: CryptoSigner.generate_ed25519() for role in ("root", "timestamp", "snapshot", "targets")}
        self.expires = now + timedelta(days=1)

    def root(self) -> dict[str, Any]:
        """The root, which an enrolment declares."""
        root = Root(expires=self.expires)
        for role, signer in self.signers.items():
            root.add_key(signer.public_key, role)
        found: dict[str, Any] = json.loads(self._text(root, "root"))
        return found

    def manifest(self) -> dict[str, Any]:
        """What an enrolment's attestation says."""
        return {"root": self.root(), "target": TARGET}

    def metadata(
        self, version: int = 1, firmware: bytes = FIRMWARE, name: str = TARGET, late: str = "", signer: str = ""
    ) -> dict[str, str]:
        """Metadata by role; the role `late` has expired, the role `signer` is signed by the root's key."""
        expires = {role: self.now if role == late else self.expires for role in self.signers}
        by = {role: "root" if role == signer else role for role in self.signers}
        target = TargetFile.from_data(name, firmware)
        targets = self._text(Targets(version, expires=expires["targets"], targets={name: target}), by["targets"])
        named = MetaFile.from_data(version, targets.encode(), ["sha256"])
        snapshot = self._text(
            Snapshot(version, expires=expires["snapshot"], meta={"targets.json": named}), by["snapshot"]
        )
        above = MetaFile.from_data(version, snapshot.encode(), ["sha256"])
        timestamp = self._text(Timestamp(version, expires=expires["timestamp"], snapshot_meta=above), by["timestamp"])
        return {"timestamp": timestamp, "snapshot": snapshot, "targets": targets}

    def _text(self, signed: Any, role: str) -> str:
        metadata = Metadata(signed)
        metadata.sign(self.signers[role])
        return metadata.to_bytes().decode()


def by_key(key: str) -> Callable[[bytes], bytes]:
    """Signs as a device with a symmetric key does."""
    return lambda text: hmac.digest(b64decode(key), text, sha256)


def shown(
    metadata: dict[str, str], registration: str, sign: Callable[[bytes], bytes], at: datetime,
    firmware: bytes = FIRMWARE,
) -> dict[str, Any]:  # fmt: skip
    """The payload of a device that runs `firmware`; `registration` is `{id scope}/registrations/{registration id}`."""
    at_ms, digest = int(at.timestamp() * 1000), sha256(firmware).hexdigest()
    text = f"firmware\n{registration}\n{at_ms}\n{digest}\n{len(firmware)}"
    said = {"sha256": digest, "length": len(firmware), "at": at_ms}
    return {"firmware": {**metadata, **said, "signature": b64encode(sign(text.encode())).decode()}}
