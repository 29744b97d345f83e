"""A hub for tests: a real one in a thread of this process, on a loopback address of its own.

The device SDKs' ports are fixed, so every hub here has port 8883 of another address of 127.0.0.0/8.
"""

import asyncio
import os
import random
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from confluent_kafka import Consumer, TopicPartition
from starlette.applications import Starlette

from hub.hub_process import HubOptions, run_hub
from hub.registry.cloud_queue import CloudMessage
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.registry.tenants import DEFAULT_TENANT
from hub.sessions.hub_parts import HubParts
from runtime.settings import Settings
from wire import sas
from wire.certificates import Authority, Issued

PORT = 8883
Heard = TypeVar("Heard")
Done = TypeVar("Done")


def into(queue: asyncio.Queue[Heard]) -> Callable[[Heard], None]:
    """A handler for the device SDK that puts what it hears into a queue of the running loop.

    The SDK calls it in a thread of its own, in which `put_nowait` would wake nobody: who waits would go on only when
    something else wakes the loop, at the end of his patience.
    """
    loop = asyncio.get_running_loop()

    def put(heard: Heard) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, heard)

    return put


def own_address() -> str:
    """An address of this machine that hardly anybody else uses."""
    # not from the seeded generator: two test processes must not choose the same
    number = random.SystemRandom()
    return f"127.{number.randint(16, 250)}.{number.randint(1, 250)}.{number.randint(2, 250)}"


@dataclass
class TestHub:
    """A running hub: its parts, and what a test does to it."""

    __test__ = False

    settings: Settings
    address: str
    parts: HubParts
    loop: asyncio.AbstractEventLoop
    registry: Registry = field(init=False)

    def __post_init__(self) -> None:
        self.registry = self.parts.registry

    @property
    def root(self) -> Path:
        """What clients trust."""
        return self.settings.hub_folder / "pki" / "root.pem"

    def add_device(self, device_id: str, **facts: Any) -> Identity:
        """A device in the registry."""
        identity = Identity(device_id, facts.pop("tenant", DEFAULT_TENANT), **facts)
        return self.registry.write(lambda tx: create(tx, identity)).result(120)

    def connection_string(self, device: Identity) -> str:
        """What the SDK is given."""
        module = f";ModuleId={device.module_id}" if device.module_id else ""
        return f"HostName={self.address};DeviceId={device.device_id}{module};SharedAccessKey={device.primary_key}"

    def token(self, device: Identity, expiry: int = 4_000_000_000) -> str:
        """A token of the device."""
        return sas.sign(device.primary_key or "", f"{self.address}/devices/{device.device_id}", expiry)

    def run(self, work: Coroutine[Any, Any, Done]) -> Done:
        """Run a coroutine on the hub's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)


@contextmanager
def running_hub(home: Path, bootstrap: str, address: str = "", **options: Any) -> Iterator[TestHub]:
    """A hub that serves until the block ends."""
    settings = Settings(home=home, lake_uri=str(home / "lake"), kafka_bootstrap=bootstrap)
    settings.hub_folder.mkdir(parents=True, exist_ok=True)
    address = address or own_address()
    ports = options.pop("ports", (PORT,))
    make_app = options.pop("make_app", lambda _: Starlette())
    chosen = HubOptions(ports, bootstrap, (address, "localhost"), address, **options)
    ready, ended = threading.Event(), threading.Event()
    found: list[Any] = []

    async def serve() -> None:
        stop = asyncio.Event()

        def tell(parts: HubParts) -> None:
            found.extend([parts, asyncio.get_running_loop(), stop])
            ready.set()

        await run_hub(settings, chosen, make_app, tell, stop.wait())

    def run() -> None:
        try:
            uvloop.run(serve())
        except BaseException as error:
            found[:] = [error]
            raise
        finally:
            ended.set()
            ready.set()

    thread = threading.Thread(target=run, name="test-hub")
    thread.start()
    assert ready.wait(120)
    if isinstance(found[0], BaseException):
        raise found[0]
    parts, loop, stop = found
    try:
        yield TestHub(settings, address, parts, loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        assert ended.wait(120)
        thread.join()


def cloud_message(device_id: str, body: bytes, **facts: Any) -> CloudMessage:
    """A message from the cloud to a device, as it is queued."""
    given = {"properties": {}, "system": {}, "ack": "none", "expires_at": 0, **facts}
    return CloudMessage(0, device_id, body, enqueued_at=0, delivery_count=0, lock_token=None, **given)


def self_signed(name: str, now: datetime) -> Issued:
    """A certificate that nobody vouches for."""
    own = Authority.root(name, now)
    return Issued(own.pem, own.key_pem)


@dataclass(frozen=True)
class Record:
    """A record of Kafka."""

    topic: str
    key: str | None
    headers: dict[str, str]
    value: bytes


def records(bootstrap: str, key: str, topics: Sequence[str] = ("telemetry",)) -> list[Record]:
    """Every record with this key that is in Kafka now, in order."""
    return [record for record in every_record(bootstrap, topics) if record.key == key]


def every_record(bootstrap: str, topics: Sequence[str] = ("telemetry", "lifecycle")) -> list[Record]:
    """Every record that is in Kafka now, partition by partition in order."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"test-{os.getpid()}", "log_level": 0})
    found: list[Record] = []
    try:
        metadata = consumer.list_topics(timeout=60).topics
        for topic in topics:
            places = [TopicPartition(topic, p) for p in metadata[topic].partitions]
            ends = {p.partition: consumer.get_watermark_offsets(p, timeout=60) for p in places}
            todo = {p: end for p, (start, end) in ends.items() if end > start}
            consumer.assign([TopicPartition(topic, p, ends[p][0]) for p in todo])
            while todo:
                for message in consumer.consume(1000, timeout=1):
                    assert message.error() is None
                    found.append(_record(message))
                positions = consumer.position([TopicPartition(topic, p) for p in todo])
                todo = {p.partition: todo[p.partition] for p in positions if p.offset < todo[p.partition]}
    finally:
        consumer.close()
    return found


def _record(message: Any) -> Record:
    key = message.key()
    headers = {name: value.decode("utf-8", "replace") for name, value in message.headers() or []}
    return Record(message.topic(), None if key is None else key.decode("utf-8", "replace"), headers, message.value())
