"""The flow of packets over a link: one after the other, also while one is waited for.

Belongs here: reading packets, pausing and going on, the end of the link. What a packet means belongs in `mqtt_session`.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

from cryptography import x509

from hub.links.link import Link
from runtime.containment import Contained
from runtime.errors import LakehouseError, WireError
from wire import mqtt_stream

_log = logging.getLogger(__name__)
_NO_PAUSES: frozenset[str] = frozenset()


class PacketFlow:
    """A `link.Session` of MQTT packets: a subclass says what each means and what the end does.

    There are tens of thousands of them, most of them silent: what an idle one does not need is made when it does.
    """

    __slots__ = ("_heard_s", "_held", "_is_open", "_link", "_pauses", "_reader", "_waiting", "client")

    def __init__(self, link: Link, largest_packet: int, largest_first: int) -> None:
        self._link = link
        self._reader = mqtt_stream.Reader(largest_packet, largest_first)
        # packets that wait for their turn, None when none do
        self._held: deque[tuple[int, bytes]] | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._pauses = _NO_PAUSES
        self._is_open = True
        self._heard_s = time.monotonic()
        self.client = ""

    def take(self, first: int, body: bytes) -> None:
        """A packet has its turn. Raises WireError for one that ends the connection."""
        raise NotImplementedError

    def ended(self) -> None:
        """The connection is gone."""
        raise NotImplementedError

    def too_large(self) -> None:
        """A packet was larger than is taken."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._heard_s = time.monotonic()
        try:
            packets = self._reader.feed(data)
        except mqtt_stream.TooLargeError as error:
            self.too_large()
            self.cut(str(error))
            return
        except WireError as error:
            self.cut(str(error))
            return
        if self._waiting is not None or self._held:
            self._hold(packets)
            return
        for place, (first, body) in enumerate(packets):
            self._turn(first, body)
            if not self._is_open:
                return
            if self._waiting is not None:
                self._hold(packets[place + 1 :])
                return

    def _hold(self, packets: Sequence[tuple[int, bytes]]) -> None:
        if packets:
            self._held = self._held or deque()
            self._held.extend(packets)

    def connection_lost(self) -> None:
        """Nothing comes any more."""
        if not self._is_open:
            return
        self._is_open = False
        if self._waiting is not None:
            self._waiting.cancel()
        # whoever cut it, the tick for one, has other connections to look after
        with Contained(_log, f"The end of the connection of {self.client or 'a client'}"):
            self.ended()
        self._held = None

    def cut(self, reason: str) -> None:
        """Close the connection, whatever it is doing."""
        if self._is_open:
            _log.info("Closed the connection of %s: %s", self.client or "a client", reason)
            with Contained(_log, f"Closing the connection of {self.client or 'a client'}"):
                self._link.close()
            self.connection_lost()

    def write(self, data: bytes) -> None:
        """Send packets."""
        if self._is_open:
            self._link.write(data)

    def peer_chain(self) -> Sequence[x509.Certificate]:
        """The certificates that the client presented."""
        return self._link.peer_chain()

    def pause(self, why: str) -> None:
        """Read nothing for a reason."""
        if not self._pauses and self._is_open:
            self._link.pause_reading()
        self._pauses |= {why}

    def resume(self, why: str) -> None:
        """A reason to read nothing is over."""
        self._pauses = (self._pauses - {why}) or _NO_PAUSES
        if not self._pauses and self._is_open:
            self._link.resume_reading()

    def _turn(self, first: int, body: bytes) -> None:
        try:
            self.take(first, body)
        except Exception as error:  # noqa: BLE001  whatever it is ends this connection, and no other
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, LakehouseError):
            _log.error("The connection of %s failed", self.client or "a client", exc_info=error)
        self.cut(str(error))

    def wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that takes a while; packets that come meanwhile wait for it."""
        self.pause("waiting")
        self._waiting = asyncio.get_running_loop().create_task(work)
        self._waiting.add_done_callback(self._waited)

    def _waited(self, task: asyncio.Task[None]) -> None:
        # the task may itself have begun another wait, which then goes on
        if self._waiting is task:
            self._waiting = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
        while self._held and self._waiting is None and self._is_open:
            self._turn(*self._held.popleft())
        self._held = self._held or None
        if self._waiting is None:
            self.resume("waiting")
