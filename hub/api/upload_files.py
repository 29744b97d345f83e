"""The files of an upload: there once they are whole and on disk, whatever is killed and whoever puts at the same time.

Belongs here: receiving a blob or its blocks, and joining these. Who may do so, and when, belongs in `upload_routes`.
"""

import base64
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from starlette.concurrency import run_in_threadpool

from hub.hub_errors import HubCode, HubError

BLOCKS, PART = ".blocks", ".part"
# Source: IoT Hub's limits of file uploads
_MOST_BYTES = 256 * 1024 * 1024
_WRITTEN_AT_ONCE = 1024 * 1024


class UploadFiles:
    """What comes of one upload of the blob at `path`; files with its own `name` are of no other.

    All raise OSError for what the file system refuses.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._blocks = path.parent / f"{name}{BLOCKS}"

    async def receive(self, chunks: AsyncIterator[bytes]) -> None:
        """The whole blob. Raises HubError for one that is too large."""
        await self._receive(chunks, self._path)

    async def receive_block(self, block: str, chunks: AsyncIterator[bytes]) -> None:
        """One of its blocks. Raises HubError for one that is too large."""
        await self._receive(chunks, self._blocks / _block_name(block))

    def join(self, listed: bytes) -> None:
        """Make the blob of the blocks on a list. Raises HubError for a list with others than came.

        They stay until the upload ends: a client that did not hear the answer sends the list again.
        """
        try:
            names = [each.text or "" for each in ElementTree.fromstring(listed)]
            files = [self._blocks / _block_name(name) for name in names]
            with closing(_Part(self._path, self._name)) as whole:
                for file in files:
                    with file.open("rb") as block:
                        shutil.copyfileobj(block, whole.file)
                whole.keep()
        except (ElementTree.ParseError, FileNotFoundError) as error:
            raise HubError(HubCode.ArgumentInvalid, "The list names blocks that were not put.") from error

    def clear(self) -> None:
        """Take away what is left of the upload but the blob."""
        shutil.rmtree(self._blocks, ignore_errors=True)
        for part in self._path.parent.glob(f"{self._name}*{PART}"):
            part.unlink(missing_ok=True)

    async def _receive(self, chunks: AsyncIterator[bytes], path: Path) -> None:
        part = await run_in_threadpool(_Part, path, self._name)
        try:
            count, waiting = 0, bytearray()
            async for chunk in chunks:
                count += len(chunk)
                if count > _MOST_BYTES:
                    raise HubError(HubCode.MessageTooLarge, f"A blob has {_MOST_BYTES} bytes at most.")
                waiting += chunk
                if len(waiting) >= _WRITTEN_AT_ONCE:
                    await run_in_threadpool(part.file.write, bytes(waiting))
                    waiting.clear()
            await run_in_threadpool(part.file.write, bytes(waiting))
            await run_in_threadpool(part.keep)
        finally:
            part.close()


class _Part:
    """A file under a name of its own, which becomes `path` when it is kept, and is gone otherwise."""

    def __init__(self, path: Path, name: str) -> None:
        _make_folder(path.parent)
        self._path = path
        self._part = path.parent / f"{name}-{secrets.token_hex(4)}{PART}"
        self.file: BinaryIO = self._part.open("xb")

    def keep(self) -> None:
        """It is on disk under its name once this returns."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self._part.replace(self._path)
        _sync_folder(self._path.parent)

    def close(self) -> None:
        """Nothing more is written."""
        self._part.unlink(missing_ok=True)
        self.file.close()


def _make_folder(folder: Path) -> None:
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in new:
        _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    """A file's name is on disk once its folder is."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _block_name(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode() or "_"
