"""A websocket keeps little for a peer that reads nothing, and waits for none that says nothing."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from hub.links import websocket_link
from hub.links.link import MOST_UNREAD, Link
from hub.links.websocket_link import WebsocketLink, serve_websocket
from tests.support.small_hub import NotedLink, until


def test_a_peer_that_reads_nothing_is_cut_off() -> None:
    """As one over TCP, whatever the size of the pieces; what it reads does not count."""
    for piece in (b"\xd0\0", b"x" * 60_000):
        below = NotedLink()
        link = WebsocketLink(below)
        sent = 0
        while not below.is_closed and sent < 2 * MOST_UNREAD:
            link.write(piece)
            sent += len(piece)
        assert below.is_closed
        assert link.is_closed
        assert sent <= MOST_UNREAD + len(piece)


class Session:
    """Says much, then ends."""

    def __init__(self, link: Link) -> None:
        self.link, self.is_lost = link, False

    def data_received(self, data: bytes) -> None:
        for _ in range(200):
            self.link.write(data)
        self.link.close()

    def connection_lost(self) -> None:
        self.is_lost = True


def test_an_end_waits_for_who_reads_and_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before it is sent to who reads it; a peer that reads nothing, and says nothing, is cut."""
    monkeypatch.setattr(websocket_link, "_LAST_WORDS_S", 0.3)

    async def run(reads: bool) -> tuple[NotedLink, list[Session], int]:
        below, made, sent, said = NotedLink(), list[Session](), 0, 0

        async def receive() -> MutableMapping[str, Any]:
            nonlocal said
            said += 1
            if said > 2:
                await asyncio.Event().wait()
            return {"type": "websocket.receive", "bytes": b"x"} if said == 2 else {"type": "websocket.connect"}

        async def send(event: MutableMapping[str, Any]) -> None:
            nonlocal sent
            if event["type"] == "websocket.send":
                if not reads:
                    await asyncio.Event().wait()
                sent += 1

        def make(link: Link, _: str) -> Session:
            made.append(Session(link))
            return made[-1]

        scope = {"subprotocols": ["mqtt"]}
        serving = asyncio.create_task(serve_websocket(scope, receive, send, make, below))
        await until(serving.done)
        return below, made, sent

    for reads in (True, False):
        below, (session,), sent = asyncio.run(run(reads))
        assert session.is_lost
        assert (below.is_closed, sent) == (not reads, 200 if reads else 0)
