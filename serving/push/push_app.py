"""The push endpoint: SignalR's three transports over one connection.

Belongs here: negotiation, websockets, server-sent events, long polling.
Source: TransportProtocols.md of dotnet/aspnetcore.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from serving.access.doors import Doors, key_of
from serving.problems import Problem
from serving.push.news import News
from serving.push.push_connection import PING_S, PushConnection
from serving.push.signalr_frames import LARGEST
from serving.request_bodies import read_body

_POLL_S = 20.0
_ASKED_S = 1.0
_IDLE_S = 60.0
_LOOK_S = 10.0
_MOST_A_KEY = 10_000
_TRANSPORTS = [
    {"transport": "WebSockets", "transferFormats": ["Text"]},
    {"transport": "ServerSentEvents", "transferFormats": ["Text"]},
    {"transport": "LongPolling", "transferFormats": ["Text"]},
]


class PushServer:
    """The hub at `/push`."""

    def __init__(self, doors: Doors, news: News, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._doors, self._news, self._clock_s = doors, news, clock_s
        self._connections: dict[str, PushConnection] = {}

    def routes(self) -> list[Any]:
        """Starlette's routes."""
        return [
            Route("/push/negotiate", self._negotiate, methods=["POST"]),
            Route("/push", self._listen, methods=["GET"]),
            Route("/push", self._receive, methods=["POST"]),
            Route("/push", self._leave, methods=["DELETE"]),
            WebSocketRoute("/push", self._websocket),
        ]

    async def keep_time(self) -> None:
        """Let go of connections that nobody uses, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self._forget_idle()

    async def _negotiate(self, request: Request) -> Response:
        connection = await self._opened(request)
        return JSONResponse(
            {
                "negotiateVersion": 1,
                "connectionId": connection.token[:8],
                "connectionToken": connection.token,
                "availableTransports": _TRANSPORTS,
            }
        )

    async def _opened(self, asked: HTTPConnection) -> PushConnection:
        caller = await run_in_threadpool(self._doors.admit, asked, "read")
        self._forget_idle()
        if sum(each.caller.key.key_id == caller.key.key_id for each in self._connections.values()) >= _MOST_A_KEY:
            detail = f"This key has {_MOST_A_KEY:,} connections: end some, or wait a minute for unused ones to end."
            raise Problem(429, "Too many connections", detail, {"Retry-After": f"{_IDLE_S:.0f}"})
        connection = PushConnection(caller, self._news, key_of(asked) or "")
        connection.used_s = self._clock_s()
        self._connections[connection.token] = connection
        return connection

    async def _websocket(self, socket: WebSocket) -> None:
        try:
            connection = self._known(socket.query_params.get("id"))
        except Problem:
            try:
                connection = await self._opened(socket)
            except Problem as problem:
                await socket.close(4000 + problem.status)
                return
        await socket.accept()
        connection.is_streamed = True
        sending = asyncio.create_task(self._send_to(socket, connection))
        try:
            while True:
                connection.receive(await socket.receive_text())
        except (WebSocketDisconnect, KeyError, RuntimeError):
            pass  # gone, or sent bytes, which the text protocol does not have
        finally:
            self._end(connection)
            await sending

    async def _send_to(self, socket: WebSocket, connection: PushConnection) -> None:
        try:
            async for text in self._texts(connection):
                await socket.send_text(text)
            await socket.close()
        except (WebSocketDisconnect, RuntimeError):
            connection.close()

    async def _texts(self, connection: PushConnection) -> AsyncIterator[str]:
        """What is to be sent, until its end; whether its key still holds is asked each second."""
        asked_s = said_s = time.monotonic()
        while (text := await connection.next_texts(_ASKED_S)) is not None:
            now_s = time.monotonic()
            if now_s - asked_s >= _ASKED_S and not connection.is_closed:
                asked_s = now_s
                if not await self._holds(connection):
                    continue
            if text:
                said_s = now_s
                yield text
            elif now_s - said_s >= PING_S:
                said_s = now_s
                connection.ping()

    async def _holds(self, connection: PushConnection) -> bool:
        """Whether its key still holds, with the sites that it has now; else it ends."""
        caller = await run_in_threadpool(self._doors.admit_still, connection.key, "read")
        if caller is None:
            connection.end("The key was revoked or has expired.")
            return False
        connection.caller = caller
        return True

    async def _require(self, connection: PushConnection) -> None:
        if not await self._holds(connection):
            self._end(connection)
            raise Problem(401, "Unknown key", "The key of this connection was revoked or has expired.")

    async def _listen(self, request: Request) -> Response:
        connection = self._known(request.query_params.get("id"))
        if "text/event-stream" in request.headers.get("accept", ""):
            headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
            return StreamingResponse(self._events(connection), headers=headers, media_type="text/event-stream")
        await self._require(connection)
        connection.used_s = self._clock_s()
        if not connection.was_polled:
            # the first poll only says that the transport works
            connection.was_polled = True
            return Response(b"", 200, media_type="text/plain")
        text = await connection.next_texts(_POLL_S)
        await self._require(connection)
        if text is None:
            self._end(connection)
            return Response(status_code=204)
        return Response(text.encode(), 200, media_type="text/plain")

    async def _events(self, connection: PushConnection) -> AsyncIterator[str]:
        connection.is_streamed = True
        try:
            yield ":\r\n\r\n"
            async for text in self._texts(connection):
                yield f"data: {text}\r\n\r\n"
        finally:
            self._end(connection)

    async def _receive(self, request: Request) -> Response:
        connection = self._known(request.query_params.get("id"))
        await self._require(connection)
        connection.used_s = self._clock_s()
        body = await read_body(request, 4 * LARGEST)
        connection.receive(body.decode("utf-8", "replace"))
        return Response(b"", 200, media_type="text/plain")

    async def _leave(self, request: Request) -> Response:
        self._end(self._known(request.query_params.get("id")))
        return Response(status_code=202)

    def _known(self, token: str | None) -> PushConnection:
        found = self._connections.get(token or "")
        if found is None:
            raise Problem(404, "No such connection", "Negotiate first: POST /push/negotiate.")
        return found

    def _end(self, connection: PushConnection) -> None:
        connection.close()
        self._connections.pop(connection.token, None)

    def _forget_idle(self) -> None:
        """Let go of what was negotiated and never used, or is no longer polled; what is streamed ends by itself."""
        unused_since_s = self._clock_s() - _IDLE_S
        for connection in list(self._connections.values()):
            if not connection.is_streamed and connection.used_s < unused_since_s:
                self._end(connection)
