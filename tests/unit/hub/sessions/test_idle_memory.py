"""What an idle connection takes of the hub's memory, TLS aside: there are tens of thousands of them."""

import asyncio
import gc
import tracemalloc
from pathlib import Path

from tests.support.small_hub import Client, SmallHub
from wire import mqtt_packets
from wire.mqtt import ACCEPTED

_CONNECTIONS = 100
_MOST_BYTES = 3500
_OURS = [tracemalloc.Filter(True, f"*/{room}/*") for room in ("hub", "wire", "sqlalchemy")]


def test_an_idle_connection_is_small(tmp_path: Path) -> None:
    """Its session, its ways up and down, its identity and its place in the table: 70 MB of 20,000 connections."""

    async def connected(hub: SmallHub, number: int) -> Client:
        client = hub.connect(hub.add(f"idle-{number}"))
        assert await client.answered() == mqtt_packets.connack(ACCEPTED)
        return client

    async def scenario() -> float:
        hub = SmallHub(tmp_path)
        try:
            clients = [await connected(hub, 0)]  # which has made what all share
            gc.collect()
            tracemalloc.start()
            clients += [await connected(hub, number) for number in range(1, 1 + _CONNECTIONS)]
            gc.collect()
            taken = tracemalloc.take_snapshot().filter_traces(_OURS).statistics("filename")
            assert hub.table.connection_count == len(clients)
            return sum(each.size for each in taken) / _CONNECTIONS
        finally:
            tracemalloc.stop()
            hub.close()

    assert asyncio.run(scenario()) < _MOST_BYTES
