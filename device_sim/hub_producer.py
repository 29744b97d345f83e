"""The hub producer: a fleet's messages through a hub, each device by its own MQTT connection.

Belongs here: which messages a device can say over MQTT, and sending them until they are acknowledged. Connections are
`mqtt_fleet`'s. It has the face of `producer.MessageProducer`.

What no device can send over MQTT, an envelope that lacks its key or has another device's, and what the registry says,
goes to Kafka directly, as it would from somewhere else. A connection that is cut is made anew, and what was not
acknowledged in it is sent again with DUP.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event

from device_sim.mqtt_fleet import FleetConnection, HubAddress, connect, hello
from device_sim.producer import MessageProducer
from runtime.errors import PlatformError
from wire import envelope, hub_topics
from wire.envelope import Message, Reading, Wire, wires

_IN_FLIGHT = 200
_MOST_WAITING = 20_000
_LARGEST = 250_000
_RETRY_S = 0.2
_PATIENCE_S = 120.0
_EXPIRY_S = 4_000_000_000
_SAID = {
    envelope.SPECVERSION, envelope.ID, envelope.SOURCE, envelope.TYPE, envelope.TIME, envelope.SUBJECT,
    envelope.CONTENT_TYPE,
}  # fmt: skip


@dataclass
class _Device:
    """A device: what waits to be sent, and what waits to be acknowledged, by packet id."""

    hello: bytes
    connection: FleetConnection | None = None
    waiting: deque[tuple[str, bytes]] = field(default_factory=deque)
    in_flight: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    last_id: int = 0
    is_connecting: bool = False


class HubProducer:
    """Sends through the hub at `address` for the devices whose `keys` are given, else to Kafka at `bootstrap`."""

    def __init__(self, bootstrap: str, address: HubAddress, keys: Mapping[str, str]) -> None:
        """Raises PlatformError when Kafka does not answer."""
        self._direct = MessageProducer(bootstrap)
        self._address, self._context = address, address.context()
        self._devices = {name: _Device(hello(address, name, key, _EXPIRY_S)) for name, key in keys.items()}
        self._loop = asyncio.new_event_loop()
        self._left = 0
        self._room = threading.Condition()
        self._error: PlatformError | None = None
        self._direct_numbers: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.count = 0
        self.through_hub = 0
        threading.Thread(target=self._loop.run_forever, name="mqtt-fleet", daemon=True).start()

    def send(self, message: Message) -> None:
        """Queue a message. Raises PlatformError when neither hub nor Kafka takes anything any more."""
        self.send_all((message,))

    def send_all(self, messages: Iterable[Message | Reading], stop: Event | None = None) -> None:
        """Queue messages; no more of them when `stop` is set while too many wait."""
        for wire in wires(messages):
            said = self._said(wire)
            if said is None:
                self._direct_numbers.append(self.count)
                self._direct.send(Message(*wire))
            else:
                if not self._wait_for_room(stop):
                    return
                self._loop.call_soon_threadsafe(self._queue, *said)
                self.through_hub += 1
            self.count += 1

    def poll(self) -> None:
        """Take in the reports that have come."""
        self._direct.poll()

    def flush(self) -> set[int]:
        """Wait until each message sent so far is acknowledged; the numbers of those that Kafka refused."""
        failed = {self._direct_numbers[number] for number in self._direct.flush()}
        with self._room:
            if not self._room.wait_for(lambda: self._left == 0 or self._error is not None, _PATIENCE_S):
                self._error = PlatformError("The hub acknowledged nothing for two minutes: see its log.")
        self.check()
        return failed

    def check(self) -> None:
        """Raise PlatformError when a message could not be delivered."""
        self._direct.check()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the connections."""
        self._loop.call_soon_threadsafe(self._end)

    def _said(self, wire: Wire) -> tuple[str, str, bytes] | None:
        """Device, topic and payload of a message that its device can send by MQTT."""
        topic, key, headers, value = wire
        device_id = (key or b"").decode("utf-8", "replace")
        given = dict(headers)
        if topic != envelope.TELEMETRY_TOPIC or device_id not in self._devices or len(value) > _LARGEST:
            return None
        if (
            set(given) - _SAID
            or len(given) != len(headers)
            or not given.get(envelope.ID)
            or not given.get(envelope.TIME)
        ):
            return None
        if given.get(envelope.SOURCE, b"").decode("utf-8", "replace") != envelope.source_of(device_id):
            return None
        if given.get(envelope.TYPE) != envelope.TELEMETRY_TYPE.encode() or given.get(envelope.SPECVERSION) != b"1.0":
            return None
        named = {
            "$.mid": envelope.ID, "iothub-creation-time-utc": envelope.TIME, "$.ct": envelope.CONTENT_TYPE,
            "$.sub": envelope.SUBJECT,
        }  # fmt: skip
        try:
            bag = [(name, given[header].decode()) for name, header in named.items() if header in given]
        except UnicodeDecodeError:
            return None
        return device_id, hub_topics.events_of(device_id) + hub_topics.write_bag(bag), value

    def _wait_for_room(self, stop: Event | None) -> bool:
        with self._room:
            while self._left >= _MOST_WAITING and self._error is None:
                if stop is not None and stop.is_set():
                    return False
                self._room.wait(0.1)
            self._left += 1
        self.check()
        return True

    # on the loop

    def _queue(self, device_id: str, topic: str, payload: bytes) -> None:
        device = self._devices[device_id]
        device.waiting.append((topic, payload))
        if device.connection is not None:
            self._send_waiting(device)
        elif not device.is_connecting:
            self._connect(device)

    def _connect(self, device: _Device) -> None:
        device.is_connecting = True
        task = self._loop.create_task(self._open(device))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, device: _Device) -> None:
        deadline = self._loop.time() + _PATIENCE_S
        while True:
            try:
                opened = await connect(
                    self._address, self._context, device.hello, lambda packet_id: self._acknowledged(device, packet_id)
                )
                break
            except PlatformError as error:
                if self._loop.time() > deadline or "refused" in str(error):
                    self._fail(error)
                    return
                await asyncio.sleep(_RETRY_S)
        device.connection, device.is_connecting = opened, False
        opened.lost = lambda: self._lost(device)
        if opened.is_lost:  # since the hub said yes; nobody was told
            self._lost(device)
            return
        opened.go_on_after(device.last_id)
        for packet_id, (topic, payload) in device.in_flight.items():
            opened.publish(topic, payload, packet_id, is_dup=True)
        self._send_waiting(device)

    def _send_waiting(self, device: _Device) -> None:
        while device.waiting and device.connection is not None and len(device.in_flight) < _IN_FLIGHT:
            topic, payload = device.waiting.popleft()
            device.last_id = device.connection.publish(topic, payload)
            device.in_flight[device.last_id] = (topic, payload)

    def _acknowledged(self, device: _Device, packet_id: int) -> None:
        if device.in_flight.pop(packet_id, None) is None:
            return
        with self._room:
            self._left -= 1
            self._room.notify_all()
        self._send_waiting(device)

    def _lost(self, device: _Device) -> None:
        device.connection = None
        if (device.in_flight or device.waiting) and not device.is_connecting:
            self._connect(device)

    def _fail(self, error: PlatformError) -> None:
        with self._room:
            self._error = error
            self._room.notify_all()

    def _end(self) -> None:
        for device in self._devices.values():
            if device.connection is not None:
                device.connection.lost = lambda: None
                device.connection.close()
        self._loop.call_later(0.5, self._loop.stop)
