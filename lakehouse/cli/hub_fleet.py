"""A simulated fleet and the hub that it sends through.

Belongs here: finding or starting the hub, and giving the fleet its identities. Sending is `device_sim.hub_producer`.

The simulation tells the lifecycle of its devices itself, with the times that it simulates; so their identities are put
into the registry without the events that would tell it a second time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.settings import Settings

if TYPE_CHECKING:
    from device_sim.hub_producer import HubProducer
    from device_sim.mqtt_fleet import HubAddress

_READY_S = 60.0


def running_hub_address(settings: Settings) -> "HubAddress":
    """The hub of this home. Raises PlatformError when it does not run."""
    from device_sim.mqtt_fleet import HubAddress
    from hub.administration import HUB
    from hub.links.key_material import key_material
    from runtime import processes
    from runtime.errors import PlatformError

    record = processes.find(settings, HUB)
    if record is None:
        raise PlatformError("No hub runs for this home: start it with `lakehouse up --hub`.")
    host, port = record.address.rsplit(":", 1)
    return HubAddress(host, int(port), key_material(settings).root)


@contextmanager
def started_hub(settings: Settings) -> Iterator["HubAddress"]:
    """The hub that runs, or one that is started for the block on a port that is free."""
    from hub import programs
    from hub.administration import HUB
    from runtime import processes
    from runtime.ports import accepts, free_port

    def start() -> processes.ProcessRecord:
        (hub,) = programs.PROGRAMS
        record = hub.start(settings, {"hub_port": free_port()})
        processes.wait_until_ready(settings, record, lambda: accepts(record.address), _READY_S)
        return record

    with processes.running(settings, HUB, start):
        yield running_hub_address(settings)


def registered_keys(settings: Settings, device_ids: Sequence[str]) -> dict[str, str]:
    """The key of each device; those that the registry does not have are put into it without telling the lake."""
    from sqlalchemy import delete

    from hub.registry.database import Tx
    from hub.registry.hub_registry import Registry
    from hub.registry.identities import Identity, create, find
    from hub.registry.registry_tables import OUTBOX
    from hub.registry.tenants import DEFAULT_TENANT

    def one(tx: Tx, device_id: str) -> str:
        identity = find(tx, device_id)
        if identity is None:
            identity = create(tx, Identity(device_id, DEFAULT_TENANT))
            tx.connection.execute(delete(OUTBOX).where(OUTBOX.c.device_id == device_id))
        return identity.primary_key or ""

    settings.hub_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    registry = Registry(settings.hub_database_url)
    try:
        asked = {name: registry.write(lambda tx, name=name: one(tx, name)) for name in device_ids}  # type: ignore[misc]
        return {name: found.result() for name, found in asked.items()}
    finally:
        registry.close()


def hub_producer(settings: Settings, address: "HubAddress") -> "Callable[[str, Sequence[str]], HubProducer]":
    """Makes a producer for a broker and a fleet's device ids."""
    from device_sim.hub_producer import HubProducer

    return lambda bootstrap, device_ids: HubProducer(bootstrap, address, registered_keys(settings, device_ids))
