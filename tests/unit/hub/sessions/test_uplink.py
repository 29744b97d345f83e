"""Messages over several connections of a client: each is acknowledged once Kafka has it, and none twice in Kafka."""

from typing import cast

from hub.messages.device_messages import Author, shape_of
from hub.messages.landing import Landing
from hub.messages.message_routes import MessageRoutes
from hub.sessions.uplink import Inheritance, Traffic, Uplink
from tests.support.small_hub import NotedLanding
from wire.mqtt import Publish
from wire.mqtt_packets import puback

SHAPE = shape_of({}, None, "sas", [])
TOPIC = b"devices/d/messages/events/"
NEW, AGAIN = 2, 2 | 8


class Connection:
    """An uplink; `sent` is what its client gets, `ended_by` why it was ended."""

    def __init__(self, landing: NotedLanding, epoch: int, inherited: Inheritance | None = None) -> None:
        self.sent: list[bytes] = []
        self.ended_by: list[str] = []
        traffic = Traffic(self.sent.append, lambda _: None, lambda _: None, self.ended_by.append)
        author = Author("d", "", "h", epoch)
        self.uplink = Uplink(cast(Landing, landing), MessageRoutes(), author, traffic, "default")
        if inherited is not None:
            self.uplink.inherited = inherited

    def publish(self, packet_id: int, flags: int) -> None:
        self.uplink.publish(Publish(TOPIC, packet_id, b"%d" % packet_id, flags), SHAPE)


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
