"""A push connection: one client, whatever its transport.

Belongs here: the handshake, subscriptions, what is waiting to be sent. Transports are in `push_app`.
"""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

from serving.access.doors import Caller
from serving.push.news import STREAMS, Item, News, Wish
from serving.push.signalr_frames import (
    CLOSE,
    HANDSHAKE_DONE,
    INVOCATION,
    PINGED,
    FrameError,
    check_handshake,
    closing,
    completion,
    frame,
    frames,
    invocation,
)

_WAITING = 5_000
PING_S = 10.0


class PushConnection:
    """What was subscribed to goes into `outgoing`; None there ends it.

    One `is_streamed` while a websocket or an event source takes what is sent; any other was last used at `used_s`.
    """

    def __init__(self, caller: Caller, news: News, key: str = "") -> None:
        """`key` is the text that he was let in by."""
        self.token = secrets.token_urlsafe(24)
        self.caller, self.key = caller, key
        self.outgoing: asyncio.Queue[str | None] = asyncio.Queue(_WAITING)
        self.is_closed = False
        self.was_polled = self.is_streamed = False
        self.used_s = 0.0
        self._news = news
        self._wishes: dict[str, Wish] = {}
        self._is_greeted = False
        news.listen(self._on_item)

    def receive(self, text: str) -> None:
        """Take what the client sent; what is not the protocol ends the connection with the reason."""
        try:
            for message in frames(text):
                self._take(message)
        except FrameError as error:
            self._send(closing(str(error)) if self._is_greeted else frame({"error": str(error)}))
            self.close()

    def ping(self) -> None:
        """So that neither side thinks the other gone."""
        if self._is_greeted:
            self._send(PINGED)

    def end(self, reason: str) -> None:
        """Say why, and end."""
        self._send(closing(reason))
        self.close()

    def close(self) -> None:
        """Send what waits, and no more."""
        if not self.is_closed:
            self.is_closed = True
            self._news.leave(self._on_item)
            if self.outgoing.full():
                self.outgoing.get_nowait()
            self.outgoing.put_nowait(None)

    async def next_texts(self, wait_s: float) -> str | None:
        """What waits, put together; empty when nothing came in time, None at the end."""
        try:
            first = await asyncio.wait_for(self.outgoing.get(), wait_s)
        except TimeoutError:
            return ""
        texts = [first]
        while texts[-1] is not None and not self.outgoing.empty():
            texts.append(self.outgoing.get_nowait())
        if texts[-1] is None and len(texts) > 1:
            self.outgoing.put_nowait(None)
        return None if texts == [None] else "".join(text for text in texts if text is not None)

    def _take(self, message: Mapping[str, Any]) -> None:
        if not self._is_greeted:
            check_handshake(message)
            self._is_greeted = True
            self._send(HANDSHAKE_DONE)
        elif message.get("type") == INVOCATION:
            self._invoke(message)
        elif message.get("type") == CLOSE:
            self.close()

    def _invoke(self, message: Mapping[str, Any]) -> None:
        identity = message.get("invocationId")
        try:
            result = self._called(str(message.get("target")), message.get("arguments"))
        except FrameError as error:
            if identity is not None:
                self._send(completion(str(identity), error=str(error)))
            return
        if identity is not None:
            self._send(completion(str(identity), result=result[0]))
        for item in result[1]:
            self._on_item(item)

    def _called(self, target: str, arguments: Any) -> tuple[dict[str, Any], list[Item]]:
        if not isinstance(arguments, list) or not arguments or arguments[0] not in STREAMS:
            raise FrameError(f"give a stream: {', '.join(STREAMS)}")
        stream, options = arguments[0], arguments[1] if len(arguments) > 1 else {}
        if target == "Unsubscribe":
            self._wishes.pop(stream, None)
            return {"stream": stream}, []
        if target != "Subscribe":
            raise FrameError(f"there is no method {target[:80]!r}: there are Subscribe and Unsubscribe")
        if not isinstance(options, dict):
            raise FrameError("the second argument is an object with site_id, device_id or since")
        self._wishes[stream] = Wish(stream, options.get("site_id"), options.get("device_id"))
        sequence, since = self._news.newest(stream), options.get("since")
        if not isinstance(since, int) or isinstance(since, bool):
            return {"stream": stream, "sequence": sequence, "missed": False}, []
        items, is_missing = self._news.since(stream, since)
        return {"stream": stream, "sequence": sequence, "missed": is_missing}, list(items)

    def _on_item(self, item: Item) -> None:
        wish = self._wishes.get(item.stream)
        if wish is not None and wish.fits(item, self.caller.sites):
            self._send(invocation(item.stream, item.sequence, item.body))

    def _send(self, text: str) -> None:
        if self.is_closed:
            return
        try:
            self.outgoing.put_nowait(text)
        except asyncio.QueueFull:
            # who does not read does not hold up the others; he comes again with the number that he has
            self.close()
