"""The service SDK for Python against the hub's AMQP side: cloud messages with feedback, and what is refused."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import uamqp
from azure.iot.device import Message
from azure.iot.device.aio import IoTHubDeviceClient
from azure.iot.hub import IoTHubRegistryManager
from uamqp import authentication
from uamqp.errors import MessageException

from hub.registry.cloud_queue import MOST_WAITING
from hub.registry.identities import new_key
from tests.conftest import empty_topics
from tests.support.hub_server import TestHub, cloud_message, into, running_hub
from wire import sas


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[TestHub]:
    """A hub with AMQP's port too."""
    empty_topics(broker)
    folder = tmp_path_factory.mktemp("hub")
    with running_hub(folder, broker, ports=(8883, 5671)) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(running.root))
        yield running


def _service(hub: TestHub) -> str:
    (policy,) = hub.registry.policy_keys("iothubowner")
    return f"HostName={hub.address};SharedAccessKeyName=iothubowner;SharedAccessKey={policy.primary_key}"


def test_a_cloud_message_reaches_the_device_and_its_sender_hears_of_it(hub: TestHub) -> None:
    """Sent by `azure-iot-hub` over AMQP, received by `azure-iot-device` over MQTT, feedback over AMQP."""
    device = hub.add_device("svc-1")

    async def receive() -> Message:
        client = IoTHubDeviceClient.create_from_connection_string(hub.connection_string(device))
        await client.connect()
        got: asyncio.Queue[Message] = asyncio.Queue()
        client.on_message_received = into(got)
        await asyncio.to_thread(_send, hub, "svc-1", "hello", {"iothub-ack": "full"})
        message = await asyncio.wait_for(got.get(), 60)
        await client.shutdown()
        return message

    message = asyncio.run(receive())
    assert (message.data, message.message_id, message.custom_properties["k"]) == (b"hello", "svc-m", "v")
    records = _feedback(hub)
    assert [(each["originalMessageId"], each["statusCode"], each["deviceId"]) for each in records] == [
        ("svc-m", "Success", "svc-1")
    ]


def _send(hub: TestHub, device_id: str, body: str, properties: dict[str, str]) -> None:
    manager = IoTHubRegistryManager.from_connection_string(_service(hub))
    manager.send_c2d_message(device_id, body, {"messageId": "svc-m", "k": "v", **properties})


def _feedback(hub: TestHub, key: str | None = None) -> list[dict[str, str]]:
    """Feedback as uamqp receives it, which `azure-iot-hub` itself has no call for."""
    (policy,) = hub.registry.policy_keys("iothubowner")
    token = sas.sign(key or policy.primary_key, hub.address, 4_000_000_000, "iothubowner")
    auth = authentication.SASTokenAuth(
        hub.address, f"amqps://{hub.address}", token, expires_in=timedelta(hours=1), verify=str(hub.root)
    )
    client = uamqp.ReceiveClient(f"amqps://{hub.address}/messages/serviceBound/feedback", auth=auth, timeout=60_000)
    try:
        batch = client.receive_message_batch(max_batch_size=1, timeout=60_000)
        found = [record for message in batch for record in json.loads(b"".join(message.get_data()))]
        for message in batch:
            message.accept()
        client.do_work()
        return found
    finally:
        client.close()


def test_what_cannot_be_queued_is_refused(hub: TestHub) -> None:
    """The 51st waiting message, and a message to a device that is not there, are rejected with the anchor's words."""
    hub.add_device("svc-full")
    # a message by the SDK, which connects for each, takes a second: all but the last of those that wait are put there
    waiting = [hub.registry.enqueue_cloud_message(cloud_message("svc-full", b"waits")) for _ in range(MOST_WAITING - 1)]
    for each in waiting:
        each.result(60)
    _send(hub, "svc-full", "the last that may wait", {})
    with pytest.raises(Exception, match=r"DeviceMaximumQueueDepthExceeded|failure"):
        _send(hub, "svc-full", "one too many", {})
    with pytest.raises(Exception, match=r"DeviceNotFound|failure"):
        _send(hub, "svc-nobody", "lost", {})


def test_a_wrong_key_gets_nothing(hub: TestHub) -> None:
    """A token that no policy signed is refused at $cbs."""
    with pytest.raises((uamqp.errors.TokenAuthFailure, MessageException, uamqp.errors.AMQPConnectionError)):
        _feedback(hub, new_key())
