"""Routes of files that devices upload: `/devices/{id}/files`, and the blobs themselves.

Belongs here: IoT Hub's two calls, made by a device with its own token, and so much of Azure Blob Storage's interface as
`azure-storage-blob` needs to put one blob. Files lie in a folder of the home, below their device's id; how they come to
be there belongs in `upload_files`.
"""

import errno
import json
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import delete, func, insert, select, update
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.access.quotas import UNLIMITED, Quotas
from hub.api.calls import IOT_HUB, Json, read_token, refused
from hub.api.upload_files import BLOCKS, PART, UploadFiles
from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity
from hub.registry.moments import micros_of
from hub.registry.outbox import tell_event
from hub.registry.registry_tables import UPLOADS
from runtime.containment import Contained

UPLOADED = "lakehouse.file.uploaded"
CONTAINER = "uploads"
# Source: IoT Hub's limits of file uploads
_MOST_AT_ONCE = 10
_MOST_FORGOTTEN = 100
_LONGEST_NAME = 255  # of a file or folder, in bytes
_LIFE = 3600 * 1_000_000
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EMFILE)
_MOST_LIST = 4 * 1024 * 1024
_log = logging.getLogger(__name__)

_Handler = Callable[[Request], Awaitable[Response]]


def upload_routes(registry: Registry, folder: Path, quotas: Quotas = UNLIMITED) -> list[Route]:
    """The routes; files are kept below `folder`, and each tenant's devices begin as many as `quotas` let them."""
    uploads = Uploads(registry, folder, quotas)

    def endpoint(handler: _Handler) -> _Handler:
        async def run(request: Request) -> Response:
            try:
                return await handler(request)
            except HubError as error:
                return await run_in_threadpool(refused, registry, error, IOT_HUB)

        return run

    return [
        Route("/devices/{id}/files", endpoint(uploads.begin), methods=["POST"]),
        Route("/devices/{id}/files/notifications", endpoint(uploads.end), methods=["POST"]),
        Route("/devices/{id}/files/notifications/{correlation}", endpoint(uploads.end), methods=["POST"]),
        Route(f"/{CONTAINER}/{{id}}/{{name:path}}", endpoint(uploads.put), methods=["PUT"]),
    ]


class Uploads:
    """What devices upload, and where it lies."""

    def __init__(self, registry: Registry, folder: Path, quotas: Quotas = UNLIMITED) -> None:
        self._registry = registry
        self._folder = folder
        self._quotas = quotas

    async def begin(self, request: Request) -> Response:
        """A device says which file is to come, and hears where to put it."""
        device = await run_in_threadpool(self._device, request)
        device_id = device.device_id
        if not self._quotas.take("uploads", device.tenant):
            raise HubError(HubCode.ThrottlingException, "Too many uploads.")
        name = (await _object(request)).get("blobName")
        if not isinstance(name, str) or not 0 < len(name) <= 1024:
            raise HubError(HubCode.ArgumentInvalid, "The body names no blobName of 1 to 1,024 characters.")
        self._path(device_id, name)
        await run_in_threadpool(self._forget_old)
        correlation, secret = secrets.token_hex(16), secrets.token_hex(32)

        def work(tx: Tx) -> None:
            under_way = (UPLOADS.c.device_id == device_id) & (UPLOADS.c.status == "begun")
            count = select(func.count()).select_from(UPLOADS).where(under_way & (UPLOADS.c.expires_at > tx.now))
            if tx.connection.execute(count).scalar_one() >= _MOST_AT_ONCE:
                raise HubError(
                    HubCode.DeviceMaximumActiveFileUploadLimitExceeded,
                    f"{_MOST_AT_ONCE} uploads are under way.",
                )
            row = {"correlation_id": correlation, "device_id": device_id, "blob_name": name, "secret": secret}
            tx.connection.execute(insert(UPLOADS).values(**row, expires_at=tx.now + _LIFE, status="begun"))

        await run_in_threadpool(lambda: self._registry.write(work).result())
        token = f"?correlation={correlation}&sig={secret}"
        body = {
            "correlationId": correlation, "hostName": request.headers.get("host", ""), "containerName": CONTAINER,
            "blobName": f"{device_id}/{name}", "sasToken": token,
        }  # fmt: skip
        return JSONResponse(body)

    async def end(self, request: Request) -> Response:
        """A device says how its upload ended; the lake's topic of events hears of a file that is there."""
        device_id = (await run_in_threadpool(self._device, request)).device_id
        said = await _object(request)
        correlation = request.path_params.get("correlation") or said.get("correlationId")

        def work(tx: Tx) -> UploadFiles:
            is_it = (UPLOADS.c.correlation_id == str(correlation)) & (UPLOADS.c.device_id == device_id)
            row = tx.connection.execute(select(UPLOADS).where(is_it & (UPLOADS.c.status == "begun"))).first()
            if row is None:
                raise HubError(HubCode.InvalidFileUploadCorrelationId, f"There is no upload {correlation!r} under way.")
            is_there = bool(said.get("isSuccess", True)) and self._path(device_id, row.blob_name).exists()
            tx.connection.execute(update(UPLOADS).where(is_it).values(status="done" if is_there else "failed"))
            if is_there:
                size = self._path(device_id, row.blob_name).stat().st_size
                tell_event(tx, device_id, UPLOADED, {"blobName": row.blob_name, "bytes": size})

            return self._files(device_id, row.blob_name, row.correlation_id)

        files = await run_in_threadpool(lambda: self._registry.write(work).result())
        await run_in_threadpool(files.clear)
        return Response(status_code=204)

    async def put(self, request: Request) -> Response:
        """A blob, or one of its blocks, or the list of them that makes it whole."""
        device_id, name = request.path_params["id"], request.path_params["name"]
        await run_in_threadpool(self._check, request, device_id, name)
        files, part = (
            self._files(device_id, name, request.query_params["correlation"]),
            request.query_params.get("comp"),
        )
        try:
            if part == "blocklist":
                await run_in_threadpool(files.join, await _read(request, _MOST_LIST))
            elif part == "block":
                await files.receive_block(request.query_params.get("blockid", ""), request.stream())
            else:
                await files.receive(request.stream())
        except OSError as error:
            if error.errno in _OF_THE_DISK:
                raise HubError(HubCode.ServerError, f"The blob cannot be kept: {error.strerror}.") from error
            raise HubError(HubCode.ArgumentInvalid, f"No blob can have the name {name!r}: {error.strerror}.") from error
        return Response(status_code=201, headers={"etag": f'"{secrets.token_hex(8)}"'})

    def _files(self, device_id: str, name: str, correlation: str) -> UploadFiles:
        return UploadFiles(self._path(device_id, name), correlation)

    def _forget_old(self) -> None:
        """Drop uploads whose time is long over, with what came of those that were never ended."""
        is_old, done = UPLOADS.c.expires_at <= micros_of(self._registry.clock()) - _LIFE, []
        old = select(UPLOADS).where(is_old).limit(_MOST_FORGOTTEN)
        for row in self._registry.read(lambda tx: tx.connection.execute(old).all()):
            # one that cannot be cleared is forgotten too: it would refuse every upload of every device from now on
            with Contained(_log, f"Clearing the upload {row.correlation_id} of {row.device_id!r}"):
                self._files(row.device_id, row.blob_name, row.correlation_id).clear()
            done.append(row.correlation_id)
        if done:
            forget = delete(UPLOADS).where(UPLOADS.c.correlation_id.in_(done))
            self._registry.write(lambda tx: tx.connection.execute(forget)).result()

    def _device(self, request: Request) -> Identity:
        """The device whose own key signed the request. Raises HubError for any other."""
        token, device_id = read_token(self._registry, request), request.path_params["id"]
        device = self._registry.device(device_id)
        is_for_it = token.target.partition("/")[2] == f"devices/{device_id}".lower()
        keys = [] if device is None else [key for key in (device.primary_key, device.secondary_key) if key]
        if device is None or not is_for_it or not device.is_enabled or not any(map(token.is_signed_by, keys)):
            raise HubError(HubCode.IotHubUnauthorized, f"The token is not of the device {device_id!r}.")
        return device

    def _check(self, request: Request, device_id: str, name: str) -> None:
        def work(tx: Tx) -> bool:
            is_it = (UPLOADS.c.correlation_id == request.query_params.get("correlation", "")) & (
                UPLOADS.c.secret == request.query_params.get("sig", "")
            )
            is_for = (UPLOADS.c.device_id == device_id) & (UPLOADS.c.blob_name == name)
            rows = select(UPLOADS).where(
                is_it & is_for & (UPLOADS.c.status == "begun") & (UPLOADS.c.expires_at > tx.now)
            )
            return tx.connection.execute(rows).first() is not None

        if not self._registry.read(work):
            raise HubError(HubCode.IotHubUnauthorized, "The upload is not begun, or its time is over.")

    def _path(self, device_id: str, name: str) -> Path:
        """Where a blob lies. Raises HubError for a name that leaves the device's folder."""
        root = (self._folder / quote(device_id, safe="")).resolve()
        try:
            path = (root / name).resolve()
            is_one = all(len(os.fsencode(part)) <= _LONGEST_NAME for part in path.parts)
        except (ValueError, OSError):  # a NUL, half of a character, or a part of a kilobyte
            path, is_one = root, False
        if not is_one or root not in path.parents or path.name.endswith((BLOCKS, PART)):
            raise HubError(HubCode.ArgumentInvalid, f"{name!r} is no name of a blob.")
        return path


async def _object(request: Request) -> Json:
    try:
        found = json.loads(await _read(request, _MOST_LIST))
    except ValueError as error:
        raise HubError(HubCode.IotHubFormatError, "The body is no JSON.") from error
    if not isinstance(found, dict):
        raise HubError(HubCode.IotHubFormatError, "The body is no JSON object.")
    return found


async def _read(request: Request, most: int) -> bytes:
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > most:
            raise HubError(HubCode.MessageTooLarge, f"The body has more than {most} bytes.")
    return bytes(read)
