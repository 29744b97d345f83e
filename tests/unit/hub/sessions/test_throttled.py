"""A profile's limits, as a client of MQTT hears of them."""

import asyncio
from dataclasses import replace
from pathlib import Path

from hub.access.quotas import Quotas
from tests.support.small_hub import SmallHub, until
from wire import mqtt, mqtt_packets


def test_twin_requests_beyond_the_profile_are_429(tmp_path: Path) -> None:
    """In profile s1 two seconds' 200 reads are answered, the next is told to come later; the connection stays."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        hub.parts = replace(hub.parts, quotas=Quotas("s1", lambda: 0.0))
        client = hub.connect(hub.add("d"))
        assert await client.answered() == mqtt_packets.connack(mqtt.ACCEPTED)
        client.session.data_received(
            b"".join(mqtt_packets.publish(f"$iothub/twin/GET/?$rid={n}", b" ", 0) for n in range(201))
        )
        await until(lambda: len(client.link.sent) == 201)
        assert sum(b"twin/res/200/" in each for each in client.link.sent) == 200
        assert b"$iothub/twin/res/429/?$rid=200" in client.link.sent[-1]
        assert not client.link.is_closed
        hub.close()

    asyncio.run(scenario())


def test_connects_beyond_the_profile_are_told_to_come_later(tmp_path: Path) -> None:
    """CONNACK 3, which a client tries again after, and not 5, which it takes for wrong credentials; it is counted."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        hub.parts = replace(hub.parts, quotas=Quotas("s1", lambda: 0.0))
        device = hub.add("d")
        while hub.parts.quotas.take("connects", "default"):
            pass
        before = hub.parts.quotas.throttled_count
        client = hub.connect(device)
        assert await client.answered() == mqtt_packets.connack(mqtt.UNAVAILABLE)
        assert client.link.is_closed
        assert hub.parts.quotas.throttled_count == before + 1
        hub.close()

    asyncio.run(scenario())
