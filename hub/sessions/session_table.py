"""The sessions of this process: who is connected, under which epoch, and what the registry has to tell them.

Belongs here: taking a client over from an older connection, calling methods, cutting off who may no longer be
connected, and the seconds' ticks. A single connection's doing belongs in `mqtt_session`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from hub.access.admission import Admission, Admitted
from hub.hub_errors import HubCode, HubError
from hub.messages.landing import Landing
from hub.methods import MethodCall, MethodResult
from hub.registry.change_feed import MISSED, Change
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity
from hub.registry.tenants import KEYS_CHANGED
from hub.sessions.beats import Beats
from hub.sessions.client_session import ClientSession, Opened, Ticked
from hub.sessions.method_forwarding import ANSWER, CALL, MethodForwarding
from hub.sessions.openings import keep_filters, open_connection
from hub.sessions.uplink import NOTHING_LEFT, Inheritance
from runtime.containment import Contained
from wire.hub_topics import METHODS

TICK_S = 1.0
_INHERITANCE_KEPT_S = 600.0
_FLUSH_WITHIN_S = 2.0
_LOOK_S = 0.2
_log = logging.getLogger(__name__)
S = TypeVar("S", bound=Ticked)


class SessionTable:
    """Every connection of this process; `hub.methods.MethodInvoker` for the service side."""

    def __init__(self, registry: Registry, admission: Admission, landing: Landing, instance: str) -> None:
        """`instance` names this process. Raises RuntimeError outside the loop that the connections live in."""
        self._registry, self._admission, self._landing, self._instance = registry, admission, landing, instance
        self._loop = asyncio.get_running_loop()
        self._all: set[Ticked] = set()
        self._of_client: dict[str, ClientSession] = {}
        self._inheritances: dict[str, tuple[float, Inheritance]] = {}
        self._arrivals: dict[str, set[asyncio.Event]] = {}
        self._beats = Beats(registry, instance, landing.low_water_ms, self._taken_for_gone)
        self._forwarding = MethodForwarding(registry, instance, self._beats.living, self._invoke_here)
        self.received_count = 0
        registry.subscribe(self._tell)

    # what sessions tell

    def arrived(self, session: Ticked) -> None:
        """A connection is there; nobody knows yet whose."""
        self._all.add(session)

    def left(self, session: Ticked) -> None:
        """A connection is gone."""
        self._all.discard(session)

    async def take_over(
        self, session: ClientSession, admitted: Admitted, model_id: str | None, is_clean: bool
    ) -> Opened:
        """Give the client to this connection; an older one of it is cut. Raises HubError when it is not registered."""
        identity, client = admitted.identity, session.client
        older = self._of_client.get(client)
        self._of_client[client] = session
        if older is not None:
            older.cut("its client has connected anew")
            await self._flushed(older)
        future = self._registry.write(lambda tx: open_connection(tx, identity, self._instance, model_id, is_clean))
        try:
            opened = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # the client went meanwhile: what was committed has to be ended
            future.add_done_callback(lambda done: self._close_unless_cancelled(identity, done))
            raise
        if self._of_client.get(client) is not session:
            raise HubError(HubCode.DeviceNotOnline, f"{client!r} has connected anew meanwhile.")
        return opened

    async def _flushed(self, session: ClientSession) -> None:
        """Wait a moment for what an older connection has on its way; the rest is inherited."""
        deadline = time.monotonic() + _FLUSH_WITHIN_S
        while session.uplink is not None and session.uplink.unacknowledged and time.monotonic() < deadline:
            await asyncio.sleep(0.005)

    def inheritance(self, client: str) -> Inheritance:
        """What the client's last connection in this process left."""
        return self._inheritances.pop(client, (0.0, NOTHING_LEFT))[1]

    def opened(self, session: ClientSession) -> None:
        """The client is connected, or takes more than before: who waits to call it looks again."""
        self._has_come(session.client)

    def ended(self, session: ClientSession, last_heard_ms: int) -> None:
        """A client's connection is gone, or never came to be one."""
        if self._of_client.get(session.client) is session:
            del self._of_client[session.client]
        if session.uplink is None or session.admitted is None:
            return
        self.received_count += session.uplink.received_count
        left = session.uplink.end()
        if left.on_the_way or left.recognised:
            self._inheritances[session.client] = (time.monotonic(), left)
        since_ms = session.uplink.repeats_since_ms(last_heard_ms)
        self._close(session.admitted.identity, session.opened.epoch, since_ms)

    def _close_unless_cancelled(self, identity: Identity, done: "Future[Opened]") -> None:
        if not done.cancelled() and done.exception() is None:
            self._close(identity, done.result().epoch, None)

    def _close(self, identity: Identity, epoch: int, since_ms: int | None) -> None:
        self._registry.disconnected(identity.device_id, identity.module_id, epoch, since_ms)

    def keep_filters(self, identity: Identity, filters: Mapping[str, int]) -> None:
        """A client that asked for it finds its subscriptions again, whichever process it comes back to."""
        kept = dict(filters)
        self._registry.write(lambda tx: keep_filters(tx, identity, kept))

    # what others ask

    def is_connected(self, client: str) -> bool:
        """True while the client has a connection here."""
        session = self._of_client.get(client)
        return session is not None and session.admitted is not None

    def _takes_methods(self, client: str) -> bool:
        """True once the client has asked for direct methods, which it may do long after CONNACK."""
        session = self._of_client.get(client)
        downlink = None if session is None or session.admitted is None else session.downlink
        return downlink is not None and downlink.takes(METHODS)

    @property
    def connection_count(self) -> int:
        """Clients that are connected."""
        return sum(session.admitted is not None for session in self._of_client.values())

    @property
    def messages_received(self) -> int:
        """Messages since the process started, repeats too."""
        return self.received_count + sum(s.uplink.received_count for s in self._of_client.values() if s.uplink)

    async def invoke(self, call: MethodCall) -> MethodResult:
        """Call a method of a client that is connected to any process, or connects in time. Raises HubError."""
        until = time.monotonic() + call.connect_within_s
        while not self._takes_methods(call.client):
            left_s = until - time.monotonic()
            holder = None if self.is_connected(call.client) else self._forwarding.holder_of(call)
            if holder is not None and self._forwarding.is_unsure(holder) and left_s > -call.answer_within_s:
                # it may have been killed before this process began: within seconds that is known
                await self._wait_for(call.client, _LOOK_S)
            elif holder is not None:
                try:
                    return await self._forwarding.ask(holder, call)
                except HubError as error:
                    # it may have left just now, before it was asked
                    if error.code is not HubCode.DeviceNotOnline or left_s <= 0:
                        raise
            elif left_s <= 0:
                break
            else:
                await self._wait_for(call.client, left_s)
        return await self._invoke_here(replace(call, connect_within_s=0))

    async def _wait_for(self, client: str, seconds: float) -> None:
        """Wait until the client may have come, here or elsewhere, or its time is over.

        What the feed tells of another process may be long past: who was told looks again.
        """
        arrival, waiting = asyncio.Event(), self._arrivals.setdefault(client, set())
        waiting.add(arrival)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(arrival.wait(), seconds)
        finally:
            waiting.discard(arrival)
            if not waiting:
                self._arrivals.pop(client, None)

    def _has_come(self, client: str) -> None:
        for arrival in self._arrivals.get(client, ()):
            arrival.set()

    async def _invoke_here(self, call: MethodCall) -> MethodResult:
        client, until = call.client, time.monotonic() + call.connect_within_s
        while not self._takes_methods(client) and (left_s := until - time.monotonic()) > 0:
            await self._wait_for(client, left_s)
        session = self._of_client.get(client)
        if session is None or session.downlink is None or session.admitted is None:
            raise HubError(HubCode.DeviceNotOnline, f"{client!r} is not connected.")
        return await session.downlink.call(call.method, call.payload, call.answer_within_s)

    def cut_all(self, reason: str) -> None:
        """Close every connection."""
        self._each(self._all, lambda session: session.cut(reason))

    async def keep_time(self) -> None:
        """Tick until cancelled. Who beats at once sees by its second beat that it was taken for gone before it."""
        self._beats.beat()
        while True:
            await asyncio.sleep(TICK_S)
            now_s, wall_s = time.monotonic(), time.time()
            self._each(self._all, lambda session: session.tick(now_s, wall_s))  # noqa: B023  called here and now
            for client in [c for c, (at, _) in self._inheritances.items() if now_s - at > _INHERITANCE_KEPT_S]:
                del self._inheritances[client]
            self._beats.beat()

    def _each(self, sessions: Iterable[S], work: Callable[[S], None]) -> None:
        """Do something to each session: an error ends the session that it comes from, and no other."""
        for session in tuple(sessions):
            try:
                work(session)
            except Exception as error:  # noqa: BLE001  as Contained, which would cost each idle connection more a tick
                _log.error("A connection failed", exc_info=error)
                with Contained(_log, "Closing a connection"):
                    session.cut("the hub failed at it")

    # what the registry tells

    def _tell(self, change: Change) -> None:
        """In the feed's thread; the loop's may be gone when the process ends. Its own connections it knows already."""
        is_own = change.kind == "connected" and change.detail["instance"] == self._instance
        if not (is_own or self._loop.is_closed()):
            self._loop.call_soon_threadsafe(self._changed, change)

    def _taken_for_gone(self) -> None:
        """In the writer's thread: what this process holds was disconnected, though it lives."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._each, self._of_client.values(), self._hold_again)

    def _hold_again(self, session: ClientSession) -> None:
        if session.admitted is not None:
            identity = session.admitted.identity
            self._registry.hold_again(identity.device_id, identity.module_id, session.opened.epoch)

    def _changed(self, change: Change) -> None:
        client = f"{change.device_id}/{change.module_id}" if change.module_id else change.device_id
        session = self._of_client.get(client)
        if change.kind == "connected" and change.detail["instance"] != self._instance:
            self._has_come(client)
        if change.kind in (CALL, ANSWER):
            self._forwarding.changed(change)
        elif change.kind == "identity":
            self._judge_again(lambda identity: identity.device_id == change.device_id)
        elif change.kind == MISSED:
            # whoever was disabled, or has connected elsewhere since, is not known: all come anew
            self.cut_all("this hub process was away for too long")
        elif change.kind == KEYS_CHANGED:
            self._judge_again(lambda identity: identity.tenant == change.detail["tenant"])
        elif session is None or session.admitted is None:
            return
        else:
            self._each([session], partial(self._tell_client, change=change))

    def _tell_client(self, session: ClientSession, change: Change) -> None:
        if session.downlink is None:
            return
        if change.kind == "connected":
            if change.detail["instance"] != self._instance and change.detail["epoch"] > session.opened.epoch:
                session.cut("its client has connected to another hub process")
        elif change.kind == "desired":
            session.downlink.desired_changed(change.detail["patch"], change.detail["version"])
        elif change.kind == "cloud_message":
            session.downlink.deliver()

    def _judge_again(self, is_meant: Callable[[Identity], bool]) -> None:
        """What lets them in was changed: cut off whose credentials hold no longer."""
        meant = [s for s in self._of_client.values() if s.admitted is not None and is_meant(s.admitted.identity)]
        self._each(meant, self._cut_unless_admitted)

    def _cut_unless_admitted(self, session: ClientSession) -> None:
        admitted, client = session.admitted, session.client
        if admitted is not None and not self._admission.still_holds(
            admitted, client, session.host, session.token, session.peer_chain()
        ):
            session.cut("its credentials hold no longer")
