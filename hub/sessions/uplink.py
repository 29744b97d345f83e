"""Uplink: messages of one connection on their way to Kafka, each acknowledged to the device once Kafka has it.

Belongs here: shapes by topic, what is in flight and in which order, and what is recognised as a repeat. The producer is
`landing`'s, the connection the session's.

A message that comes with DUP is a repeat when the client's former connection has it, in Kafka or on its way there:
then it is acknowledged and not produced again. A topic that has it not, of several, gets it under the mark of its first
connection. Nothing of this is written to the registry.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hub.messages.device_messages import TENANT, Author, Shape, digest, shape_of
from hub.messages.landing import DELIVERY_TIMEOUT_MS, Landing
from hub.messages.message_routes import MessageRoutes
from hub.messages.repeat_window import Mark, Window
from hub.registry.tenants import DEFAULT_TENANT
from wire.envelope import Headers
from wire.hub_topics import Bag
from wire.mqtt import Publish
from wire.mqtt_packets import puback

MOST_UNACKNOWLEDGED = 2000
_GO_ON = 1000
_SHAPES_KEPT = 32
# a connection whose peer acknowledges nothing of what was sent ends within 30 s (TCP_USER_TIMEOUT)
LOST_ACKS_MS = 32_000
_RETAINED = ("iothub-app-mqtt-retain", b"true")


class Sent:
    """A message in flight: `left` topics have not taken it yet, and one that is lost will not."""

    __slots__ = ("digest", "heir", "is_lost", "left", "packet_id")

    def __init__(self, packet_id: int, digested: bytes, left: int) -> None:
        self.packet_id, self.digest, self.left = packet_id, digested, left
        self.is_lost = False
        self.heir: tuple[Uplink, Sent] | None = None


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a client's next connection in this process must know of this one: what is on its way, what was a repeat."""

    on_the_way: Mapping[Mark, Sent] = field(default_factory=dict)
    recognised: frozenset[Mark] = frozenset()


class Traffic(Protocol):
    """What an uplink tells its session to do."""

    def write(self, data: bytes) -> None:
        """Send packets."""

    def pause(self, why: str) -> None:
        """Read nothing for a reason."""

    def resume(self, why: str) -> None:
        """A reason to read nothing is over."""

    def cut(self, reason: str) -> None:
        """Close."""


NOTHING_LEFT, _NOTHING_FOUND = Inheritance(), Window()


class Uplink:
    """The messages of one connection; a `landing.Waiter`."""

    __slots__ = (
        "_author", "_in_flight", "_is_open", "_is_over_limit", "_landing", "_recognised", "_routes", "_shapes",
        "_stamp", "_tenant", "_traffic", "inherited", "landed_any", "received_count", "repeated_count", "window",
    )  # fmt: skip

    def __init__(self, landing: Landing, routes: MessageRoutes, author: Author, traffic: Traffic, tenant: str) -> None:
        self._landing, self._routes, self._author, self._traffic, self._tenant = (
            landing,
            routes,
            author,
            traffic,
            tenant,
        )
        self._stamp: Headers | tuple[()] = () if tenant == DEFAULT_TENANT else [(TENANT, tenant.encode())]
        self._shapes: dict[bytes, Shape] = {}
        # lists and dicts, since an empty deque takes 600 bytes of an idle connection, and an empty set 200
        self._in_flight: list[Sent] = []
        self._is_over_limit = False
        self._is_open = True
        self._recognised: dict[Mark, None] = {}
        self.inherited = NOTHING_LEFT
        self.window = _NOTHING_FOUND
        self.landed_any = False
        self.received_count = 0
        self.repeated_count = 0

    def shape(self, topic: bytes) -> Shape | None:
        """The shape of messages to this topic, once it was learnt."""
        return self._shapes.get(topic)

    def learn(self, topic: bytes, bag: Bag, model_id: str | None, method: str, extra: Headers = []) -> Shape:  # noqa: B006
        """The shape that a bag gives; kept when other messages will have it."""
        made = shape_of(bag, model_id, method, [*extra, *self._stamp])
        if made.is_lasting and not extra and len(self._shapes) < _SHAPES_KEPT:
            self._shapes[topic] = made
        return made

    def publish(self, message: Publish, shape: Shape) -> None:
        """Take a message of QoS 0 or 1 to Kafka, or acknowledge it as the repeat that it is."""
        self.received_count += 1
        digested, epoch = b"", self._author.epoch
        topics = self._routes.topics(shape.properties, self._tenant)
        if message.packet_id:
            digested = digest(message.topic, message.payload)
            if message.is_dup:
                had = self.window.topics_with((message.packet_id, digested))
                if self._is_repeat(message.packet_id, digested, had.issuperset(topics)):
                    return
                if had:
                    # the topics that have it keep it: only those that it did not come to get it
                    topics, epoch = tuple(topic for topic in topics if topic not in had), self.window.epoch
                    self._recognised[message.packet_id, digested] = None
        if message.is_retained:
            shape = Shape(shape.message_id, shape.created, [*shape.rest, _RETAINED], shape.properties)
        self._give(message, shape, digested, topics, epoch)

    def _give(self, message: Publish, shape: Shape, digested: bytes, topics: tuple[str, ...], epoch: int) -> None:
        sent = Sent(message.packet_id, digested, len(topics))
        if message.packet_id:
            self._wait(sent)
        headers = self._author.headers(shape, self._landing.clock.now(), message.packet_id, digested, epoch)
        for topic in topics:
            self._landing.give(self, sent, topic, self._author.key, headers, message.payload)
        if epoch == self._author.epoch:
            self.landed_any = True

    def _wait(self, sent: Sent) -> None:
        self._in_flight.append(sent)
        if len(self._in_flight) >= MOST_UNACKNOWLEDGED and not self._is_over_limit:
            self._is_over_limit = True
            self._traffic.pause("unacknowledged")

    def _is_repeat(self, packet_id: int, digested: bytes, is_in_kafka: bool) -> bool:
        """True when the message is known; then it is acknowledged in its turn."""
        mark = (packet_id, digested)
        if any(sent.packet_id == packet_id and sent.digest == digested for sent in self._in_flight):
            return True
        orphan = self.inherited.on_the_way.get(mark)
        if orphan is not None and orphan.is_lost:
            orphan = None
        if orphan is None and not is_in_kafka and mark not in self.inherited.recognised:
            return False
        self.repeated_count += 1
        self._recognised[mark] = None
        sent = Sent(packet_id, digested, 1 if orphan is not None and orphan.left else 0)
        self._wait(sent)
        if orphan is not None and orphan.left:
            orphan.heir = (self, sent)
        else:
            self.settle()
        return True

    def acknowledge(self, packet_id: int) -> None:
        """Acknowledge, in its turn, what is not for Kafka."""
        self._wait(Sent(packet_id, b"", 0))
        self.settle()

    def landed(self, token: Any, error: str | None) -> None:
        """Kafka has a message, or never will: then the connection ends and the device sends it again."""
        sent: Sent = token
        if error is not None:
            # nobody may wait for it: the connection's end leaves it to no other
            sent.is_lost = True
            self._traffic.cut(f"Kafka did not take a message: {error}")
            if sent.heir is not None:
                sent.heir[0].landed(sent.heir[1], error)
            return
        sent.left -= 1
        if not sent.left and sent.heir is not None:
            # its heir may be gone too, and have an heir of its own
            heir, its = sent.heir
            heir.landed(its, None)
            heir.settle()

    def settle(self) -> None:
        """Acknowledge, in the order in which they came [MQTT-4.6.0-2], what Kafka has."""
        settled = 0
        for sent in self._in_flight:
            if sent.left:
                break
            settled += 1
        if settled:
            acknowledged, self._in_flight[:settled] = self._in_flight[:settled], []
            if self._is_open:
                self._traffic.write(b"".join([puback(sent.packet_id) for sent in acknowledged]))
        if self._is_over_limit and len(self._in_flight) <= _GO_ON:
            self._is_over_limit = False
            self._traffic.resume("unacknowledged")

    def fail(self, reason: str) -> None:
        """Something went wrong here: the connection ends."""
        self._traffic.cut(reason)

    def pause(self) -> None:
        """Kafka is behind."""
        self._traffic.pause("kafka")

    def resume(self) -> None:
        """Kafka has caught up."""
        self._traffic.resume("kafka")

    @property
    def unacknowledged(self) -> int:
        """How many messages wait for Kafka."""
        return len(self._in_flight)

    def end(self) -> Inheritance:
        """The connection is gone: nothing is acknowledged any more; what the next one must know."""
        self._is_open = False
        self._landing.forget(self)
        # a connection that gave nothing new leaves what it was left: its client may repeat that in the next one
        older = NOTHING_LEFT if self.landed_any else self.inherited
        on_the_way = {**older.on_the_way, **{(sent.packet_id, sent.digest): sent for sent in self._in_flight}}
        waiting = {mark: sent for mark, sent in on_the_way.items() if sent.left}
        on_the_way = {mark: sent for mark, sent in waiting.items() if not sent.is_lost}
        # a repeat of what Kafka has not taken yet may be one of what it never will
        known = older.recognised.union(self._recognised, older.on_the_way).difference(waiting)
        return Inheritance(on_the_way, frozenset(known))

    def repeats_since_ms(self, last_heard_ms: int) -> int | None:
        """From when on a repeat of this connection may lie in Kafka; None when nothing of it landed."""
        if not self.landed_any:
            return None
        now_ms = time.time_ns() // 1_000_000
        oldest = min(last_heard_ms, self._landing.low_water_ms() if self._in_flight else now_ms)
        if any(sent.is_lost for sent in self._in_flight):
            # one of its topics may have taken what another did not take in all that time
            oldest = min(oldest, now_ms - DELIVERY_TIMEOUT_MS)
        return oldest - LOST_ACKS_MS
