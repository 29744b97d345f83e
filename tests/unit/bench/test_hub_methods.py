"""The bench of direct methods: its device answers, and what warms up is not counted."""

import asyncio
from typing import cast

from bench.hub_methods import Service, method_times
from device_sim.mqtt_fleet import FleetConnection
from wire import hub_topics, mqtt_packets


class NotedTransport(asyncio.Transport):
    """In a socket's place: what was written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Note it."""
        self.written.append(bytes(data))


class Asking:
    """In the service's place: asks as the hub does, and says which call took how long."""

    def __init__(self, device: FleetConnection) -> None:
        self.device = device

    def call(self, _name: str, count: int) -> list[float]:
        """Ask so often."""
        for number in range(count):
            self.device.data_received(mqtt_packets.publish(hub_topics.method_topic("set", f"{number:x}"), b'{"n":1}'))
        return [float(number) for number in range(count)]


def test_each_method_is_answered_with_what_it_was_given() -> None:
    """By its own request id; the first twenty are answered too, and not counted."""

    async def scenario() -> tuple[list[float], list[bytes]]:
        device, transport = FleetConnection(b"", lambda _: None), NotedTransport()
        device.connection_made(transport)
        return await method_times(device, "d", 3, cast(Service, Asking(device))), transport.written

    seconds, (_, subscribed, *answers) = asyncio.run(scenario())
    assert seconds == [20.0, 21.0, 22.0]
    assert subscribed == mqtt_packets.subscribe(1, [("$iothub/methods/POST/#", 0)])
    assert answers == [mqtt_packets.publish(f"$iothub/methods/res/200/?$rid={n:x}", b'{"n":1}') for n in range(23)]
