"""The hub under load: CPU a message over TLS with Kafka's ack before the device's, latency, memory, reconnects.

Belongs here: a fleet of real connections in this process against a hub in another one, whose CPU and memory are taken.
Seconds of `hub-messages` and `hub-one` are the hub's CPU, since the fleet has its share of the same cores.
"""

import asyncio
import json
import os
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

from bench.harness import DifferenceError, Result, Times
from bench.hub_methods import Service, method_times, service_token
from device_sim.mqtt_fleet import FleetConnection, HubAddress, connect, hello
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.registry.tenants import DEFAULT_TENANT
from ingestion.landing_topics import ensure_topics
from runtime.errors import PlatformError
from runtime.kafka.broker import running_broker
from runtime.ports import free_port, is_port_open
from runtime.settings import Settings
from wire import hub_topics as topics
from wire import mqtt, mqtt_packets

_PAYLOAD = b'{"temperature":21.52,"humidity":40.31,"pressure":1013.25,"battery":3.71,"rssi":-67,"seq":0000001}'
_START_S = 30
_EXPIRY = 4_000_000_000
_CONNECTING_AT_ONCE = 100


@dataclass(frozen=True)
class Size:
    """How much of each is done."""

    messages: int
    singles: int
    connections: int
    reconnects: int
    steady_s: int
    twins: int
    methods: int


_FULL = Size(200_000, 100_000, 5_000, 5_000, 20, 20_000, 2_000)
_QUICK = Size(40_000, 20_000, 500, 500, 5, 2_000, 200)


@dataclass
class Fleet:
    """The devices, the hub's process, and where it is."""

    address: HubAddress
    context: ssl.SSLContext
    process: psutil.Process
    packets: list[bytes]
    token: str
    """By which the service side asks."""

    def cpu_s(self) -> float:
        """What the hub has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        """What it holds."""
        return float(self.process.memory_info().rss) / 2**20

    async def connect(self, numbers: Sequence[int], acknowledged: Callable[[int], None]) -> list[FleetConnection]:
        """Connect some devices, no more than a hundred at a time."""
        turn = asyncio.Semaphore(_CONNECTING_AT_ONCE)

        async def one(number: int) -> FleetConnection:
            async with turn:
                return await connect(self.address, self.context, self.packets[number], acknowledged)

        return await asyncio.gather(*map(one, numbers))


def run(folder: Path, is_quick: bool) -> list[Result]:
    """200,000 messages and 5,000 connections; quick a fifth and a tenth."""
    size = _QUICK if is_quick else _FULL
    settings = Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake"))
    with running_broker(settings) as bootstrap:
        ensure_topics(bootstrap)
        with _fleet(settings, bootstrap, max(1000, size.connections)) as fleet:
            return uvloop.run(_measure(fleet, size))


async def _measure(fleet: Fleet, size: Size) -> list[Result]:
    idle = await _idle(fleet, size.connections)
    storm = await _seconds(lambda: _reconnect(fleet, size.reconnects))
    methods = await _methods(fleet, size.methods)
    many = await _stream(fleet, 100, size.messages, 20)
    one = await _stream(fleet, 1000, size.singles, 1)
    latencies = await _steady(fleet, 100, 5000, size.steady_s)
    twins = await _seconds(lambda: _report(fleet, 50, size.twins))

    def alone(name: str, what: str, amount: float, unit: str, seconds: Sequence[float], goal: str) -> Result:
        return Result(name, what, amount, unit, (Times("lakehouse", tuple(seconds)),), goal, is_alone=True)

    goal = f"32 KB each: {idle[1]:.1f} KB; 20,000 within 600 MB"
    return [
        alone("hub-idle", "connections to the hub over TLS", size.connections, "connections", [idle[0]], goal),
        alone("hub-storm", "devices that reconnect", size.reconnects, "devices", [storm], "5,000 in 10 s"),
        alone(
            "hub-messages", "CPU of messages, 20 in flight", size.messages, "messages", [many], "40,000 a CPU-second"
        ),
        alone("hub-one", "CPU of messages, 1 in flight", size.singles, "messages", [one], "15,000 a CPU-second"),
        alone("hub-puback", "acknowledgement at 5,000/s", 1, "messages", latencies, "p99 50 ms"),
        alone("hub-method", "a direct method, the hub else idle", 1, "methods", methods, "p99 20 ms"),
        alone("hub-twins", "reported properties, durable", size.twins, "reports", [twins], "2,000 a second"),
    ]


async def _idle(fleet: Fleet, count: int) -> tuple[float, float]:
    """Seconds to connect so many, and KB that each of them takes of the hub."""
    before, began = fleet.memory_mb(), time.perf_counter()
    connections = await fleet.connect(range(count), lambda _: None)
    seconds = time.perf_counter() - began
    each_kb = (fleet.memory_mb() - before) * 1024 / count
    for connection in connections:
        connection.close()
    await asyncio.sleep(1)  # so that the next part does not pay for the ends of this one
    return seconds, each_kb


async def _reconnect(fleet: Fleet, count: int) -> None:
    for connection in await fleet.connect(range(count), lambda _: None):
        connection.close()


async def _stream(fleet: Fleet, devices: int, count: int, in_flight: int) -> float:
    """Send `count` messages, each device so many at a time, until all are acknowledged; the hub's CPU meanwhile."""
    left, done = count, asyncio.Event()
    unacknowledged = 0
    made: list[FleetConnection] = []
    topic_of = [topics.events_of(_name(number)) for number in range(devices)]

    def send(number: int) -> None:
        nonlocal left, unacknowledged
        left -= 1
        unacknowledged += 1
        made[number].publish(topic_of[number], _PAYLOAD)

    def acknowledged(number: int) -> None:
        nonlocal unacknowledged
        unacknowledged -= 1
        if left:
            send(number)
        elif not unacknowledged:
            done.set()

    for number in range(devices):
        made += await fleet.connect([number], lambda _, number=number: acknowledged(number))  # type: ignore[misc]
    before = fleet.cpu_s()
    for number in range(devices):
        for _ in range(min(in_flight, count // devices)):
            send(number)
    await asyncio.wait_for(done.wait(), 300)
    used_s = fleet.cpu_s() - before
    for connection in made:
        connection.close()
    return used_s


async def _steady(fleet: Fleet, devices: int, rate: int, seconds: int) -> list[float]:
    """How long each acknowledgement took at a steady rate."""
    latencies: list[float] = []
    sent: list[dict[int, float]] = [{} for _ in range(devices)]

    def acknowledged(number: int, packet_id: int) -> None:
        latencies.append(time.perf_counter() - sent[number].pop(packet_id))

    made: list[FleetConnection] = []
    for number in range(devices):
        made += await fleet.connect([number], lambda pid, number=number: acknowledged(number, pid))  # type: ignore[misc]
    began, step = time.perf_counter(), devices / rate
    for turn in range(int(seconds * rate / devices)):
        await asyncio.sleep(max(0.0, began + turn * step - time.perf_counter()))
        for number, connection in enumerate(made):
            sent[number][connection.publish(topics.events_of(_name(number)), _PAYLOAD)] = time.perf_counter()
    deadline = time.perf_counter() + 30
    while any(sent) and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
    if any(sent):
        raise DifferenceError("messages were not acknowledged within 30 s")
    for connection in made:
        connection.close()
    return latencies


async def _report(fleet: Fleet, devices: int, count: int) -> None:
    """Report properties, each device one at a time, until every report is answered."""
    left, answered, done = count, 0, asyncio.Event()
    made = await fleet.connect(range(devices), lambda _: None)

    def report(connection: FleetConnection) -> None:
        nonlocal left
        if left:
            left -= 1
            body = json.dumps({"n": left}).encode()
            connection.write(mqtt_packets.publish(f"{topics.TWIN_REPORT}?$rid={left}", body))

    def heard(connection: FleetConnection, message: mqtt.Publish) -> None:
        nonlocal answered
        if b"/res/204/" not in message.topic:
            raise DifferenceError(f"a report was answered by {message.topic!r}")
        answered += 1
        if answered == count:
            done.set()
        report(connection)

    for connection in made:
        connection.heard = lambda message, connection=connection: heard(connection, message)  # type: ignore[misc]
        connection.write(mqtt_packets.subscribe(1, [(f"{topics.TWIN_ANSWERS}#", 0)]))
        report(connection)
    await asyncio.wait_for(done.wait(), 300)
    for connection in made:
        connection.close()


async def _methods(fleet: Fleet, count: int) -> list[float]:
    """How long each direct method took from the service's request to its answer, one at a time."""
    (device,) = await fleet.connect([0], lambda _: None)
    seconds = await method_times(device, _name(0), count, Service(fleet.address, fleet.context, fleet.token))
    device.close()
    return seconds


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


@contextmanager
def _fleet(settings: Settings, bootstrap: str, devices: int) -> Iterator[Fleet]:
    """A hub in a process of its own, and the devices that it knows."""
    settings.hub_folder.mkdir(parents=True, exist_ok=True)
    address = HubAddress("127.0.0.1", free_port(), settings.hub_folder / "pki" / "root.pem")
    packets, token = _register(settings, address, devices)
    environment = os.environ | settings.child_environment() | {"LAKEHOUSE_KAFKA_BOOTSTRAP": bootstrap}
    command = [sys.executable, "-m", "hub", "--port", str(address.port)]
    with (settings.hub_folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            deadline = time.monotonic() + _START_S
            while not is_port_open(address.host, address.port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise PlatformError(f"The hub did not start: {(settings.hub_folder / 'log').read_text()[-500:]}")
                time.sleep(0.05)
            yield Fleet(address, address.context(), psutil.Process(process.pid), packets, token)
        finally:
            process.terminate()
            process.wait()


def _register(settings: Settings, address: HubAddress, devices: int) -> tuple[list[bytes], str]:
    """Put the devices into the registry; the CONNECT of each, and the service's token."""
    registry = Registry(settings.hub_database_url)
    try:
        made = [
            registry.write(lambda tx, n=number: create(tx, Identity(_name(n), DEFAULT_TENANT)))  # type: ignore[misc]
            for number in range(devices)
        ]
        identities = [each.result(120) for each in made]
        token = service_token(address, registry.policy_keys("iothubowner")[0].primary_key, _EXPIRY)
    finally:
        registry.close()
    keys = ((each.device_id, each.primary_key or secrets.token_hex()) for each in identities)
    return [hello(address, device_id, key, _EXPIRY) for device_id, key in keys], token


def _name(number: int) -> str:
    return f"bench-{number:05d}"
