"""The broker: connections on one side, the store on the other, and turns in which both meet.

Belongs here: when work is committed, and which receiver gets what next. What a client asks for is in
`broker_session`, what becomes of messages in `queue_messages`.

What connections ask for within one turn of the event loop is done at once and committed together; what they are told
is kept back until the commit is on disk. So nothing is acknowledged that a killed process would not know.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from typing import Any, Protocol

from runtime.containment import Contained
from serving.queues import queue_sessions
from serving.queues.queue_errors import QueueError
from serving.queues.queue_messages import Held, Receiving, receive
from serving.queues.queue_sessions import HeldSession
from serving.queues.queue_store import QueueStore
from serving.queues.queue_upkeep import is_due, keep_up

TICK_S = 0.25
_AT_ONCE = 20
_log = logging.getLogger(__name__)


class Outlet(Protocol):
    """A link on which messages of a queue go out."""

    queue: str
    held_session: HeldSession | None

    @property
    def room(self) -> int:
        """How many messages it takes now."""

    def receiving(self) -> Receiving:
        """What it receives."""

    def give(self, held: Held) -> None:
        """Send one."""

    def nothing_more(self) -> None:
        """There is none for it now."""

    def refused(self, error: QueueError) -> None:
        """Nothing can be received from there any more."""

    def session_is_lost(self) -> None:
        """Its session's lock has run out."""


class Peer(Protocol):
    """A connection, whose answers wait for the commit."""

    def flush(self) -> None:
        """Send what was kept back."""

    def fail(self, reason: str) -> None:
        """Forget what was kept back, and end."""

    def tick(self) -> None:
        """Time has passed."""

    def end(self, reason: str) -> None:
        """End, and say why."""


class Broker:
    """One process's. `key` is what clients prove themselves by."""

    def __init__(self, store: QueueStore, key: str, declared: Callable[[QueueStore, str], None]) -> None:
        self.store, self.key, self.declared = store, key, declared
        self._outlets: dict[Outlet, None] = {}
        self._eager: set[Outlet] = set()
        self._peers: set[Peer] = set()
        self._speaking: set[Peer] = set()
        self._waiting: list[Waiter] = []
        self._turn: asyncio.Handle | None = None
        self._changes = store.changes_of_others()
        with store.unit():
            queue_sessions.let_all_go(store)
        store.commit()

    def arrived(self, peer: Peer) -> None:
        """A connection is there."""
        self._peers.add(peer)

    def left(self, peer: Peer) -> None:
        """It is gone."""
        self._peers.discard(peer)
        self._speaking.discard(peer)

    def end(self) -> None:
        """All connections end; what was done is committed."""
        for peer in tuple(self._peers):
            peer.end("the queues end")
        self._guarded(lambda: None)

    def speaks(self, peer: Peer) -> None:
        """It has something to send, or something was asked of it: both end with this turn's commit."""
        self._speaking.add(peer)
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._end_turn)

    def wants(self, outlet: Outlet) -> None:
        """A link takes messages."""
        self._outlets.setdefault(outlet)
        self._eager.add(outlet)

    def forget(self, outlet: Outlet) -> None:
        """A link is over; its session goes to another."""
        self._outlets.pop(outlet, None)
        self._eager.discard(outlet)
        if outlet.held_session is not None:
            with self.store.unit():
                queue_sessions.let_go(self.store, outlet.held_session)

    def wait_for_session(self, waiter: "Waiter") -> None:
        """Hold the next session of a queue that nobody holds, as soon as there is one."""
        self._waiting.append(waiter)

    async def keep_time(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            self._guarded(self._tick)
            for peer in tuple(self._peers):
                with Contained(_log, "A connection to the queues") as contained:
                    peer.tick()
                if contained.has_failed:
                    peer.fail("the broker failed at it")

    def _tick(self) -> None:
        if is_due(self.store):
            with self.store.unit():
                keep_up(self.store)
        changes = self.store.changes_of_others()
        if changes != self._changes:
            self._changes = changes
            self._eager.update(self._outlets)
        for outlet in tuple(self._outlets):
            held = outlet.held_session
            if held is not None and not queue_sessions.is_held(self.store, held):
                outlet.session_is_lost()
        self._serve()

    def _end_turn(self) -> None:
        self._turn = None
        self._guarded(self._serve)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do it, commit, then let everybody hear; or end the connections that would hear of what is not."""
        try:
            work()
            self.store.commit()
        except Exception as error:  # noqa: BLE001  whatever it is, nobody may hear of what is not on disk
            if not isinstance(error, sqlite3.Error):
                _log.error("A turn of the broker failed", exc_info=error)
            self.store.roll_back()
            for peer in tuple(self._speaking):
                peer.fail(f"the queues could not be written: {error}")
        speaking, self._speaking = self._speaking, set()
        for peer in speaking:
            peer.flush()

    def _serve(self) -> None:
        self._serve_waiting()
        touched, self.store.touched = self.store.touched, set()
        eager, self._eager = self._eager, set()
        # in the order in which they came to stand in line: who was given something stands behind the others
        for outlet in [each for each in self._outlets if each in eager or each.queue in touched]:
            self._give(outlet)

    def _give(self, outlet: Outlet) -> None:
        while outlet.room > 0:
            try:
                with self.store.unit():
                    found = receive(self.store, outlet.receiving(), min(outlet.room, _AT_ONCE))
            except QueueError as error:
                # deleted meanwhile, for one: its receivers are told, and nobody else
                outlet.refused(error)
                return
            for held in found:
                outlet.give(held)
            if not found:
                break
            if outlet in self._outlets:
                del self._outlets[outlet]
                self._outlets[outlet] = None
        outlet.nothing_more()

    def _serve_waiting(self) -> None:
        now = self.store.now()
        for waiter in tuple(self._waiting):
            try:
                with self.store.unit():
                    held = queue_sessions.hold_next(self.store, waiter.queue) if waiter.is_there() else None
            except QueueError as error:
                _log.info("Nobody can wait for a session of %s any more: %s", waiter.queue, error)
                waiter.until_ms, held = now, None
            if held is not None or now >= waiter.until_ms or not waiter.is_there():
                self._waiting.remove(waiter)
                waiter.ready(held)


class Waiter:
    """Someone who waits for a session until then; `ready` is told which, or that there is none."""

    def __init__(
        self, queue: str, until_ms: int, ready: Callable[[HeldSession | None], Any], is_there: Callable[[], bool]
    ) -> None:
        self.queue, self.until_ms, self.ready, self.is_there = queue, until_ms, ready, is_there
