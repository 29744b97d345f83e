"""Direct methods of a hub, one after the other: from the service's request to its answer, by way of a device.

Belongs here: a device that answers at once and a service that asks by REST on one connection. The hub is `bench.hub`'s.
"""

import asyncio
import json
import time
from http.client import HTTPSConnection
from ssl import SSLContext

from bench.harness import DifferenceError
from device_sim.mqtt_fleet import FleetConnection, HubAddress
from wire import hub_topics as topics
from wire import mqtt, mqtt_packets, sas

_API_VERSION = "2021-04-12"
_ASKED = {"methodName": "set", "payload": {"n": 1}, "responseTimeoutInSeconds": 30, "connectTimeoutInSeconds": 5}
_WARM = 20


def service_token(address: HubAddress, key: str, expiry: int) -> str:
    """By which the service asks."""
    return sas.sign(key, f"{address.host}:{address.port}", expiry, "iothubowner")


async def method_times(device: FleetConnection, name: str, count: int, ask: "Service") -> list[float]:
    """Seconds that each of `count` methods of this device took; the first twenty are not counted."""

    def heard(message: mqtt.Publish) -> None:
        request_id = message.topic.rpartition(b"$rid=")[2].decode()
        device.write(mqtt_packets.publish(f"{topics.METHOD_ANSWERS}200/?$rid={request_id}", message.payload))

    device.heard = heard
    device.write(mqtt_packets.subscribe(1, [(f"{topics.METHODS}#", 0)]))
    return (await asyncio.to_thread(ask.call, name, count + _WARM))[_WARM:]


class Service:
    """Whoever calls methods, over one connection that stays."""

    def __init__(self, address: HubAddress, context: SSLContext, token: str) -> None:
        self._connection = HTTPSConnection(address.host, address.port, context=context, timeout=60)
        self._headers = {"Authorization": token, "Content-Type": "application/json"}

    def call(self, device_id: str, count: int) -> list[float]:
        """Seconds of each call. Raises DifferenceError for an answer that is not the device's."""
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            path = f"/twins/{device_id}/methods?api-version={_API_VERSION}"
            self._connection.request("POST", path, json.dumps(_ASKED), self._headers)
            answer = self._connection.getresponse()
            body = answer.read()
            seconds.append(time.perf_counter() - began)
            if answer.status != 200 or json.loads(body) != {"status": 200, "payload": _ASKED["payload"]}:
                raise DifferenceError(f"a method was answered by {answer.status}: {body[:200]!r}")
        self._connection.close()
        return seconds
