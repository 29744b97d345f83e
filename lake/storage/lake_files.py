"""Files: what lies in a lake, in a folder or on S3, apart from what it means.

Belongs here: listing, reading, writing and deleting by a path relative to the lake. Which file belongs to which table's
version is in `log_files`; nothing here knows Delta.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from lake.storage.lease import ensure_held
from lake.storage.locations import s3_files
from runtime.settings import Settings
from runtime.whole_files import write_whole


@dataclass(frozen=True)
class StoredFile:
    """One file; `path` is relative to the lake, `modified_at` in seconds since 1970."""

    path: str
    size_bytes: int
    modified_at: float

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rsplit("/", 1)[-1]


class LakeFiles:
    """The files of a lake."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = settings.lake_uri.removeprefix("s3://")
        self._system: Any = s3_files(settings) if settings.is_s3 else LocalFileSystem()

    def place(self, folder: str) -> tuple[Any, str]:
        """A folder of the lake as pyarrow takes it: the file system, None for the machine's own, and the path."""
        is_local = isinstance(self._system, LocalFileSystem)
        return None if is_local else self._system, f"{self._root}/{folder}"

    def under(self, folder: str = "") -> list[StoredFile]:
        """Every file in a folder of the lake and below it, in the order of their paths; none when there is none."""
        place = f"{self._root}/{folder}".rstrip("/")
        try:
            found: dict[str, dict[str, Any]] = self._system.find(place, detail=True)
        except FileNotFoundError:
            return []
        start = len(self._root) + 1
        return [
            StoredFile(path[start:], int(info["size"]), _modified_at(info))
            for path, info in sorted(found.items())
            if info["type"] == "file"  # s3fs gives the folder itself if its first file came while it was being listed
        ]

    def open(self, path: str) -> Any:
        """A file to read from, in binary. Raises FileNotFoundError."""
        return self._system.open(f"{self._root}/{path}", "rb")

    def read(self, path: str) -> bytes:
        """The whole of a file."""
        return bytes(self._system.cat_file(f"{self._root}/{path}"))

    def write(self, path: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        target = f"{self._root}/{path}"
        if isinstance(self._system, LocalFileSystem):
            self._system.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
            write_whole(Path(target), data)
        else:
            self._system.pipe_file(target, data)

    def signed_link(self, path: str, lifetime_s: int) -> str:
        """An address by which anybody reads a file on S3 for some time."""
        return str(self._system.sign(f"{self._root}/{path}", expiration=lifetime_s))

    def digest(self, path: str) -> tuple[int, str]:
        """Length and SHA-256 of a file. Raises FileNotFoundError."""
        with self.open(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest

    def delete_folder(self, folder: str) -> None:
        """Delete a folder and all below it; one that is not there is no error."""
        place = f"{self._root}/{folder}"
        if self._system.exists(place):
            self._system.rm(place, recursive=True)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files; one that is gone already is no error. Raises LeaseError when the lease is lost."""
        ensure_held(self._settings)
        for path in paths:
            try:
                self._system.rm_file(f"{self._root}/{path}")
            except FileNotFoundError:
                continue


def _modified_at(info: dict[str, Any]) -> float:
    return float(info["mtime"]) if "mtime" in info else float(info["LastModified"].timestamp())
