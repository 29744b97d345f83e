"""What MQTT 3.1.1 demands of a server, at a hub's session: packets in, and what is answered or that it closes.

The numbers in brackets are the standard's normative statements; what an IoT hub does not have is left out: QoS 2,
retained messages, and subscriptions to what others publish.
"""

import asyncio
from pathlib import Path

import pytest

from hub.mqtt.mqtt_session import MqttSession
from tests.support.small_hub import Client, NotedLink, SmallHub, until

PING, PONG = b"\xc0\0", b"\xd0\0"
TWIN, METHODS = b"\0\x12$iothub/twin/res/#", b"\0\x16$iothub/methods/POST/#"


def packet(first: int, body: bytes) -> bytes:
    """One whose length takes a byte."""
    assert len(body) < 128
    return bytes([first, len(body)]) + body


def connect(name: bytes = b"\0\4MQTT\4", flags: int = 2, rest: bytes = b"\0\1d") -> bytes:
    return packet(0x10, name + bytes([flags]) + b"\0\0" + rest)


ANSWERED = {
    "a ping [3.12.4-1]": (PING, PONG),
    "a code for each filter, in their order [3.8.4-1, 3.8.4-2, 3.8.4-5, 3.9.3-1]": (
        packet(0x82, b"\0\x0a" + TWIN + b"\0" + b"\0\1#\1" + METHODS + b"\1"),
        b"\x90\5\0\x0a\0\x80\1",
    ),
    "a filter that is there already takes its place [3.8.4-3]": (
        packet(0x82, b"\0\1" + TWIN + b"\0") + packet(0x82, b"\0\2" + TWIN + b"\1"),
        b"\x90\3\0\1\0" + b"\x90\3\0\2\1",
    ),
    "an end of what was not subscribed to [3.10.4-4, 3.10.4-5]": (packet(0xA2, b"\0\x0b" + TWIN), b"\xb0\2\0\x0b"),
    "one acknowledgement for several filters [3.10.4-6]": (packet(0xA2, b"\0\3" + TWIN + METHODS), b"\xb0\2\0\3"),
    "an acknowledgement of nothing that is on its way": (b"\x40\2\0\x63" + PING, PONG),
}
"""Packets of a client that is connected, and their answers; the connection stays."""

CLOSED = {
    "a second CONNECT [3.1.0-2]": connect(),
    "SUBSCRIBE with other flags [3.8.1-1]": packet(0x80, b"\0\1" + TWIN + b"\0"),
    "SUBSCRIBE without a filter [3.8.3-3]": packet(0x82, b"\0\1"),
    "SUBSCRIBE with a QoS of 3 [3.8.3-4]": packet(0x82, b"\0\1" + TWIN + b"\3"),
    "SUBSCRIBE with reserved bits of the QoS [3.8.3-4]": packet(0x82, b"\0\1" + TWIN + b"\4"),
    "SUBSCRIBE with a packet id of 0 [2.3.1-1]": packet(0x82, b"\0\0" + TWIN + b"\0"),
    "a filter that is not UTF-8 [1.5.3-1]": packet(0x82, b"\0\1\0\2\xc3\x28\0"),
    "a filter with a NUL [1.5.3-2]": packet(0x82, b"\0\1\0\1\0\0"),
    "UNSUBSCRIBE with other flags [3.10.1-1]": packet(0xA0, b"\0\1" + TWIN),
    "UNSUBSCRIBE without a filter [3.10.3-2]": packet(0xA2, b"\0\1"),
    "PUBLISH with a QoS of 3 [3.3.1-4]": packet(0x36, b"\0\1t\0\1"),
    "PUBLISH again with a QoS of 0 [3.3.1-2]": packet(0x38, b"\0\1t"),
    "PUBLISH to a wildcard [3.3.2-2]": packet(0x30, b"\0\3t/#"),
    "PUBLISH with a packet id of 0 [2.3.1-1]": packet(0x32, b"\0\1t\0\0"),
    "PINGREQ with reserved flags [2.2.2-2]": b"\xc1\0",
    "DISCONNECT with reserved flags [3.14.1-1]": b"\xe1\0",
    "a length of five bytes": b"\x30\xff\xff\xff\xff\1",
    "the kind 0": b"\0\0",
    "the kind 15": b"\xf0\0",
    "CONNACK, which only servers send": b"\x20\2\0\0",
    "SUBACK, which only servers send": b"\x90\3\0\1\0",
    "UNSUBACK, which only servers send": b"\xb0\2\0\1",
    "PINGRESP, which only servers send": PONG,
    "DISCONNECT [3.14.4-1]": b"\xe0\0",
}
"""Packets of a client that is connected, after which nothing is answered."""

FIRST = {
    "a ping before CONNECT [3.1.0-1]": (PING, b""),
    "a subscription before CONNECT [3.1.0-1]": (packet(0x82, b"\0\1" + TWIN + b"\0"), b""),
    "another protocol [3.1.2-1]": (connect(b"\0\2hj\4"), b""),
    "another level [3.1.2-2]": (connect(b"\0\4MQTT\5"), b"\x20\2\0\1"),
    "the reserved flag [3.1.2-3]": (connect(flags=3), b""),
    "a will of QoS 3 [3.1.2-14]": (connect(flags=0x1C, rest=b"\0\1d\0\1t\0\0"), b""),
    "a password without a name [3.1.2-22]": (connect(flags=0x42, rest=b"\0\1d\0\1p"), b""),
    "no client id to be found again by [3.1.3-8]": (connect(flags=0, rest=b"\0\0"), b"\x20\2\0\2"),
    "no client id [3.1.3-9]": (connect(rest=b"\0\0"), b"\x20\2\0\2"),
    "what follows on a refusal [3.1.4-5, 3.2.2-4]": (connect() + PING, b"\x20\2\0\5"),
}
"""First packets, and their answers before the connection is closed."""


@pytest.mark.parametrize("case", ANSWERED)
def test_a_connected_client_is_answered(tmp_path: Path, case: str) -> None:
    """As the standard says, byte by byte, and the connection stays."""
    sent, expected = ANSWERED[case]

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        client = hub.connect(hub.add("d"))
        await client.answered()
        client.session.data_received(sent)
        await until(lambda: len(b"".join(client.link.sent)) >= len(expected))
        assert (b"".join(client.link.sent), client.link.is_closed) == (expected, False)
        hub.close()

    asyncio.run(scenario())


def test_a_connected_client_is_closed(tmp_path: Path) -> None:
    """Without an answer, whatever it sends behind."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        device, found = hub.add("d"), {}
        for case, sent in CLOSED.items():
            client = hub.connect(device)
            await client.answered()
            client.session.data_received(sent + PING)
            await until(lambda client=client: client.link.is_closed)
            found[case] = client.link.sent
        assert found == {case: [] for case in CLOSED}
        hub.close()

    asyncio.run(scenario())


def test_who_does_not_connect_rightly_is_closed(tmp_path: Path) -> None:
    """With the standard's code where there is one, and nothing else."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        found = {}
        for case, (sent, _) in FIRST.items():
            link = NotedLink()
            MqttSession(hub.parts, link).data_received(sent)
            await until(lambda link=link: link.is_closed)
            found[case] = b"".join(link.sent)
        assert found == {case: answer for case, (_, answer) in FIRST.items()}
        hub.close()

    asyncio.run(scenario())


def test_a_session_is_present_that_was_not_ended(tmp_path: Path) -> None:
    """Who keeps its session is told of its subscriptions, a clean session ends them [3.1.2-6, 3.2.2-1, 3.2.2-2]."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        device = hub.add("d")

        async def connected(is_clean: bool) -> tuple[Client, bytes]:
            client = hub.connect(device, is_clean=is_clean)
            return client, await client.answered()

        first, new = await connected(False)
        first.session.data_received(packet(0x82, b"\0\1" + TWIN + b"\0"))
        await first.answered()
        first.session.data_received(b"\xe0\0")
        answers = [new, *[(await connected(is_clean))[1] for is_clean in (False, True, False)]]
        assert [answer[2] for answer in answers] == [0, 1, 0, 0]
        hub.close()

    asyncio.run(scenario())
