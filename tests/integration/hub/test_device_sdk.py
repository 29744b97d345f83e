"""The device SDK for Python as it comes from the package registry, against the hub: nothing in it is patched."""

import asyncio
from collections.abc import Iterator

import pytest
from azure.iot.device import Message
from azure.iot.device.aio import IoTHubDeviceClient

from ingestion.landing_topics import ensure_topics
from tests.support.hub_server import TestHub, records, running_hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[TestHub]:
    """A hub that the tests of this file share; the SDK is told by SSL_CERT_FILE whom to trust."""
    ensure_topics(broker)
    with running_hub(tmp_path_factory.mktemp("hub"), broker) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(running.root))
        yield running


def test_a_message_is_in_kafka_when_the_client_hears_that_it_was_sent(hub: TestHub, broker: str) -> None:
    """A message by SAS over TLS is a CloudEvent in `telemetry`, with everything that the app said of it."""
    device = hub.add_device("sdk-1", model_id="dtmi:com:example:Thermostat;1")

    async def send() -> None:
        client = IoTHubDeviceClient.create_from_connection_string(hub.connection_string(device))
        await client.connect()
        message = Message('{"temperature": 21.5}', message_id="m-1", content_encoding="utf-8")
        message.content_type = "application/json"
        message.custom_properties["room"] = "a/b &c"
        message.custom_properties["$.sub"] = "thermostat1"
        await client.send_message(message)
        await client.send_message("plain")
        await client.shutdown()

    asyncio.run(send())
    first, second = records(broker, "sdk-1")
    assert first.value == b'{"temperature": 21.5}'
    assert first.headers.items() >= {
        ("ce_specversion", "1.0"), ("ce_id", "m-1"), ("ce_source", "/devices/sdk-1"),
        ("ce_type", "lakehouse.telemetry"),
        ("ce_subject", "thermostat1"), ("content-type", "application/json; charset=utf-8"),
        ("iothub-app-room", "a/b &c"),
    }  # fmt: skip
    assert second.value == b"plain"
    assert "content-type" not in second.headers
    assert second.headers["ce_id"].startswith("hub0-")
