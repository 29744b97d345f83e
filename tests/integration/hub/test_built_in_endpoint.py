"""The built-in endpoint, by the unmodified client of Event Hubs: what devices sent is received by partition."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.eventhub import EventData, EventHubConsumerClient, TransportType
from azure.eventhub.aio import EventHubConsumerClient as AsyncConsumerClient
from azure.eventhub.exceptions import AuthenticationError, ConnectError, ConnectionLostError
from azure.iot.device import IoTHubDeviceClient, Message
from confluent_kafka import Producer

from hub.administration import event_hub_connection_string, rotate_policy_key
from hub.messages.repeat_window import partition_of
from hub.registry.identities import Identity, new_key
from hub.registry.tenants import DEFAULT_TENANT, add_tenant
from ingestion.landing_topics import TELEMETRY_PARTITIONS
from tests.conftest import empty_topics
from tests.support.hub_server import TestHub, running_hub

GROUP = "$Default"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[TestHub]:
    """A hub with AMQP's port too."""
    empty_topics(broker)
    folder = tmp_path_factory.mktemp("hub")
    with running_hub(folder, broker, ports=(8883, 5671)) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(running.root))
        running.registry.write(lambda tx: add_tenant(tx, "acme")).result()
        yield running


def connection_string(hub: TestHub, tenant: str = DEFAULT_TENANT, key: str | None = None) -> str:
    """As the command prints it, for a hub that listens elsewhere; with another key of the owner's."""
    text = event_hub_connection_string(hub.settings, hub.registry, tenant).replace("localhost", hub.address)
    return text if key is None else text.replace(text.split("SharedAccessKey=")[1].split(";")[0], key)


def consumer(hub: TestHub, group: str = GROUP, tenant: str = DEFAULT_TENANT, key: str | None = None) -> Any:
    return EventHubConsumerClient.from_connection_string(
        connection_string(hub, tenant, key), group, retry_total=0, connection_verify=str(hub.root)
    )


def send(hub: TestHub, device: Identity, *messages: Message, model_id: str = "") -> None:
    """What the device SDK sends; in Kafka when this returns."""
    client = IoTHubDeviceClient.create_from_connection_string(hub.connection_string(device), product_info=model_id)
    client.connect()
    for message in messages:
        client.send_message(message)
    client.shutdown()


def home_of(device_id: str) -> str:
    """The partition of a device's messages."""
    return str(partition_of(device_id.encode(), TELEMETRY_PARTITIONS))


def device_of(event: EventData) -> str:
    return str(event.system_properties[b"iothub-connection-device-id"].decode())


@contextmanager
def receiving(client: Any, partition: str, **how: Any) -> Iterator[Any]:
    """A receiver in a thread: what it `got`, `of(device, n)`, which waits for so many, whether anything at all
    `has_come_soon`, and its first `failure`."""
    got: list[EventData] = []
    changed = threading.Condition()
    errors: list[Exception] = []

    def hear(_context: Any, event: EventData) -> None:
        with changed:
            got.append(event)
            changed.notify_all()

    def fail(_context: Any, error: Exception) -> None:
        with changed:
            errors.append(error)
            changed.notify_all()

    class Receiving:
        def __init__(self) -> None:
            self.got = got

        def of(self, device_id: str, count: int) -> list[EventData]:
            with changed:
                assert changed.wait_for(lambda: len(self._of(device_id)) >= count or errors, 60), len(got)
                assert not errors, errors
                return self._of(device_id)

        def has_come_soon(self) -> bool:
            with changed:
                return bool(changed.wait_for(lambda: got or errors, 1))

        def failure(self) -> Exception:
            with changed:
                assert changed.wait_for(lambda: errors, 60)
                return errors[0]

        def _of(self, device_id: str) -> list[EventData]:
            return [event for event in got if device_of(event) == device_id]

    thread = threading.Thread(
        target=lambda: client.receive(hear, partition_id=partition, on_error=fail, **how), daemon=True
    )
    thread.start()
    try:
        yield Receiving()
    finally:
        client.close()
        thread.join(120)


def test_a_device_message_is_received_with_what_the_anchor_says_of_it(hub: TestHub) -> None:
    """Body, application properties, system properties and annotations, under IoT Hub's names."""
    device = hub.add_device("eh-1")
    message = Message(json.dumps({"t": 1}), content_encoding="utf-8", content_type="application/json", message_id="m-1")
    message.custom_properties["level"] = "high"
    message.correlation_id, message.user_id = "c-1", "u-1"
    send(hub, device, message, model_id="dtmi:x;1")
    with receiving(consumer(hub), home_of("eh-1"), starting_position="-1") as received:
        (event,) = received.of("eh-1", 1)
    assert event.body_as_json() == {"t": 1}
    assert event.properties == {b"level": b"high"}
    assert (event.message_id, event.correlation_id, event.content_type) == ("m-1", "c-1", "application/json")
    system = event.system_properties
    assert (system[b"content-encoding"], system[b"user-id"]) == (b"utf-8", b"u-1")
    assert system[b"iothub-connection-device-id"] == b"eh-1"
    assert json.loads(system[b"iothub-connection-auth-method"])["type"] == "sas"
    assert (system[b"iothub-message-source"], system[b"dt-dataschema"]) == (b"Telemetry", b"dtmi:x;1")
    assert abs((datetime.now(UTC) - event.enqueued_time).total_seconds()) < 60
    assert event.offset == str(event.sequence_number)


def test_management_says_what_there_is(hub: TestHub) -> None:
    """The partitions, and of each its first and newest event; one that is not there is refused."""
    send(hub, hub.add_device("eh-m"), Message("a"), Message("b"))
    client = consumer(hub)
    with client:
        assert client.get_partition_ids() == [str(n) for n in range(TELEMETRY_PARTITIONS)]
        home = home_of("eh-m")
        found = client.get_partition_properties(home)
        with pytest.raises(ConnectError, match="404"):
            client.get_partition_properties("99")
    with receiving(consumer(hub), home, starting_position="-1") as received:
        newest = received.of("eh-m", 2)[-1]
        first = received.got[0]
    assert (found["id"], found["is_empty"]) == (home, False)
    assert found["beginning_sequence_number"] == first.sequence_number
    assert found["last_enqueued_sequence_number"] == newest.sequence_number
    assert found["last_enqueued_offset"] == newest.offset
    assert found["last_enqueued_time_utc"] == newest.enqueued_time


def test_receiving_begins_where_it_is_asked_to(hub: TestHub) -> None:
    """After an offset, at a sequence number, at a time, at what comes next; beyond the end is refused."""
    device, home = hub.add_device("eh-2"), home_of("eh-2")
    send(hub, device, *(Message(str(n)) for n in range(5)))
    with receiving(consumer(hub), home, starting_position="-1") as received:
        events = received.of("eh-2", 5)
    assert [event.body_as_str() for event in events] == ["0", "1", "2", "3", "4"]
    third = events[2]
    with receiving(consumer(hub), home, starting_position=third.offset) as received:
        assert [event.body_as_str() for event in received.of("eh-2", 2)] == ["3", "4"]
    inclusive = {"starting_position": third.sequence_number, "starting_position_inclusive": True}
    with receiving(consumer(hub), home, **inclusive) as received:
        assert [event.body_as_str() for event in received.of("eh-2", 3)] == ["2", "3", "4"]
    with receiving(consumer(hub), home, starting_position=third.enqueued_time - timedelta(milliseconds=1)) as received:
        assert all(event.enqueued_time >= third.enqueued_time for event in received.of("eh-2", 3))
    with receiving(consumer(hub), home, starting_position="987654321") as received:
        assert "beyond the last one" in str(received.failure())
    with receiving(consumer(hub), home, starting_position="@latest") as received:
        # it sends again only after a while: one send after the other hardly lets the receiver's thread run
        send(hub, device, Message("new"))
        while not received.has_come_soon():
            send(hub, device, Message("new"))
        assert {event.body_as_str() for event in received.got} == {"new"}


def test_many_events_come_in_order_and_once(hub: TestHub) -> None:
    """More than a client's credit and a session's window hold: each once, in the order in which they were sent."""
    device = hub.add_device("eh-many")
    producer = Producer({"bootstrap.servers": hub.settings.kafka_bootstrap, "partitioner": "murmur2_random"})
    for n in range(5000):
        producer.produce("telemetry", str(n), device.device_id)
        producer.poll(0)
    producer.flush()
    with receiving(consumer(hub), home_of("eh-many"), starting_position="-1") as received:
        events = received.of("eh-many", 5000)
    assert [event.body_as_str() for event in events] == [str(n) for n in range(5000)]


def test_an_owner_level_has_a_partition_alone_in_its_group(hub: TestHub) -> None:
    """The higher level sends the lower one away and refuses it afterwards; other groups do not notice."""
    device, home = hub.add_device("eh-3"), home_of("eh-3")
    send(hub, device, Message("first"))
    with (
        receiving(consumer(hub), home, starting_position="-1") as none,
        receiving(consumer(hub, "other"), home, starting_position="-1") as other,
    ):
        assert none.of("eh-3", 1)
        assert other.of("eh-3", 1)
        with receiving(consumer(hub), home, starting_position="-1", owner_level=1) as owner:
            assert owner.of("eh-3", 1)
            assert isinstance(none.failure(), ConnectionLostError)
            with receiving(consumer(hub), home, starting_position="-1", owner_level=0) as lower:
                assert isinstance(lower.failure(), ConnectionLostError)
            send(hub, device, Message("second"))
            assert owner.of("eh-3", 2)
        assert other.of("eh-3", 2)


def test_a_tenant_receives_its_own_alone(hub: TestHub) -> None:
    """What a device of another tenant sent is not there, either way."""
    names = ("eh-mine", "eh-theirs")
    partition = home_of(names[0])
    theirs = next(f"{names[1]}-{n}" for n in range(1000) if home_of(f"{names[1]}-{n}") == partition)
    send(hub, hub.add_device(theirs, tenant="acme"), Message("theirs"))
    send(hub, hub.add_device(names[0]), Message("mine"))
    send(hub, hub.add_device(f"{theirs}-end", tenant="acme"), Message("end"))
    with receiving(consumer(hub), partition, starting_position="-1") as received:
        received.of(names[0], 1)
        assert theirs not in {device_of(event) for event in received.got}
    with receiving(consumer(hub, tenant="acme"), partition, starting_position="-1") as received:
        received.of(theirs, 1)
        assert {device_of(event) for event in received.got} == {theirs}


def test_only_a_key_that_may_serve_receives(hub: TestHub) -> None:
    """A key that nobody has, and a policy without ServiceConnect, are refused."""
    with pytest.raises(AuthenticationError), consumer(hub, key=new_key()) as client:
        client.get_partition_ids()
    (reader,) = hub.registry.policy_keys("registryRead")[:1]
    text = connection_string(hub, key=reader.primary_key).replace("iothubowner", "registryRead")
    client = EventHubConsumerClient.from_connection_string(text, GROUP, retry_total=0, connection_verify=str(hub.root))
    with pytest.raises(AuthenticationError), client:
        client.get_partition_ids()


def test_a_key_that_is_rotated_ends_who_receives_by_it(hub: TestHub) -> None:
    """Within a second or two, and whoever receives by the policy's other key goes on."""
    device, home = hub.add_device("eh-rotate"), home_of("eh-rotate")
    send(hub, device, Message("first"))
    (policy,) = [each for each in hub.registry.policy_keys("iothubowner") if each.tenant == DEFAULT_TENANT]
    with (
        receiving(consumer(hub, key=policy.primary_key), home, starting_position="-1") as old,
        receiving(consumer(hub, key=policy.secondary_key), home, starting_position="-1") as other,
    ):
        assert old.of("eh-rotate", 1)
        assert other.of("eh-rotate", 1)
        rotate_policy_key(hub.registry, DEFAULT_TENANT, "iothubowner", "primary")
        assert old.failure()
        send(hub, device, Message("second"))
        assert other.of("eh-rotate", 2)


def test_websockets_reach_it_on_the_hubs_one_port(hub: TestHub) -> None:
    """Where AMQP's own port is not open, a custom endpoint address does."""
    send(hub, hub.add_device("eh-ws"), Message("over"))

    async def receive() -> EventData:
        client = AsyncConsumerClient.from_connection_string(
            connection_string(hub), GROUP, retry_total=0, connection_verify=str(hub.root),
            custom_endpoint_address=f"sb://{hub.address}:8883", transport_type=TransportType.AmqpOverWebsocket,
            load_balancing_interval=1,
        )  # fmt: skip
        got: asyncio.Queue[EventData] = asyncio.Queue()

        async def hear(_context: Any, event: EventData | None) -> None:
            assert event is not None
            got.put_nowait(event)

        task = asyncio.create_task(client.receive(hear, partition_id=home_of("eh-ws"), starting_position="-1"))
        while device_of(event := await asyncio.wait_for(got.get(), 60)) != "eh-ws":
            pass
        await client.close()
        await task
        return event

    assert asyncio.run(receive()).body_as_str() == "over"
