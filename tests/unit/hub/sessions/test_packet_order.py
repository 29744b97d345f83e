"""Packets of one connection: acknowledged in the order that they came in, and large only of who is known."""

import asyncio
from pathlib import Path

from hub.mqtt.mqtt_session import _LARGEST_CONNECT, MqttSession
from tests.support.small_hub import NotedLink, SmallHub, until
from wire import mqtt_packets
from wire.mqtt_packets import puback


def test_a_twin_request_is_acknowledged_behind_the_message_before_it(tmp_path: Path) -> None:
    """Its answer comes at once; its PUBACK when Kafka has the message [MQTT-4.6.0-2]."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        client = hub.connect(hub.add("d"))
        await client.answered()
        client.session.data_received(
            mqtt_packets.publish("devices/d/messages/events/", b"x", 1)
            + mqtt_packets.publish("$iothub/twin/GET/?$rid=7", b"", 2)
        )
        await until(lambda: client.link.sent)
        (answer,) = client.link.sent
        assert b"$iothub/twin/res/200/?$rid=7" in answer
        ((waiter, token, *_),) = hub.landing.given
        waiter.landed(token, None)
        waiter.settle()
        assert client.link.sent[1:] == [puback(1) + puback(2)]
        hub.close()

    asyncio.run(scenario())


def test_who_is_not_known_yet_sends_no_large_packet(tmp_path: Path) -> None:
    """Its length alone ends the connection; one of that length that has connected is read."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        device = hub.add("d")
        large = mqtt_packets.publish("devices/d/messages/events/", bytes(_LARGEST_CONNECT + 1), 1)
        client = hub.connect(device)
        await client.answered()
        client.session.data_received(large)
        await until(lambda: hub.landing.given)
        link = NotedLink()
        MqttSession(hub.parts, link).data_received(b"\x10\xff\xff\x07")
        assert link.is_closed
        hub.close()

    asyncio.run(scenario())
