"""A device of the tests that speaks MQTT packet by packet: what no SDK lets an app do.

Belongs here: a blocking client over TLS, made of the project's own codec.
"""

import socket
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from hub.registry.identities import Identity
from tests.support.hub_server import PORT, TestHub
from wire import mqtt, mqtt_packets
from wire.mqtt import Connect, Will
from wire.mqtt_stream import Reader


class MqttDevice:
    """One connection. `closed` is true once the hub has ended it."""

    def __init__(self, address: str, root: str, port: int = PORT) -> None:
        context = ssl.create_default_context(cafile=root)
        plain = socket.create_connection((address, port), timeout=60)
        self.socket = context.wrap_socket(plain, server_hostname=address)
        self._reader = Reader()
        self._packets: deque[tuple[int, bytes]] = deque()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def packet(self) -> tuple[int, bytes]:
        """The next packet: its kind and its body. Raises ConnectionError when the hub ended the connection."""
        while not self._packets:
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionError("the hub closed the connection")
            self._packets.extend(self._reader.feed(data))
        first, body = self._packets.popleft()
        return first >> 4, body

    def acknowledgement(self) -> int:
        """The packet id of the next packet, which is a PUBACK."""
        kind, body = self.packet()
        assert kind == mqtt.PUBACK
        return mqtt.read_packet_id(body)

    @property
    def is_closed(self) -> bool:
        """True when the hub closes the connection instead of sending anything."""
        try:
            self.packet()
        except (ConnectionError, ssl.SSLError):
            return True
        return False

    def connect(self, client: str, token: str, host: str, will: Will | None = None, keep_alive_s: int = 60) -> int:
        """CONNECT; the return code."""
        username = f"{host}/{client}/?api-version=2021-04-12"
        self.send(mqtt_packets.connect(Connect(client, keep_alive_s, False, username, token.encode(), will)))
        kind, body = self.packet()
        assert kind == mqtt.CONNACK
        return mqtt.read_connack(body)[1]

    def close(self) -> None:
        """Close without a DISCONNECT."""
        self.socket.close()


@contextmanager
def connected(hub: TestHub, device: Identity, **options: object) -> Iterator[MqttDevice]:
    """A device that is connected; its end is a cut."""
    opened = MqttDevice(hub.address, str(hub.root))
    try:
        code = opened.connect(device.device_id, hub.token(device), hub.address, **options)  # type: ignore[arg-type]
        assert code == mqtt.ACCEPTED
        yield opened
    finally:
        opened.close()


def event(device_id: str, payload: bytes, packet_id: int = 1, *, is_dup: bool = False, bag: str = "") -> bytes:
    """A message to the hub as a packet."""
    return mqtt_packets.publish(f"devices/{device_id}/messages/events/{bag}", payload, packet_id, is_dup=is_dup)
