"""What devices do that no SDK lets an app do: repeats, wills, other versions, too much, credentials that end."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hub.access.quotas import Quotas
from hub.links.key_material import key_material
from hub.messages.message_routes import MessageRoutes, Route
from hub.messages.routed_topics import ensure_routed_topics
from hub.mqtt.mqtt_session import MqttSession
from tests.conftest import empty_topics
from tests.support.awaiting import awaited
from tests.support.hub_server import TestHub, records, running_hub
from tests.support.mqtt_device import MqttDevice, connected, event
from wire import mqtt, mqtt_packets
from wire.mqtt import Will


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[TestHub]:
    """A hub that the tests of this file share."""
    empty_topics(broker)
    with running_hub(tmp_path_factory.mktemp("hub"), broker) as running:
        yield running


def _values(broker: str, device_id: str) -> list[bytes]:
    return [record.value for record in records(broker, device_id)]


def test_a_message_sent_again_after_a_cut_is_in_kafka_once(hub: TestHub, broker: str) -> None:
    """Its PUBACK was lost: the device sends the same packet with DUP, and is told that it came."""
    device = hub.add_device("raw-dup")
    with connected(hub, device) as first:
        for number in range(1, 21):
            first.send(event("raw-dup", b"%d" % number, number))
        assert [first.acknowledgement() for _ in range(20)] == list(range(1, 21))
    with connected(hub, device) as second:
        for number in range(11, 21):
            second.send(event("raw-dup", b"%d" % number, number, is_dup=True))
        second.send(event("raw-dup", b"21", 21))
        assert [second.acknowledgement() for _ in range(11)] == list(range(11, 22))
    assert _values(broker, "raw-dup") == [b"%d" % n for n in range(1, 22)]


def test_a_repeat_is_recognised_over_connections_that_brought_nothing(hub: TestHub, broker: str) -> None:
    """Cut after cut before anything new came: the repeat is still known as one."""
    device = hub.add_device("raw-again")
    with connected(hub, device) as opened:
        opened.send(event("raw-again", b"once", 5))
        opened.acknowledgement()
    for _ in range(3):
        with connected(hub, device):
            pass
        with connected(hub, device) as opened:
            opened.send(event("raw-again", b"once", 5, is_dup=True))
            assert opened.acknowledgement() == 5
    assert _values(broker, "raw-again") == [b"once"]


def test_what_only_looks_like_a_repeat_is_taken(hub: TestHub, broker: str) -> None:
    """The same bytes under another packet id, without DUP, or with DUP though they never came, are messages."""
    device = hub.add_device("raw-new")
    with connected(hub, device) as opened:
        opened.send(event("raw-new", b"21.5", 1))
        opened.acknowledgement()
    with connected(hub, device) as opened:
        opened.send(event("raw-new", b"21.5", 1))
        opened.send(event("raw-new", b"21.5", 2, is_dup=True))
        opened.send(event("raw-new", b"21.6", 1, is_dup=True))
        assert [opened.acknowledgement() for _ in range(3)] == [1, 2, 1]
    assert _values(broker, "raw-new") == [b"21.5", b"21.5", b"21.5", b"21.6"]


def test_a_will_is_a_message_of_a_client_that_was_cut(hub: TestHub, broker: str) -> None:
    """On a cut, not after a DISCONNECT; the retained flag is kept as a property."""
    device = hub.add_device("raw-will")
    will = Will("devices/raw-will/messages/events/a=b", b"gone", 1, True)
    with connected(hub, device, will=will) as opened:
        opened.send(mqtt_packets.DISCONNECT_PACKET)
        assert opened.is_closed
    with connected(hub, device, will=will) as opened:
        opened.send(mqtt_packets.publish("devices/raw-will/messages/events/", b"kept", 1, is_retained=True))
        opened.acknowledgement()
    kept, gone = awaited(lambda: len(found := records(broker, "raw-will")) >= 2 and found, "the will") or []
    assert (kept.value, kept.headers["iothub-app-mqtt-retain"]) == (b"kept", "true")
    assert (gone.value, gone.headers["iothub-MessageType"], gone.headers["iothub-app-a"]) == (b"gone", "Will", "b")


@pytest.mark.parametrize(
    ("name", "packet"),
    [
        ("qos2", b"\x34" + mqtt_packets.publish("devices/raw-qos2/messages/events/", b"x", 1)[1:]),
        ("large", event("raw-large", b"x" * (257 * 1024))),
        ("foreign", event("raw-other", b"x")),
        ("garbage", b"\xff\xff\xff\xff"),
        ("again", mqtt_packets.connect(mqtt.Connect("raw-again"))),
    ],
)
def test_what_the_anchor_does_not_take_ends_the_connection(hub: TestHub, name: str, packet: bytes) -> None:
    """QoS 2, 257 KB, another device's topic, no MQTT, a second CONNECT; two of them are counted."""
    device = hub.registry.device(f"raw-{name}") or hub.add_device(f"raw-{name}")
    counts = hub.parts.counts
    before = counts.qos2 + counts.too_large
    with connected(hub, device) as opened:
        # the hub may close before all of it is sent
        with suppress(OSError):
            opened.send(packet)
        assert opened.is_closed
    assert counts.qos2 + counts.too_large - before == (name in ("qos2", "large"))


def test_256_kb_are_taken(hub: TestHub, broker: str) -> None:
    """The limit itself, topic and payload together."""
    device = hub.add_device("raw-fits")
    topic = "devices/raw-fits/messages/events/"
    payload = b"x" * (256 * 1024 - len(topic) - 2)
    with connected(hub, device) as opened:
        opened.send(mqtt_packets.publish(topic, payload, 1))
        assert opened.acknowledgement() == 1
    assert _values(broker, "raw-fits") == [payload]


def test_subscriptions_are_five_and_the_devices_own(hub: TestHub) -> None:
    """QoS 2 is granted as 1; another device's topics and a sixth subscription are refused."""
    device = hub.add_device("raw-sub")
    own = ["devices/raw-sub/messages/devicebound/#", "$iothub/methods/POST/#", "$iothub/twin/res/#"]
    with connected(hub, device) as opened:
        wished = [(own[0], 2), (own[1], 0), ("devices/other/messages/devicebound/#", 1), ("#", 1), (own[2], 1)]
        opened.send(mqtt_packets.subscribe(7, wished))
        kind, body = opened.packet()
        assert (kind, mqtt.read_suback(body)) == (mqtt.SUBACK, (7, b"\1\0\x80\x80\1"))
        opened.send(mqtt_packets.unsubscribe(8, own))
        assert opened.packet() == (mqtt.UNSUBACK, b"\0\x08")
        opened.send(mqtt_packets.PINGREQ_PACKET)
        assert opened.packet() == (mqtt.PINGRESP, b"")


def test_mqtt_5_is_answered_with_code_1(hub: TestHub) -> None:
    """A client that can speak both tries again with 3.1.1."""
    opened = MqttDevice(hub.address, str(hub.root))
    packet = bytearray(mqtt_packets.connect(mqtt.Connect("d")))
    packet[8] = 5
    opened.send(bytes(packet))
    kind, body = opened.packet()
    assert (kind, mqtt.read_connack(body)) == (mqtt.CONNACK, (False, mqtt.BAD_PROTOCOL))
    assert opened.is_closed


def test_a_token_ends_its_connection(hub: TestHub) -> None:
    """An expired one is refused; one that expires while connected cuts the device off then."""
    device = hub.add_device("raw-expiry")
    opened = MqttDevice(hub.address, str(hub.root))
    old = hub.token(device, int(time.time()) - 1)
    assert opened.connect("raw-expiry", old, hub.address) == mqtt.UNAUTHORISED
    opened = MqttDevice(hub.address, str(hub.root))
    assert opened.connect("raw-expiry", hub.token(device, int(time.time()) + 6), hub.address) == mqtt.ACCEPTED
    assert opened.is_closed
    foreign = MqttDevice(hub.address, str(hub.root))
    other = hub.add_device("raw-expiry-2")
    token = hub.token(replace(other, device_id="raw-expiry"))
    assert foreign.connect("raw-expiry", token, hub.address) == mqtt.UNAUTHORISED


def test_a_silent_client_is_cut_off(hub: TestHub) -> None:
    """After one and a half times its keep-alive [MQTT-3.1.2-24]."""
    device = hub.add_device("raw-silent")
    began = time.monotonic()
    with connected(hub, device, keep_alive_s=1) as opened:
        assert opened.is_closed
        assert time.monotonic() - began > 1.4


def test_the_newest_connection_of_a_client_wins(hub: TestHub) -> None:
    """The older one is closed, as there is one connection a device."""
    device = hub.add_device("raw-twice")
    with connected(hub, device) as older, connected(hub, device) as newer:
        assert older.is_closed
        newer.send(mqtt_packets.PINGREQ_PACKET)
        assert newer.packet() == (mqtt.PINGRESP, b"")


def test_a_new_server_certificate_serves_new_connections_and_keeps_the_old(hub: TestHub) -> None:
    """Rotated under live connections: none dropped, none refused, another certificate for whoever comes then."""
    devices = [hub.add_device(f"raw-tls-{n}") for n in range(20)]
    opened = [MqttDevice(hub.address, str(hub.root)) for _ in devices]
    for device, connection in zip(devices, opened, strict=True):
        assert connection.connect(device.device_id, hub.token(device), hub.address) == mqtt.ACCEPTED
    before = opened[0].socket.getpeercert(binary_form=True)
    key_material(hub.settings).renew([hub.address, "localhost"], datetime.now(UTC))
    awaited(
        lambda: MqttDevice(hub.address, str(hub.root)).socket.getpeercert(binary_form=True) != before,
        "another certificate",
    )
    for device, connection in zip(devices, opened, strict=True):
        connection.send(event(device.device_id, b"still here"))
        assert connection.acknowledgement() == 1
        connection.close()


def test_a_route_copies_what_it_matches(hub: TestHub, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a property's value to another topic as well, or there only."""
    routes = MessageRoutes((Route("alarms", "level", "critical"), Route("noise", "debug", None, True)))
    ensure_routed_topics(broker, routes)
    parts = replace(hub.parts, routes=routes)
    device = hub.add_device("raw-route")
    monkeypatch.setattr("hub.listener.MqttSession", lambda _, link: MqttSession(parts, link))
    with connected(hub, device) as opened:
        opened.send(event("raw-route", b"1", 1, bag="level=critical"))
        opened.send(event("raw-route", b"2", 2, bag="level=low"))
        opened.send(event("raw-route", b"3", 3, bag="debug"))
        assert [opened.acknowledgement() for _ in range(3)] == [1, 2, 3]
    found = [(record.topic, record.value) for record in records(broker, "raw-route", ["telemetry", "alarms", "noise"])]
    assert found == [("telemetry", b"1"), ("telemetry", b"2"), ("alarms", b"1"), ("noise", b"3")]


def test_a_profile_holds_a_device_back(hub: TestHub, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In profile s1 a tenant's 100 messages a second pass, the rest waits its turn; nothing is lost."""
    parts = replace(hub.parts, quotas=Quotas("s1"))
    monkeypatch.setattr("hub.listener.MqttSession", lambda _, link: MqttSession(parts, link))
    device = hub.add_device("raw-quota")
    with connected(hub, device) as opened:
        began = time.monotonic()
        opened.send(b"".join(event("raw-quota", b"%d" % n, n) for n in range(1, 301)))
        assert [opened.acknowledgement() for _ in range(300)] == list(range(1, 301))
        assert time.monotonic() - began > 0.9
    assert len(_values(broker, "raw-quota")) == 300
