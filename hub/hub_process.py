"""The hub as a process: its parts put together, started, kept and ended.

Belongs here: what is opened in which order, the status file, and the clean end. What each part does belongs to it.
"""

import asyncio
import json
import logging
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hub.access.admission import Admission
from hub.access.quotas import Quotas
from hub.links.key_material import Contexts, key_material
from hub.listener import AsgiApp, Limits, Listener
from hub.messages.landing import Landing
from hub.messages.message_routes import read_routes
from hub.messages.repeat_window import RepeatWindows
from hub.messages.routed_topics import ensure_routed_topics
from hub.registry.hub_registry import Registry
from hub.sessions.built_in_endpoint import BuiltInEndpoint
from hub.sessions.hub_parts import Counts, HubParts
from hub.sessions.session_table import SessionTable
from runtime.errors import PlatformError
from runtime.process_ids import ProcessId
from runtime.settings import Settings
from runtime.whole_files import write_whole

_LOOK_AT_KEYS_S = 1.0
_FLUSH_S = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HubOptions:
    """How a hub process runs: `hosts` are the names in its certificate, the first the one that devices are given."""

    ports: tuple[int, ...]
    bootstrap: str
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    listen_on: str = "127.0.0.1"
    profile: str = "none"
    worker: int = 0
    is_shared: bool = False
    limits: Limits = Limits()  # noqa: RUF009


MakeApp = Callable[[HubParts], AsgiApp]


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


async def run_hub(
    settings: Settings, options: HubOptions, make_app: MakeApp, ready: Callable[[HubParts], Any] | None = None,
    stop: Awaitable[Any] | None = None, ending: Callable[[], Any] = lambda: None,
) -> None:  # fmt: skip
    """Serve until a signal to end comes, or `stop` is done; `ready` is told once connections are taken.

    `ending` is called once they are gone, in a thread, while the registry is still open.

    Raises PlatformError when a port, the registry, Kafka or the keys are not as needed.
    """
    loop = asyncio.get_running_loop()
    material = key_material(settings)
    material.ensure(list(options.hosts), utc_now())
    parts = _open_parts(settings, options, loop)
    listener = Listener(parts, Contexts(material), make_app(parts), options.limits)
    ticking: list[asyncio.Task[Any]] = []
    try:
        await listener.listen(options.listen_on, list(options.ports), is_shared=options.is_shared)
        ticking = [
            asyncio.create_task(parts.sessions.keep_time()),
            asyncio.create_task(_keep_keys(listener.contexts, settings, options)),
            asyncio.create_task(_keep_status(settings, parts, options)),
        ]
        if ready is not None:
            ready(parts)
        stopping = asyncio.ensure_future(_signalled(loop) if stop is None else stop)
        await asyncio.wait({stopping, *ticking}, return_when=asyncio.FIRST_COMPLETED)
        for task in ticking:
            if task.done():
                # a hub that no longer ticks cuts nobody off and renews nothing: better it ends and is started anew
                task.result()
    finally:
        for task in ticking:
            task.cancel()
        await listener.close()
        # what was taken is acknowledged before the connections end
        await parts.landing.close(_FLUSH_S)
        parts.sessions.cut_all("the hub ends")
        parts.windows.close()
        await asyncio.to_thread(ending)
        await asyncio.to_thread(parts.registry.close)


def _open_parts(settings: Settings, options: HubOptions, loop: asyncio.AbstractEventLoop) -> HubParts:
    routes = read_routes(settings.hub_folder / "routes.json")
    ensure_routed_topics(options.bootstrap, routes)
    registry = Registry(settings.hub_database_url)
    instance = f"hub{options.worker}-{secrets.token_hex(3)}"
    admission = Admission(registry, key_material(settings).trusted_roots(), utc_now)
    landing = Landing(options.bootstrap, loop)
    return HubParts(
        instance,
        options.hosts,
        registry,
        admission,
        landing,
        RepeatWindows(options.bootstrap),
        routes,
        Quotas(options.profile),
        SessionTable(registry, admission, landing, instance),
        BuiltInEndpoint(options.bootstrap, registry, instance),
        Counts(),
    )


async def _signalled(loop: asyncio.AbstractEventLoop) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()


async def _keep_keys(contexts: Contexts, settings: Settings, options: HubOptions) -> None:
    """Renew the server's certificate in time, and take files in that were changed."""
    material = key_material(settings)
    while True:
        await asyncio.sleep(_LOOK_AT_KEYS_S)
        if options.worker == 0:
            try:
                material.ensure(list(options.hosts), utc_now())
            except PlatformError as error:
                _log.error("%s", error)
        if contexts.refresh():
            _log.info("New connections get another server certificate")


async def _keep_status(settings: Settings, parts: HubParts, options: HubOptions) -> None:
    """Write each second how the process does, for `lakehouse status`."""
    path = settings.hub_folder / f"status-{options.worker}.json"
    before, then = parts.sessions.messages_received, time.monotonic()
    while True:
        await asyncio.sleep(1.0)
        received, now = parts.sessions.messages_received, time.monotonic()
        status = {
            "process": str(ProcessId.of()), "instance": parts.instance, "connections": parts.sessions.connection_count,
            "in_per_s": round((received - before) / (now - then), 1), "received": received,
            "landed": parts.landing.landed_count, "unacked": parts.landing.outstanding, **asdict(parts.counts),
            "throttled": parts.quotas.throttled_count,
        }  # fmt: skip
        before, then = received, now
        try:
            write_whole(path, json.dumps(status))
        except OSError as error:
            # a full disk keeps nobody from being served
            _log.warning("The status file %s could not be written: %s", path, error)


def for_worker(options: HubOptions, worker: int) -> HubOptions:
    """The same hub as one of several processes on its ports."""
    return replace(options, worker=worker, is_shared=True)
