"""A fleet's connections to a hub: MQTT over TLS, many in one process.

Belongs here: connecting, publishing, hearing acknowledgements. What is sent, and when, is decided by the caller.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from runtime.errors import PlatformError
from wire import mqtt, mqtt_packets, sas
from wire.mqtt import Connect
from wire.mqtt_stream import Reader

_API_VERSION = "2021-04-12"
_CONNECT_S = 60.0


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where a hub is, and the root that vouches for it."""

    host: str
    port: int
    root: Path

    def context(self) -> ssl.SSLContext:
        """A client's TLS context."""
        return ssl.create_default_context(cafile=str(self.root))


class FleetConnection(asyncio.Protocol):
    """One device. `acknowledged` is told of each packet id, `heard` of each message that comes, `lost` of the end."""

    def __init__(self, hello: bytes, acknowledged: Callable[[int], None]) -> None:
        self._hello = hello
        self._acknowledged = acknowledged
        self._reader = Reader()
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._packet_id = 0
        self.connected: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.heard: Callable[[mqtt.Publish], None] = lambda message: None
        self.lost: Callable[[], None] = lambda: None
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is there: say who we are."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        """Packets have come."""
        for first, body in self._reader.feed(data):
            kind = first >> 4
            if kind == mqtt.PUBACK:
                self._acknowledged(mqtt.read_packet_id(body))
            elif kind == mqtt.CONNACK:
                if not self.connected.done():
                    self.connected.set_result(mqtt.read_connack(body)[1])
            elif kind == mqtt.PUBLISH:
                message = mqtt.read_publish(first, body)
                if message.packet_id:
                    self.write(mqtt_packets.puback(message.packet_id))
                self.heard(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """The hub, or the network, ended it."""
        if not self.connected.done():
            self.connected.set_result(mqtt.UNAVAILABLE)
        self.is_lost = True
        self.lost()

    def publish(self, topic: str, payload: bytes, packet_id: int = 0, *, is_dup: bool = False) -> int:
        """Send a message of QoS 1; its packet id."""
        if not packet_id:
            self._packet_id = packet_id = self._packet_id % 65_535 + 1
        self._transport.write(mqtt_packets.publish(topic, payload, packet_id, is_dup=is_dup))
        return packet_id

    def go_on_after(self, packet_id: int) -> None:
        """Count packet ids on from those of a connection before."""
        self._packet_id = packet_id

    def write(self, data: bytes) -> None:
        """Send packets."""
        self._transport.write(data)

    def ping(self) -> None:
        """Say that we live."""
        self._transport.write(mqtt_packets.PINGREQ_PACKET)

    def close(self) -> None:
        """Say good-bye."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(mqtt_packets.DISCONNECT_PACKET)
            self._transport.close()


def hello(address: HubAddress, device_id: str, key: str, expiry: int, model_id: str | None = None) -> bytes:
    """The CONNECT of a device, by a token that its key signs."""
    token = sas.sign(key, f"{address.host}/devices/{device_id}", expiry)
    model = "" if model_id is None else f"&model-id={model_id.replace(':', '%3A').replace(';', '%3B')}"
    username = f"{address.host}/{device_id}/?api-version={_API_VERSION}{model}"
    return mqtt_packets.connect(Connect(device_id, 600, False, username, token.encode()))


async def connect(
    address: HubAddress, context: ssl.SSLContext, packet: bytes, acknowledged: Callable[[int], None]
) -> FleetConnection:
    """Connect a device. Raises PlatformError when the hub is not there, or does not let it in."""
    loop = asyncio.get_running_loop()
    try:
        _, connection = await asyncio.wait_for(
            loop.create_connection(
                lambda: FleetConnection(packet, acknowledged), address.host, address.port, ssl=context
            ),
            _CONNECT_S,
        )
        code = await asyncio.wait_for(connection.connected, _CONNECT_S)
        if code == mqtt.UNAVAILABLE:
            raise ConnectionError("it takes nobody for now")
    except (OSError, TimeoutError) as error:
        raise PlatformError(
            f"The hub at {address.host}:{address.port} cannot be reached ({error}): start it with `lakehouse up --hub`."
        ) from error
    if code != mqtt.ACCEPTED:
        connection.close()
        raise PlatformError(f"The hub at {address.host}:{address.port} refused a device with code {code}.")
    return connection
