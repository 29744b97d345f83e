"""Certificates and keys that change under live connections: nobody is dropped and nobody is refused."""

import asyncio
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from device_sim.mqtt_fleet import FleetConnection, HubAddress, connect, hello
from hub.administration import rotate_key
from hub.links.key_material import key_material
from hub.registry.identities import Identity, create
from hub.registry.tenants import DEFAULT_TENANT
from tests.conftest import empty_topics
from tests.support.hub_server import PORT, TestHub, running_hub

DEVICES = 1000
_AT_ONCE = 50
_EXPIRY = 4_000_000_000


class Fleet:
    """Connections of many devices; `lost` names those that ended though nobody of ours wanted it."""

    def __init__(self, hub: TestHub) -> None:
        self.address = HubAddress(hub.address, PORT, hub.root)
        self.context = self.address.context()
        self.connections: dict[str, FleetConnection] = {}
        self.lost: list[str] = []
        self._missing = 0
        self._all = asyncio.Event()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def connect(self, device_id: str, key: str) -> None:
        """Connect, in place of the connection that the device has."""
        old = self.connections.get(device_id)
        if old is not None:
            old.lost = lambda: None
        async with self._gate:
            packet = hello(self.address, device_id, key, _EXPIRY)
            made = await connect(self.address, self.context, packet, self._acknowledged)
        made.lost = lambda: self.lost.append(device_id)
        self.connections[device_id] = made

    async def send(self) -> None:
        """A message of each device, and every acknowledgement."""
        self._missing = len(self.connections)
        self._all.clear()
        for device_id, connection in self.connections.items():
            connection.publish(f"devices/{device_id}/messages/events/", b"{}")
        await asyncio.wait_for(self._all.wait(), 60)

    def _acknowledged(self, _packet_id: int) -> None:
        self._missing -= 1
        if not self._missing:
            self._all.set()

    def close(self) -> None:
        """End all of it."""
        for connection in self.connections.values():
            connection.lost = lambda: None
            connection.close()


def test_a_thousand_live_devices_notice_no_rotation(tmp_path: Path, broker: str) -> None:
    """The server's certificate, then each device's secondary and primary key: none is dropped, none refused."""
    empty_topics(broker)
    with running_hub(tmp_path, broker) as hub:
        names = [f"rotated-{n}" for n in range(DEVICES)]
        futures = [
            hub.registry.write(lambda tx, name=name: create(tx, Identity(name, DEFAULT_TENANT))) for name in names
        ]
        asyncio.run(_rotate(hub, [each.result(60) for each in futures]))
        assert hub.parts.counts.refused == hub.parts.counts.turned_away == 0


async def _rotate(hub: TestHub, devices: Sequence[Identity]) -> None:
    fleet = Fleet(hub)
    await asyncio.gather(*(fleet.connect(each.device_id, each.primary_key or "") for each in devices))
    await fleet.send()
    await _renew_certificate(hub, fleet)
    await fleet.send()
    renewed = await asyncio.to_thread(_new_keys, hub, devices, "secondary")
    await fleet.send()
    # each device goes over to the key that is new, on a connection by the certificate that is new
    await asyncio.gather(*(fleet.connect(each.device_id, each.secondary_key or "") for each in renewed))
    await asyncio.to_thread(_new_keys, hub, devices, "primary")
    await fleet.send()
    # what a change of keys does, it does within a second
    await asyncio.sleep(1.0)
    await fleet.send()
    assert fleet.lost == []
    assert hub.parts.sessions.connection_count == len(devices)
    fleet.close()


async def _renew_certificate(hub: TestHub, fleet: Fleet) -> None:
    """A new certificate, and the wait until connections get it."""
    before = await _serial(fleet)
    key_material(hub.settings).renew([hub.address, "localhost"], datetime.now(UTC))
    async with asyncio.timeout(20):
        while await _serial(fleet) == before:
            await asyncio.sleep(0.1)


async def _serial(fleet: Fleet) -> str:
    _, writer = await asyncio.open_connection(fleet.address.host, PORT, ssl=fleet.context)
    found: ssl.SSLObject = writer.get_extra_info("ssl_object")
    serial = str((found.getpeercert() or {})["serialNumber"])
    writer.close()
    return serial


def _new_keys(hub: TestHub, devices: Sequence[Identity], which: str) -> list[Identity]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda each: rotate_key(hub.registry, DEFAULT_TENANT, each.device_id, which), devices))
