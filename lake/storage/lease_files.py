"""Lease files: what the lease is written in, in a folder or on S3.

Belongs here: listing, reading, creating exclusively and rewriting the files of `<lake>/_lease`. What stands in them,
and who may write, belongs in `lease`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from lake.storage.locations import s3_files
from runtime.private_files import ensure_home
from runtime.settings import Settings
from runtime.whole_files import create_whole, write_whole


class LeaseFiles(Protocol):
    """Small files by name; `create` is the one operation of which exactly one of several callers succeeds."""

    def names(self) -> list[str]:
        """The names of all lease files, in order."""

    def read(self, name: str) -> str | None:
        """The text of a file; None when it is not there."""

    def create(self, name: str, text: str) -> bool:
        """Create a file with its whole content; False when it exists."""

    def rewrite(self, name: str, text: str) -> None:
        """Replace the content of a file."""

    def delete(self, name: str) -> None:
        """Delete a file; one that is gone already is no error."""

    def folder_id(self) -> int:
        """A number that a copy of the folder does not have; 0 where there is none."""


def lease_files(settings: Settings) -> LeaseFiles:
    """The lease files of the lake of `settings`."""
    return _InBucket(settings) if settings.is_s3 else _InFolder(settings)


class _InFolder:
    """A hard link is what creates a file exclusively with its whole content."""

    def __init__(self, settings: Settings) -> None:
        ensure_home(settings)  # the lake may be the first to be made in it
        self._folder = Path(settings.lake_uri) / "_lease"
        self._folder.mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        return sorted(path.name for path in self._folder.glob("*.json"))

    def read(self, name: str) -> str | None:
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def create(self, name: str, text: str) -> bool:
        return create_whole(self._folder / name, text)

    def rewrite(self, name: str, text: str) -> None:
        write_whole(self._folder / name, text)

    def delete(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def folder_id(self) -> int:
        return self._folder.stat().st_ino


class _InBucket:
    """A conditional PUT is what creates a file exclusively."""

    def __init__(self, settings: Settings) -> None:
        # the first that a step asks of the lake: no connection is told after 23 s of attempts and pauses, not 33
        self._files = s3_files(settings, connect_s=3)
        self._prefix = f"{settings.lake_uri.removeprefix('s3://')}/_lease"

    def names(self) -> list[str]:
        try:
            with _no_answer_as_os_error():
                paths = self._files.ls(self._prefix, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(path.rsplit("/", 1)[1] for path in paths if path.endswith(".json"))

    def read(self, name: str) -> str | None:
        try:
            with _no_answer_as_os_error():
                return str(self._files.cat_file(f"{self._prefix}/{name}").decode())
        except FileNotFoundError:
            return None

    def create(self, name: str, text: str) -> bool:
        try:
            with _no_answer_as_os_error():
                self._files.pipe_file(f"{self._prefix}/{name}", text.encode(), mode="create")
        except FileExistsError:
            return False
        except OSError:
            # some servers' word for "it exists already" is one that s3fs does not know
            with _no_answer_as_os_error():
                is_there = self._files.exists(f"{self._prefix}/{name}")
            if is_there:
                return False
            raise
        return True

    def rewrite(self, name: str, text: str) -> None:
        with _no_answer_as_os_error():
            self._files.pipe_file(f"{self._prefix}/{name}", text.encode())

    def delete(self, name: str) -> None:
        try:
            with _no_answer_as_os_error():
                self._files.rm_file(f"{self._prefix}/{name}")
        except FileNotFoundError:
            return

    def folder_id(self) -> int:
        return 0


@contextmanager
def _no_answer_as_os_error() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

    try:
        yield
    except BotoCoreError as error:
        raise OSError(str(error)) from error
