"""Erasures: the certificates that say what was erased, when, by whom and why, and how it was proved.

Belongs here: their files in `<lake>/_erasures/`, and finding one again. Erasing is in `pipeline.erasure.removal`.

A certificate does not name the device: it has a salt and the SHA-256 of salt and id, so that who knows the id can tell.
It is written as the erasure goes on, with every file before it is deleted; one without `finished_at` was interrupted.
"""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from lake.storage.lake_files import LakeFiles
from runtime.settings import Settings

FOLDER = "_erasures"


@dataclass
class Erasure:
    """One erasure. `tables` maps a table to rows removed and its versions before and after; `files` lists what was
    deleted with its SHA-256. `slices` are what was rebuilt, `not_rebuilt` the days of which sums over devices still
    count it, since they are held or bronze has lost their records. `withdrawn` publications cannot be read any more.
    """

    erasure_id: str
    salt: str
    device_sha256: str
    who: str
    why: str
    started_at: str
    finished_at: str | None = None
    publication: int | None = None
    withdrawn: list[int] = field(default_factory=list)
    slices: list[str] = field(default_factory=list)
    not_rebuilt: list[str] = field(default_factory=list)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)
    kafka: str = ""
    scan: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where its certificate lies in the lake."""
        return f"{FOLDER}/{self.erasure_id}.json"

    def is_of(self, device_id: str) -> bool:
        """True when it is this device that was erased."""
        return secrets.compare_digest(self.device_sha256, _digest(self.salt, device_id))


def begin(settings: Settings, device_id: str, *, who: str, why: str, now: datetime) -> Erasure:
    """The interrupted erasure of this device, to be gone on with, or a new one, which `save` stores."""
    for each in list_all(settings):
        if each.finished_at is None and each.is_of(device_id):
            return each
    salt = secrets.token_hex(16)
    digest = _digest(salt, device_id)
    return Erasure(f"{now:%Y%m%dT%H%M%SZ}-{digest[:8]}", salt, digest, who, why, now.isoformat())


def save(settings: Settings, erasure: Erasure) -> None:
    """Write the certificate as it stands."""
    LakeFiles(settings).write(erasure.path, (json.dumps(asdict(erasure), indent=2) + "\n").encode())


def list_all(settings: Settings) -> list[Erasure]:
    """Every erasure, oldest first."""
    files = LakeFiles(settings)
    found = [file.path for file in files.under(FOLDER) if file.name.endswith(".json")]
    return [Erasure(**json.loads(files.read(path))) for path in found]


def withdrawal_of(settings: Settings, publication_id: int) -> Erasure | None:
    """The erasure because of which a publication can no longer be read; None when there is none."""
    return next((each for each in list_all(settings) if publication_id in each.withdrawn), None)


def _digest(salt: str, device_id: str) -> str:
    return hashlib.sha256(f"{salt}{device_id}".encode()).hexdigest()
