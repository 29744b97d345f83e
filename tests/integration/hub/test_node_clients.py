"""The unmodified node clients: a device of `azure-iot-device`, and a receiver of `@azure/event-hubs`."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hub.administration import event_hub_connection_string
from hub.messages.repeat_window import partition_of
from hub.methods import MethodCall, MethodResult
from hub.registry.cloud_queue import CloudMessage
from hub.registry.twins import change_twin
from ingestion.landing_topics import TELEMETRY_PARTITIONS
from tests.conftest import empty_topics
from tests.support.hub_server import TestHub, records, running_hub
from tests.support.mqtt_device import connected, event
from tests.support.node_clients import DEVICE_PACKAGES, EVENT_PACKAGES, run_script, script_lines

DEVICE = """
const { Client, Message } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');
const say = (what) => console.log(JSON.stringify(what));
(async () => {
  const client = Client.fromConnectionString(process.argv[1], Mqtt);
  await client.open();
  const message = new Message(JSON.stringify({ t: 21.5 }));
  message.messageId = 'node-m'; message.contentType = 'application/json'; message.contentEncoding = 'utf-8';
  message.properties.add('level', 'high');
  await client.sendEvent(message);
  client.onDeviceMethod('reboot', (request, response) => response.send(207, { back: request.payload }));
  const twin = await client.getTwin();
  say({ desired: twin.properties.desired.rate });
  await new Promise((go, fail) => twin.properties.reported.update({ rate: 5 }, (e) => (e ? fail(e) : go())));
  twin.on('properties.desired.rate', (rate) => {
    if (rate === 5) { say({ ready: true }); return; }
    say({ changed: rate });
  });
  client.on('message', async (command) => {
    await client.complete(command);
    say({ command: command.getData().toString() });
    await client.close();
  });
})().catch((e) => { console.error(e); process.exit(1); });
"""
RECEIVER = """
const { EventHubConsumerClient } = require('@azure/event-hubs');
(async () => {
  const [text, partition, device] = process.argv.slice(1);
  const client = new EventHubConsumerClient('$Default', text);
  const found = { partitions: await client.getPartitionIds() };
  found.properties = await client.getPartitionProperties(partition);
  const events = [];
  await new Promise((go, fail) => client.subscribe(partition, {
    processEvents: async (all) => {
      for (const each of all) {
        if (each.systemProperties['iothub-connection-device-id'] === device) events.push(each);
      }
      if (events.length === 3) go();
    },
    processError: async (error) => fail(error),
  }, { startPosition: { offset: '-1' } }));
  await client.close();
  console.log(JSON.stringify({ ...found, bodies: events.map((each) => each.body), last: events[2].sequenceNumber }));
})().catch((e) => { console.error(e); process.exit(1); });
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[TestHub]:
    """A hub with AMQP's port too."""
    empty_topics(broker)
    folder = tmp_path_factory.mktemp("hub")
    with running_hub(folder, broker, ports=(8883, 5671)) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NODE_EXTRA_CA_CERTS", str(running.root))
        yield running


def _desire(hub: TestHub, device_id: str, rate: int) -> None:
    patch = {"desired": {"rate": rate}}
    hub.registry.write(lambda tx: change_twin(tx, device_id, "", patch, None)).result(120)


def test_a_device_of_the_node_sdk_sends_and_has_a_twin_and_methods(hub: TestHub, broker: str) -> None:
    """A message with its properties, the twin both ways, a method's answer, and a cloud message that it completes."""
    device = hub.add_device("node-1")
    _desire(hub, "node-1", 5)
    lines = script_lines(DEVICE, hub.connection_string(device), packages=DEVICE_PACKAGES)
    heard: Iterator[Any] = map(json.loads, lines)
    assert next(heard) == {"desired": 5}
    assert next(heard) == {"ready": True}
    assert hub.registry.twin("node-1").reported["rate"] == 5
    (record,) = records(broker, "node-1")
    assert (record.headers["ce_id"], record.headers["iothub-app-level"]) == ("node-m", "high")
    assert json.loads(record.value) == {"t": 21.5}
    call = MethodCall("node-1", "", "reboot", b'{"in": 3}', 0, 10)
    assert hub.run(hub.parts.sessions.invoke(call)) == MethodResult(207, b'{"back":{"in":3}}')
    _desire(hub, "node-1", 6)
    assert next(heard) == {"changed": 6}
    message = CloudMessage(0, "node-1", b"come home", {}, {"mid": "c"}, "none", 0, 0, 0, None)
    hub.registry.enqueue_cloud_message(message).result(120)
    assert list(heard) == [{"command": "come home"}]
    assert hub.registry.take_cloud_message("node-1").result(120) is None


def test_the_node_client_of_event_hubs_receives(hub: TestHub) -> None:
    """Partitions, the newest event of one, and every event of a device in its order."""
    device = hub.add_device("node-2")
    with connected(hub, device) as sender:
        for n in range(3):
            sender.send(event("node-2", b'{"n":%d}' % n, n + 1, bag="%24.ct=application%2Fjson&%24.ce=utf-8"))
            sender.acknowledgement()
    partition = str(partition_of(b"node-2", TELEMETRY_PARTITIONS))
    text = event_hub_connection_string(hub.settings, hub.registry, "default").replace("localhost", hub.address)
    found = json.loads(run_script(RECEIVER, text, partition, "node-2", packages=EVENT_PACKAGES))
    assert found["partitions"] == [str(n) for n in range(TELEMETRY_PARTITIONS)]
    assert found["bodies"] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert found["properties"]["lastEnqueuedSequenceNumber"] == found["last"]
