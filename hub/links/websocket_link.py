"""MQTT and AMQP over websockets: the same sessions behind a websocket of the HTTP side.

Belongs here: an ASGI application that is a link to a session. HTTP belongs in `hub.api`.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from cryptography import x509

from hub.links.link import MOST_UNREAD, Link, Session

PATHS = frozenset({"/$iothub/websocket", "/$servicebus/websocket"})
"""Where IoT Hub's clients ask for one, and where those of Event Hubs do."""

_PROTOCOLS = ("mqtt", "AMQPWSB10")

# what a piece costs beside its bytes
_OVERHEAD = 64
_LAST_WORDS_S = 10.0

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class WebsocketLink:
    """A `link.Link` whose bytes go through a websocket, in messages of any size."""

    def __init__(self, below: Link) -> None:
        self._below = below
        self._out: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._unsent = 0
        self.ends = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Send; a peer that reads nothing of megabytes is cut off."""
        if self.is_closed:
            return
        self._out.put_nowait(data)
        self._unsent += len(data) + _OVERHEAD
        if self._unsent > MOST_UNREAD:
            self.abort()

    def close(self) -> None:
        """Close once everything is sent."""
        if not self.is_closed:
            self.is_closed = True
            self._out.put_nowait(None)
            self.ends.set()
        self._may_read.set()

    def abort(self) -> None:
        """Close at once, with the connection below."""
        self.close()
        self._below.abort()

    def pause_reading(self) -> None:
        """Give no more bytes for now."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Go on."""
        self._may_read.set()

    def peer_chain(self) -> Sequence[x509.Certificate]:
        """The certificates of the TLS connection below."""
        return self._below.peer_chain()

    async def send_all(self, send: Send) -> None:
        """Send what is written until it is closed."""
        while (data := await self._out.get()) is not None:
            await send({"type": "websocket.send", "bytes": data})
            self._unsent -= len(data) + _OVERHEAD
        await send({"type": "websocket.close", "code": 1000})

    async def receive_all(self, receive: Receive, session: Session) -> None:
        """Give the session what comes until nothing does any more."""
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            if event.get("bytes"):
                await self._may_read.wait()
                if not self.is_closed:
                    session.data_received(event["bytes"])


async def serve_websocket(
    scope: Event, receive: Receive, send: Send, make: Callable[[Link, str], Session | None], below: Link
) -> None:
    """Run a session behind an ASGI websocket on the connection `below`.

    `make` gives None for a subprotocol that nobody speaks here.
    """
    await receive()
    link = WebsocketLink(below)
    chosen = next((name for name in scope.get("subprotocols", ()) if name in _PROTOCOLS), None)
    session = None if chosen is None else make(link, chosen)
    if session is None:
        await send({"type": "websocket.close", "code": 1002})
        return
    await send({"type": "websocket.accept", "subprotocol": chosen})
    sending = asyncio.create_task(link.send_all(send))
    receiving = asyncio.create_task(link.receive_all(receive, session))
    closing = asyncio.create_task(link.ends.wait())
    try:
        await asyncio.wait({sending, receiving, closing}, return_when=asyncio.FIRST_COMPLETED)
        if closing.done() and not receiving.done():
            await asyncio.wait({sending, receiving}, timeout=_LAST_WORDS_S, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                below.abort()
    finally:
        receiving.cancel()
        closing.cancel()
        link.is_closed = True
        session.connection_lost()
        sending.cancel()
