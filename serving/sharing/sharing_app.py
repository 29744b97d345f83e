"""The sharing server: the Delta Sharing protocol over one pinned publication.

Belongs here: its routes and answers, line by line of JSON. Source: PROTOCOL.md of delta-io/delta-sharing.

A key that sees some sites only shares nothing: no table is partitioned by site, and predicates are hints that a client
may leave unheeded, so which files go into an answer is all that holds.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from lake.records import publications
from lake.storage.locations import table_uri
from lake.tables.gold import GOLD_TABLES
from runtime.settings import Settings
from serving.access.doors import Caller, Doors
from serving.problems import Problem
from serving.request_bodies import read_body
from serving.sharing.file_links import file_link
from serving.sharing.shared_tables import (
    SCHEMA,
    SHARE,
    files_of,
    metadata_line,
    opened,
    protocol_line,
    table_named,
    tables_of,
)
from serving.sharing.signed_links import LinkSigner
from serving.snapshots import Snapshot, Snapshots
from wire.times import moment_of_rfc3339

_LINES = "application/x-ndjson; charset=utf-8"
_AFTER = "after."
_LARGEST = 2**20
_Handler = Callable[[Request, Caller, dict[str, Any]], Response]


class SharingServer:
    """The share `lakehouse` with the schema `gold`."""

    def __init__(self, settings: Settings, doors: Doors, snapshots: Snapshots) -> None:
        self._settings, self._doors, self._snapshots = settings, doors, snapshots
        self._signer = LinkSigner()

    def routes(self) -> list[Route]:
        """Starlette's routes, below `/sharing`."""
        table = "/sharing/shares/{share}/schemas/{schema}/tables/{table}"
        handlers: list[tuple[str, str, _Handler]] = [
            ("/sharing/shares", "GET", self._shares),
            ("/sharing/shares/{share}", "GET", self._share),
            ("/sharing/shares/{share}/schemas", "GET", self._schemas),
            ("/sharing/shares/{share}/schemas/{schema}/tables", "GET", self._tables),
            ("/sharing/shares/{share}/all-tables", "GET", self._tables),
            (f"{table}/version", "GET", self._version),
            (f"{table}/metadata", "GET", self._metadata),
            (f"{table}/query", "POST", self._query),
            (f"{table}/changes", "GET", self._changes),
        ]
        routes = [Route(path, self._endpoint(handler), methods=[method]) for path, method, handler in handlers]
        return [*routes, Route("/sharing/files/{table}/{path:path}", self._file, methods=["GET"])]

    def _endpoint(self, handler: _Handler) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            caller = await run_in_threadpool(self._doors.admit, request, "share")
            return await run_in_threadpool(handler, request, caller, _body(await read_body(request, _LARGEST)))

        return endpoint

    def _shares(self, request: Request, caller: Caller, body: dict[str, Any]) -> Response:
        return _page(request, [] if caller.sites is not None else [{"name": SHARE, "id": SHARE}])

    def _share(self, request: Request, caller: Caller, body: dict[str, Any]) -> Response:
        self._check(request, caller)
        return JSONResponse({"share": {"name": SHARE, "id": SHARE}})

    def _schemas(self, request: Request, caller: Caller, body: dict[str, Any]) -> Response:
        self._check(request, caller)
        return _page(request, [{"name": SCHEMA, "share": SHARE}])

    def _tables(self, request: Request, caller: Caller, body: dict[str, Any]) -> Response:
        self._check(request, caller)
        return _page(request, tables_of(self._snapshots.newest()))

    def _version(self, request: Request, caller: Caller, body: dict[str, Any]) -> Response:
        self._check(request, caller)
        number = self._snapshots.newest().publication.publication_id
        since = request.query_params.get("startingTimestamp")
        if since is not None:
            number = self._first_since(since)
        table_named(self._snapshots.of(number), request.path_params["table"])
        return Response(headers={"Delta-Table-Version": str(number)})

    def _metadata(self, request: Request, caller: Caller, body: dict[str, Any]) -> Response:
        self._check(request, caller)
        snapshot = self._pinned(request.query_params)
        table = table_named(snapshot, request.path_params["table"])
        delta = opened(self._settings, snapshot, table)
        return _lines([protocol_line(), metadata_line(delta, table)], snapshot.publication.publication_id)

    def _query(self, request: Request, caller: Caller, body: dict[str, Any]) -> Response:
        self._check(request, caller)
        if body.get("startingVersion") is not None:
            raise Problem(400, "No change data", "Tables are shared as they are, without their changes.")
        snapshot = self._pinned(body)
        table = table_named(snapshot, request.path_params["table"])
        delta, now_s = opened(self._settings, snapshot, table), time.time()
        base = str(request.base_url).rstrip("/")
        lines = [protocol_line(), metadata_line(delta, table)]
        for file in files_of(delta, table):
            url, until = file_link(self._settings, self._signer, base, table.name, file.pop("path"), now_s)
            lines.append({"file": {"url": url, **file, "expirationTimestamp": until}})
        return _lines(lines, snapshot.publication.publication_id)

    def _changes(self, request: Request, caller: Caller, body: dict[str, Any]) -> Response:
        raise Problem(400, "No change data", "Tables are shared as they are, without their changes.")

    async def _file(self, request: Request) -> Response:
        """A file by its link, which is all that it needs."""
        name, path = request.path_params["table"], request.path_params["path"]
        until, signature = (request.query_params.get(part, "") for part in ("until", "signature"))
        known = any(table.name == name for table in GOLD_TABLES)
        if not known or not self._signer.holds(name, path, until, signature, time.time()):
            raise Problem(403, "No such link", "This link is not one of ours, or has ended: ask for the table again.")
        file = Path(table_uri(self._settings, name)) / path
        if not file.is_file():
            raise Problem(410, "File gone", "This file is no longer kept: ask for the table again.")
        return FileResponse(file, media_type="application/octet-stream")

    def _check(self, request: Request, caller: Caller) -> None:
        names = {"share": SHARE, "schema": SCHEMA}
        wrong = any(request.path_params.get(part, name).lower() != name for part, name in names.items())
        if wrong or caller.sites is not None:
            raise Problem(404, "No such share", "There is no such share or schema, or your key does not see it.")

    def _pinned(self, said: Mapping[str, Any]) -> Snapshot:
        version, timestamp = said.get("version"), said.get("timestamp")
        if timestamp is None:
            return self._snapshots.of(_whole(version, "version", "a publication's number"))
        if version is not None:
            raise Problem(400, "Bad version", "Give a version or a timestamp, not both.")
        return self._snapshots.of(self._newest_at(str(timestamp)))

    def _newest_at(self, text: str) -> int:
        moment = _moment(text)
        numbers = [p.publication_id for p in publications.list_all(self._settings) if p.published_at <= moment]
        if not numbers:
            raise Problem(400, "Bad timestamp", f"Nothing had been published at {text[:40]}.")
        return max(numbers)

    def _first_since(self, text: str) -> int:
        moment = _moment(text)
        numbers = [p.publication_id for p in publications.list_all(self._settings) if p.published_at >= moment]
        if not numbers:
            raise Problem(400, "Bad timestamp", f"Nothing has been published since {text[:40]}.")
        return min(numbers)


def _moment(text: str) -> datetime:
    moment = moment_of_rfc3339(text)
    if moment is None:
        raise Problem(400, "Bad timestamp", f"{text[:40]!r} is no time: give 2026-11-20T05:00:00Z.")
    return moment


def _whole(value: Any, name: str, what: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit():
        raise Problem(400, f"Bad {name}", f"{name} is {str(value)[:40]!r}: give {what}.")
    return int(str(value)[:12])


def _page(request: Request, items: Sequence[Mapping[str, str]]) -> Response:
    """Of a list in the order of names, `maxResults` behind the last of the page before, which its token names."""
    most = _whole(request.query_params.get("maxResults"), "maxResults", "a whole number")
    token = request.query_params.get("pageToken") or _AFTER
    if not token.startswith(_AFTER):
        raise Problem(400, "Bad pageToken", "pageToken is not one that an answer of this list gave.")
    left = [item for item in items if item["name"] > token.removeprefix(_AFTER)]
    page = left[:most]
    if len(page) == len(left):
        return JSONResponse({"items": page})
    return JSONResponse({"items": page, "nextPageToken": f"{_AFTER}{page[-1]['name']}" if page else token})


def _body(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem(400, "Bad request", "The body is to be a JSON object.")
    return found


def _lines(lines: Iterable[dict[str, Any]], version: int) -> Response:
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    return Response(text, 200, {"Delta-Table-Version": str(version), "Content-Type": _LINES})
