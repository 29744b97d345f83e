"""Uploaded files: acknowledged when they are on disk, whole whoever puts at the same time, and nothing else stays."""

import asyncio
import errno
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from hub.api.upload_files import UploadFiles
from hub.api.upload_routes import Uploads
from hub.hub_errors import HubCode, HubError
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.registry.registry_tables import UPLOADS
from wire.sas import sign


class Scene:
    """A device, and what it asks; the registry's clock stands where it is put."""

    def __init__(self, folder: Path) -> None:
        self.now, self.folder = datetime.now(UTC), folder / "files"
        self.registry = Registry(f"sqlite:///{folder / 'registry.db'}", lambda: self.now)
        self.uploads = Uploads(self.registry, self.folder)
        device = self.registry.write(lambda tx: create(tx, Identity("d", "default"))).result()
        self.token = sign(device.primary_key or "", "hub/devices/d", int(time.time()) + 10**6)

    def request(self, chunks: "asyncio.Queue[bytes] | bytes", query: str = "", **path: str) -> Request:
        """Its body is what it is given, or what comes by the queue up to nothing."""

        async def receive() -> dict[str, Any]:
            body = chunks if isinstance(chunks, bytes) else await chunks.get()
            return {"type": "http.request", "body": body, "more_body": not isinstance(chunks, bytes) and bool(body)}

        headers = [(b"host", b"hub"), (b"authorization", self.token.encode())]
        params = {"id": "d", **path}
        return Request(
            {"type": "http", "headers": headers, "query_string": query.encode(), "path_params": params}, receive
        )

    async def begin(self, name: str) -> str:
        """The query of its puts."""
        answer = await self.uploads.begin(self.request(json.dumps({"blobName": name}).encode()))
        return str(json.loads(bytes(answer.body))["sasToken"]).removeprefix("?")

    async def put(self, name: str, query: str, chunks: "asyncio.Queue[bytes] | bytes") -> Response:
        """A blob, a block or a list."""
        return await self.uploads.put(self.request(chunks, query, name=name))

    async def end(self, query: str) -> None:
        """The upload is done."""
        said = {"correlationId": query.partition("&")[0].removeprefix("correlation="), "isSuccess": True}
        await self.uploads.end(self.request(json.dumps(said).encode()))

    def files(self) -> dict[str, bytes]:
        """What lies there."""
        return {
            str(each.relative_to(self.folder)): each.read_bytes() for each in self.folder.rglob("*") if each.is_file()
        }

    def rows(self) -> int:
        """Uploads that are kept in mind."""
        return len(self.registry.read(lambda tx: tx.connection.execute(UPLOADS.select()).all()))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.registry.close()


LIST = b"<BlockList><Latest>Mg==</Latest><Latest>MQ==</Latest></BlockList>"


def test_what_is_acknowledged_is_on_disk(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, and the folders that name it: of a blob, of a block, and of a blob that is joined of blocks."""
    synced: set[int] = set()
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (sync(file), synced.add(os.fstat(file).st_ino)))

    async def scenario() -> None:
        query = await scene.begin("a/b/blob")
        for more, body in (("", b"x"), ("&comp=block&blockid=MQ==", b"1"), ("&comp=block&blockid=Mg==", b"2")):
            assert (await scene.put("a/b/blob", query + more, body)).status_code == 201
            assert all(each.stat().st_ino in synced for each in (scene.folder, *scene.folder.rglob("*")))
        synced.clear()
        assert (await scene.put("a/b/blob", f"{query}&comp=blocklist", LIST)).status_code == 201
        blob = scene.folder / "d" / "a" / "b" / "blob"
        assert blob.read_bytes() == b"21"
        assert {blob.stat().st_ino, blob.parent.stat().st_ino} <= synced

    asyncio.run(scenario())


def test_two_puts_of_one_blob_do_not_mix(scene: Scene) -> None:
    """Each is whole when it is there, and the later one stays."""

    async def scenario() -> None:
        query = await scene.begin("blob")
        slow: asyncio.Queue[bytes] = asyncio.Queue()
        putting = asyncio.create_task(scene.put("blob", query, slow))
        slow.put_nowait(b"slow ")
        while not scene.files():
            await asyncio.sleep(0)
        assert (await scene.put("blob", query, b"fast")).status_code == 201
        assert scene.files()["d/blob"] == b"fast"
        for chunk in (b"but whole", b""):
            slow.put_nowait(chunk)
        assert (await putting).status_code == 201
        assert scene.files() == {"d/blob": b"slow but whole"}

    asyncio.run(scenario())


def test_a_list_may_be_sent_again_and_nothing_but_the_blob_stays(scene: Scene) -> None:
    """Whose answer was lost sends it again; blocks, and what a killed hub left, go when the upload ends."""

    async def scenario() -> None:
        query, other = await scene.begin("blob"), await scene.begin("blob")
        for number, upload in ((b"1", query), (b"2", query), (b"3", other)):
            block = {b"1": "MQ==", b"2": "Mg==", b"3": "MQ=="}[number]
            await scene.put("blob", f"{upload}&comp=block&blockid={block}", number)
        for _ in range(2):
            assert (await scene.put("blob", f"{query}&comp=blocklist", LIST)).status_code == 201
            assert scene.files()["d/blob"] == b"21"
        left = scene.folder / "d" / f"{query.partition('&')[0].removeprefix('correlation=')}-killed.part"
        left.write_bytes(b"half")
        await scene.end(query)
        await scene.end(other)
        assert scene.files() == {"d/blob": b"21"}

    asyncio.run(scenario())


def test_an_upload_that_never_ended_is_forgotten(scene: Scene) -> None:
    """With its files, when another begins after its time; one whose time is hardly over may still end."""

    async def scenario() -> None:
        first = await scene.begin("first")
        await scene.put("first", f"{first}&comp=block&blockid=MQ==", b"1")
        scene.now += timedelta(minutes=61)
        await scene.begin("second")
        assert (scene.rows(), len(scene.files())) == (2, 1)
        scene.now += timedelta(minutes=60)
        await scene.begin("third")
        assert (scene.rows(), scene.files()) == (2, {})

    asyncio.run(scenario())


def test_an_upload_that_cannot_be_cleared_is_forgotten_too(scene: Scene) -> None:
    """One of a version that took names which no file can have: others begin, and the rest is cleared."""

    async def scenario() -> None:
        for name in ("first", "last"):
            query = await scene.begin(name)
            await scene.put(name, f"{query}&comp=block&blockid=MQ==", b"1")
        too_long = UPLOADS.update().where(UPLOADS.c.blob_name == "first").values(blob_name="n" * 256)
        scene.registry.write(lambda tx: tx.connection.execute(too_long)).result()
        scene.now += timedelta(minutes=121)
        await scene.begin("other")
        assert (scene.rows(), len(scene.files())) == (1, 1)

    asyncio.run(scenario())


def test_a_name_that_no_file_can_have_is_refused(scene: Scene) -> None:
    """One below another blob, one that is too long or that no text is: nothing is left, and the error says so."""

    async def scenario() -> None:
        await scene.put("blob", await scene.begin("blob"), b"x")
        for name in ("blob/below", "n" * 256, "\0", "\ud800"):
            with pytest.raises(HubError) as refused:
                await scene.put(name, await scene.begin(name), b"x")
            assert refused.value.code is HubCode.ArgumentInvalid
        assert scene.files() == {"d/blob": b"x"}

    asyncio.run(scenario())


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a blob is no blob."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"half"

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        asyncio.run(UploadFiles(tmp_path / "blob", "name").receive(chunks()))
    assert list(tmp_path.iterdir()) == []
