"""A simulated fleet through the hub: what the manifest says is what Kafka has, whatever way it went."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from device_sim import hub_producer
from device_sim.faults import DEMO_FAULTS
from device_sim.hub_producer import HubProducer
from device_sim.mqtt_fleet import FleetConnection, HubAddress, connect
from device_sim.simulation import SimulationOptions, simulate
from hub.registry.outbox import pending
from lakehouse.cli.hub_fleet import registered_keys
from tests.conftest import empty_topics
from tests.support.hub_server import PORT, TestHub, every_record, running_hub
from tests.support.landing import reading

OPTIONS = SimulationOptions(datetime(2026, 11, 20, tzinfo=UTC), devices=12, hours=3.0, faults=DEMO_FAULTS)


@pytest.fixture
def hub(tmp_path: Path, broker: str) -> Iterator[TestHub]:
    """A hub on empty topics."""
    empty_topics(broker)
    with running_hub(tmp_path, broker) as running:
        yield running


def test_the_manifest_has_what_came_through_the_hub(hub: TestHub, broker: str) -> None:
    """Every message is there once, cut connections or not; what MQTT can say came through the hub, byte for byte."""
    producers: list[HubProducer] = []

    def make(bootstrap: str, device_ids: object) -> HubProducer:
        keys = registered_keys(hub.settings, list(device_ids))  # type: ignore[call-overload]
        producers.append(HubProducer(bootstrap, HubAddress(hub.address, PORT, hub.root), keys))
        return producers[0]

    cuts = iter([True, True])

    def progress(sent: int, total: int) -> None:
        if sent and next(cuts, False):
            hub.loop.call_soon_threadsafe(hub.parts.sessions.cut_all, "the test says so")

    summary = simulate(hub.settings, broker, OPTIONS, progress, make_producer=make)
    producers[0].close()
    rows = pq.read_table(summary.parquet_path, columns=["topic", "device_id", "source", "message_id"]).to_pylist()
    found = every_record(broker)
    identities = Counter((r.topic, r.key, r.headers["ce_source"], r.headers.get("ce_id")) for r in found)
    assert identities == Counter(tuple(row.values()) for row in rows)
    by_hub = [record for record in found if "hub_delivery" in record.headers]
    assert len(by_hub) == producers[0].through_hub
    assert 0.9 * summary.telemetry_count < len(by_hub) < len(rows)
    assert {record.topic for record in by_hub} == {"telemetry"}


def test_a_cut_right_after_the_hub_said_yes_is_noticed(
    hub: TestHub, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is gone before anybody is told of its end: the device connects again, and its messages come."""
    opened: list[FleetConnection] = []

    async def then_cut(*given: Any) -> FleetConnection:
        opened.append(await connect(*given))
        if len(opened) == 1:
            opened[0]._transport.abort()
            while not opened[0].is_lost:
                await asyncio.sleep(0)
        return opened[-1]

    monkeypatch.setattr(hub_producer, "connect", then_cut)
    keys = registered_keys(hub.settings, ["cut-1"])
    producer = HubProducer(broker, HubAddress(hub.address, PORT, hub.root), keys)
    producer.send(reading("cut-1", "m", datetime(2026, 11, 20, tzinfo=UTC)))
    assert producer.flush() == set()
    producer.close()
    assert (producer.through_hub, len(opened)) == (1, 2)


def test_a_fleet_is_registered_without_telling_the_lake_twice(hub: TestHub) -> None:
    """Its identities are there, and the outbox has nothing of them."""
    keys = registered_keys(hub.settings, ["quiet-1", "quiet-2"])
    assert registered_keys(hub.settings, ["quiet-2"]) == {"quiet-2": keys["quiet-2"]}
    assert len(set(keys.values())) == 2
    assert hub.registry.read(lambda tx: pending(tx, 100)) == []
