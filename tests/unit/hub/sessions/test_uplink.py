"""Messages over several connections of a client: each is acknowledged once Kafka has it, and none twice in Kafka."""

import time
from typing import cast

from hub.messages.device_messages import DELIVERY, Author, Shape, digest, shape_of
from hub.messages.landing import DELIVERY_TIMEOUT_MS, Landing
from hub.messages.message_routes import MessageRoutes, Route
from hub.messages.repeat_window import Window
from hub.sessions.uplink import Inheritance, Uplink
from tests.support.small_hub import NotedLanding
from wire.mqtt import Publish
from wire.mqtt_packets import puback

SHAPE = shape_of({}, None, "sas", [])
TOPIC = b"devices/d/messages/events/"
ROUTES = MessageRoutes((Route("alarms", "level", "critical"),))
CRITICAL = shape_of({"level": "critical"}, None, "sas", [])
NEW, AGAIN = 2, 2 | 8


class Connection:
    """An uplink; `sent` is what its client gets, `ended_by` why it was ended."""

    def __init__(
        self, landing: NotedLanding, epoch: int, inherited: Inheritance | None = None, window: Window | None = None
    ) -> None:
        self.sent: list[bytes] = []
        self.ended_by: list[str] = []
        author = Author("d", "", "h", epoch)
        self.uplink = Uplink(cast(Landing, landing), ROUTES, author, self, "default")
        if inherited is not None:
            self.uplink.inherited = inherited
        if window is not None:
            self.uplink.window = window

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def pause(self, why: str) -> None:
        pass

    def resume(self, why: str) -> None:
        pass

    def cut(self, reason: str) -> None:
        self.ended_by.append(reason)

    def publish(self, packet_id: int, flags: int, shape: Shape = SHAPE) -> None:
        self.uplink.publish(Publish(TOPIC, packet_id, b"%d" % packet_id, flags), shape)


def mark(packet_id: int) -> tuple[int, bytes]:
    return packet_id, digest(TOPIC, b"%d" % packet_id)


def kafka_tells(landing: NotedLanding, error: str | None = None) -> None:
    given, landing.given = landing.given, []
    for waiter, token, *_ in given:
        waiter.landed(token, error)
    for waiter, *_ in given:
        waiter.settle()


def test_a_message_is_acknowledged_over_two_takeovers() -> None:
    """Kafka is slow, two connections go meanwhile: the third gets the PUBACK, and those behind it theirs."""
    landing = NotedLanding()
    first = Connection(landing, 1)
    first.publish(1, NEW)
    second = Connection(landing, 2, first.uplink.end())
    second.publish(1, AGAIN)
    third = Connection(landing, 3, second.uplink.end())
    third.publish(1, AGAIN)
    third.publish(2, NEW)
    assert len(landing.given) == 2
    kafka_tells(landing)
    assert b"".join(third.sent) == puback(1) + puback(2)
    assert third.uplink.unacknowledged == 0


def test_what_is_on_its_way_is_known_over_a_connection_that_repeats_only_part_of_it() -> None:
    """The connection after that gives nothing to Kafka again, and acknowledges all."""
    landing = NotedLanding()
    first = Connection(landing, 1)
    for packet_id in (1, 2, 3):
        first.publish(packet_id, NEW)
    second = Connection(landing, 2, first.uplink.end())
    second.publish(1, AGAIN)
    third = Connection(landing, 3, second.uplink.end())
    for packet_id in (1, 2, 3):
        third.publish(packet_id, AGAIN)
    assert len(landing.given) == 3
    kafka_tells(landing)
    assert b"".join(third.sent) == puback(1) + puback(2) + puback(3)


def test_a_message_that_kafka_did_not_take_is_given_anew() -> None:
    """Its connection ends, and the next one does not wait for it, whether it came before or after the failure."""
    for is_early in (True, False):
        landing = NotedLanding()
        first = Connection(landing, 1)
        first.publish(1, NEW)
        left = first.uplink.end() if is_early else None
        kafka_tells(landing, "timed out")
        assert first.ended_by
        second = Connection(landing, 2, left or first.uplink.end())
        second.publish(1, AGAIN)
        assert len(landing.given) == 1
        kafka_tells(landing)
        assert second.sent == [puback(1)]


def test_a_repeated_message_goes_to_the_topic_that_it_did_not_come_to() -> None:
    """One of its two topics has it: the other gets it, under the mark of its first connection, before the PUBACK."""
    landing = NotedLanding()
    window = Window(1, {"telemetry": frozenset({mark(1), mark(2)}), "alarms": frozenset({mark(2)})})
    second = Connection(landing, 2, window=window)
    second.publish(1, AGAIN, CRITICAL)
    second.publish(2, AGAIN, CRITICAL)
    ((_, _, topic, key, headers, payload),) = landing.given
    assert (topic, key, payload) == ("alarms", b"d", b"1")
    assert dict(headers)[DELIVERY] == b"1-1-%b" % mark(1)[1]
    assert not second.sent
    kafka_tells(landing)
    assert b"".join(second.sent) == puback(1) + puback(2)
    third = Connection(landing, 3, second.uplink.end())
    third.publish(1, AGAIN, CRITICAL)
    assert not landing.given
    assert third.sent == [puback(1)]


def test_a_repeat_of_what_kafka_did_not_take_is_given_anew() -> None:
    """Though a connection between knew it as on its way: on its way is not there yet."""
    for is_early in (True, False):
        landing = NotedLanding()
        first = Connection(landing, 1)
        first.publish(1, NEW)
        second = Connection(landing, 2, first.uplink.end())
        second.publish(1, AGAIN)
        left = second.uplink.end() if is_early else None
        kafka_tells(landing, "timed out")
        third = Connection(landing, 3, left or second.uplink.end())
        third.publish(1, AGAIN)
        assert len(landing.given) == 1
        assert not third.sent


def test_what_was_on_its_way_and_came_is_known_over_a_connection_that_sent_nothing() -> None:
    """Nothing is given to Kafka again."""
    landing = NotedLanding()
    first = Connection(landing, 1)
    first.publish(1, NEW)
    second = Connection(landing, 2, first.uplink.end())
    kafka_tells(landing)
    third = Connection(landing, 3, second.uplink.end())
    third.publish(1, AGAIN)
    assert not landing.given
    assert third.sent == [puback(1)]


def test_what_one_topic_did_not_take_is_looked_for_in_the_others_as_long_as_that_took() -> None:
    """The other topic may have it since before Kafka's time-out began."""
    landing = NotedLanding()
    first = Connection(landing, 1)
    first.publish(1, NEW, CRITICAL)
    (telemetry, alarms) = landing.given
    now_ms = time.time_ns() // 1_000_000
    landing.low_water_ms = lambda: now_ms  # type: ignore[method-assign]
    first.uplink.landed(telemetry[1], None)
    first.uplink.landed(alarms[1], "timed out")
    since_ms = first.uplink.repeats_since_ms(now_ms)
    assert since_ms is not None
    assert since_ms < now_ms - DELIVERY_TIMEOUT_MS


def test_what_is_not_for_kafka_is_acknowledged_in_its_turn() -> None:
    """A request that came behind a message has its PUBACK behind that of the message [MQTT-4.6.0-2]."""
    landing = NotedLanding()
    connection = Connection(landing, 1)
    connection.publish(1, NEW)
    connection.uplink.acknowledge(2)
    assert not connection.sent
    kafka_tells(landing)
    connection.uplink.acknowledge(3)
    assert b"".join(connection.sent) == puback(1) + puback(2) + puback(3)
