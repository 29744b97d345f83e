"""A hub without sockets and without Kafka: a real registry and real sessions at links that note what is sent."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, cast

from cryptography import x509

from hub.access.admission import Admission
from hub.access.quotas import Quotas
from hub.messages.device_messages import ReceptionClock
from hub.messages.landing import Landing
from hub.messages.message_routes import MessageRoutes
from hub.messages.repeat_window import RepeatWindows
from hub.mqtt.mqtt_session import MqttSession
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.sessions.built_in_endpoint import BuiltInEndpoint
from hub.sessions.hub_parts import Counts, HubParts
from hub.sessions.session_table import SessionTable
from wire import mqtt_packets, sas
from wire.mqtt import Connect, Will

WITHIN_S = 30.0
P = ParamSpec("P")


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that pytest can run."""

    @wraps(test)
    def run(*given: P.args, **named: P.kwargs) -> None:
        asyncio.run(test(*given, **named))

    return run


class NotedLanding:
    """In Kafka's place: what was `given`, as (waiter, token, topic, …)."""

    def __init__(self) -> None:
        self.given: list[tuple[Any, ...]] = []
        self.clock = ReceptionClock()

    def give(self, *what: Any) -> None:
        """Note it."""
        self.given.append(what)

    def forget(self, _waiter: object) -> None:
        """Nothing is known of waiters here."""

    def low_water_ms(self) -> int:
        """Everything is on its way."""
        return 0


class NotedLink:
    """In a socket's place."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Note it."""
        self.sent.append(data)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True

    abort = close

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""

    def peer_chain(self) -> Sequence[x509.Certificate]:
        """The client has no certificate."""
        return []


class SmallHub:
    """Made on a loop. `close` it. Two in one folder, each with its `instance`, are two processes of one hub."""

    def __init__(self, folder: Path, instance: str = "h") -> None:
        self.registry = Registry(f"sqlite:///{folder / 'registry.db'}")
        self.landing = NotedLanding()
        landing = cast(Landing, self.landing)
        admission = Admission(self.registry, [], lambda: datetime.now(UTC))
        self.table = SessionTable(self.registry, admission, landing, instance)
        self.parts = HubParts(
            instance, ("localhost",), self.registry, admission, landing, cast(RepeatWindows, None), MessageRoutes(),
            Quotas(), self.table, cast(BuiltInEndpoint, None), Counts(),
        )  # fmt: skip

    def close(self) -> None:
        """End the registry's threads."""
        self.registry.close()

    def add(self, device_id: str, tenant: str = "default", module_id: str = "") -> Identity:
        """Register a device or module."""
        return self.registry.write(lambda tx: create(tx, Identity(device_id, tenant, module_id))).result(WITHIN_S)

    def connect(
        self, identity: Identity, will: Will | None = None, keep_alive_s: int = 0, is_clean: bool = True
    ) -> "Client":
        """Have it connect by its own key."""
        name = "/".join(filter(None, (identity.device_id, identity.module_id)))
        path = f"localhost/devices/{identity.device_id}" + (
            f"/modules/{identity.module_id}" if identity.module_id else ""
        )
        token = sas.sign(identity.primary_key or "", path, int(time.time()) + 3600)
        username = f"localhost/{name}/?api-version=2021-04-12"
        return Client(self, Connect(name, keep_alive_s, is_clean, username, token.encode(), will))


class Client:
    """A client at its `link`."""

    def __init__(self, hub: SmallHub, packet: Connect) -> None:
        self.link = NotedLink()
        self.session = MqttSession(hub.parts, self.link)
        self.session.data_received(mqtt_packets.connect(packet))

    async def answered(self) -> bytes:
        """The last packet that was sent to it, once there is one; it is forgotten then."""
        await until(lambda: bool(self.link.sent))
        return self.link.sent.pop()


async def until(holds: Callable[[], object]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, "It did not come to be."
        await asyncio.sleep(0.01)
