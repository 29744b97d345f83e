"""Who connects becomes somebody within 30 s, however lively it is until then."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.amqp.amqp_session import AmqpSession
from hub.mqtt.mqtt_session import MqttSession
from tests.support.small_hub import NotedLink, SmallHub
from wire import mqtt_packets
from wire.amqp import SASL_HEADER
from wire.mqtt import Connect

CONNECT = mqtt_packets.connect(Connect("d", 0, True, "localhost/d/?api-version=2021-04-12", b"x", None))


@pytest.mark.parametrize(
    ("make", "said"), [(MqttSession, CONNECT[:-1]), (AmqpSession, SASL_HEADER + b"\0\0\0")], ids=["mqtt", "amqp"]
)
def test_bytes_that_come_one_by_one_win_no_time(tmp_path: Path, make: Callable[..., Any], said: bytes) -> None:
    """A first packet that never gets whole ends the connection, though its newest byte has just come."""

    async def scenario() -> None:
        hub, link = SmallHub(tmp_path), NotedLink()
        session = make(hub.parts, link)
        began_s = time.monotonic()
        for place, byte in enumerate(said):
            session.data_received(bytes([byte]))
            session._heard_s = began_s + 40 * (place + 1) / len(said)
            session.tick(session._heard_s, time.time())
            if session._heard_s - began_s < 29:
                assert not link.is_closed
        assert link.is_closed
        hub.close()

    asyncio.run(scenario())
