"""Direct methods that wait: for a device that connects, and for its subscription, which comes after that."""

import asyncio
import time
from pathlib import Path

import pytest

from hub.hub_errors import HubCode, HubError
from hub.methods import MethodCall, MethodResult
from tests.support.small_hub import Client, SmallHub, until
from wire import hub_topics, mqtt_packets


def call(connect_within_s: int) -> MethodCall:
    return MethodCall("d", "", "reboot", b"{}", connect_within_s, 60)


async def asked(client: Client) -> str:
    """The id of the method that the device is asked."""
    await until(lambda: any(each[0] >> 4 == 3 for each in client.link.sent))
    (packet,) = (each for each in client.link.sent if each[0] >> 4 == 3)
    return packet.decode().partition("$rid=")[2].removesuffix("{}")


def test_a_method_waits_for_the_subscription(tmp_path: Path) -> None:
    """A device that has connected and not yet subscribed is waited for, here and for another process that asks."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        device = hub.add("d")
        for invoke in (hub.table.invoke, hub.table._invoke_here):
            answer = asyncio.create_task(invoke(call(120)))
            await asyncio.sleep(0)
            client = hub.connect(device)
            await client.answered()
            await until(lambda: hub.table.is_connected("d"))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not answer.done()
            client.session.data_received(mqtt_packets.subscribe(1, [(f"{hub_topics.METHODS}#", 0)]))
            topic = f"{hub_topics.METHOD_ANSWERS}207/?$rid={await asked(client)}"
            client.session.data_received(mqtt_packets.publish(topic, b"[]"))
            assert await asyncio.wait_for(answer, 60) == MethodResult(207, b"[]")
            client.session.cut("done")
        hub.close()

    asyncio.run(scenario())


def test_what_has_no_time_to_connect_is_told_at_once(tmp_path: Path) -> None:
    """That the device takes no methods, or that its time to do so was over."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        client = hub.connect(hub.add("d"))
        await client.answered()
        for connect_within_s in (0, 1):
            began = time.monotonic()
            with pytest.raises(HubError, match="takes no direct methods") as refused:
                await hub.table.invoke(call(connect_within_s))
            assert refused.value.code is HubCode.DeviceNotOnline
            assert time.monotonic() - began >= connect_within_s
        hub.close()

    asyncio.run(scenario())
