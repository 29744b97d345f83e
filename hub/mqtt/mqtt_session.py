"""An MQTT connection of a device or module, from its CONNECT to its end.

Belongs here: the order of things: admission, one packet after the other, keep-alive, the will, the end. Messages up
belong in `uplink`, what goes down in `downlink`, twin requests in `twin_requests`, registrations in `provisioning`.
"""

import asyncio
import sys
import time
from contextlib import ExitStack

from hub.access.admission import Admitted
from hub.hub_errors import HubCode, HubError
from hub.links.link import Link
from hub.messages.device_messages import Author
from hub.mqtt.packet_flow import PacketFlow
from hub.mqtt.provisioning import Registering
from hub.mqtt.twin_requests import answer_twin
from hub.sessions.downlink import Downlink
from hub.sessions.hub_parts import HubParts
from hub.sessions.uplink import Uplink
from runtime.errors import LakehouseError, WireError
from wire import hub_topics as topics
from wire import mqtt, mqtt_packets
from wire.mqtt import Connect, Publish

LARGEST_MESSAGE = 256 * 1024
# the packet is the message with its topic, which has its properties
_LARGEST_PACKET = LARGEST_MESSAGE + 2
# a will has 64 KB at most, and its topic has its properties
_LARGEST_CONNECT = 80 * 1024
_CONNECT_WITHIN_S = 30.0
_LONGEST_SILENCE_S = 1767.0


class MqttSession(PacketFlow):
    """A device's or module's connection, or that of a client that registers."""

    __slots__ = (
        "_began_s", "_has_begun", "_is_clean", "_model_id", "_parts", "_registering", "_silence_s", "_will",
        "admitted", "downlink", "host", "opened", "token", "uplink",
    )  # fmt: skip

    def __init__(self, parts: HubParts, link: Link) -> None:
        super().__init__(link, _LARGEST_PACKET, _LARGEST_CONNECT)
        self._parts = parts
        self._has_begun, self._is_clean = False, False
        self._registering: Registering | None = None
        self._will: tuple[Publish, topics.Bag] | None = None
        self._began_s, self._silence_s = time.monotonic(), _CONNECT_WITHIN_S
        self.host = ""
        self.token: str | None = None
        self.admitted: Admitted | None = None
        self.uplink: Uplink | None = None
        self.downlink: Downlink | None = None
        parts.sessions.arrived(self)

    def too_large(self) -> None:
        """A packet was larger than an IoT hub takes."""
        self._parts.counts.too_large += 1

    def ended(self) -> None:
        """The connection is gone: the will, and word to who counts on the client."""
        silent_s = time.monotonic() - self._heard_s
        with ExitStack() as rest:
            # each is done, last first, whatever becomes of the others
            rest.callback(self._parts.sessions.left, self)
            if self.downlink is not None:
                rest.callback(self.downlink.end)
            rest.callback(self._parts.sessions.ended, self, int((time.time() - silent_s) * 1000))
            has_said_so = any(first >> 4 == mqtt.DISCONNECT for first, _ in self._held or ())
            if self._will is not None and not has_said_so:
                self._publish_will(*self._will)

    def tick(self, now_s: float, wall_s: float) -> None:
        """A second has passed: end what is silent, or whose credentials have."""
        if self._pauses:
            # we did not listen: it is not the client that is silent
            self._heard_s = now_s
        if not self._has_begun and now_s - self._began_s > _CONNECT_WITHIN_S:
            # bytes of it that come one by one win no time
            self.cut("no CONNECT came")
        elif now_s - self._heard_s > self._silence_s:
            self.cut(f"nothing came for {now_s - self._heard_s:.0f} s")
        elif self.admitted is not None and wall_s >= self.admitted.until_s:
            self.cut("its credentials have expired")

    # packets

    def take(self, first: int, body: bytes) -> None:
        """A packet has its turn."""
        kind = first >> 4
        if not self._has_begun:
            self._begin(kind, body)
        elif kind == mqtt.PUBLISH:
            self._published(mqtt.read_publish(first, body))
        elif kind == mqtt.PUBACK:
            packet_id = mqtt.read_packet_id(body)
            if self.downlink is not None:
                self.downlink.acknowledged(packet_id)
        elif kind == mqtt.SUBSCRIBE:
            self._subscribed(mqtt.read_subscribe(body))
        elif kind == mqtt.UNSUBSCRIBE:
            self._unsubscribed(mqtt.read_unsubscribe(body))
        elif kind == mqtt.PINGREQ:
            mqtt.read_empty(body)
            self.write(mqtt_packets.PINGRESP_PACKET)
        elif kind == mqtt.DISCONNECT:
            mqtt.read_empty(body)
            self._will = None
            self.cut("it said so")
        else:
            self.cut(f"a packet of kind {kind} from a client")

    def _begin(self, kind: int, body: bytes) -> None:
        if kind != mqtt.CONNECT:
            raise WireError("The first packet is no CONNECT.")  # [3.1.0-1]
        try:
            connect = mqtt.read_connect(body)
        except mqtt.UnknownLevelError:
            self.write(mqtt_packets.connack(mqtt.BAD_PROTOCOL))
            raise
        self._has_begun, self._is_clean = True, connect.clean
        self.wait_for(self._admit(connect))

    async def _admit(self, connect: Connect) -> None:
        if not connect.client_id:
            self._refuse(mqtt.BAD_CLIENT_ID, WireError("A CONNECT without a client id."))  # [3.1.3-8, -9]
            return
        username = connect.username or ""
        try:
            if topics.is_registration(username):
                self._registering = Registering(self._parts, connect, self._link.peer_chain())
                self.downlink = Downlink(self._parts.registry, connect.client_id, self.write)
                self.client = connect.client_id
                is_present = False
            else:
                is_present = await self._open(connect, topics.read_username(username))
        except HubError as error:
            is_later = error.code is HubCode.ThrottlingException
            self._refuse(mqtt.UNAVAILABLE if is_later else mqtt.UNAUTHORISED, error)
        except WireError as error:
            self._refuse(mqtt.UNAUTHORISED, error)
        except LakehouseError as error:
            self._refuse(mqtt.UNAVAILABLE, error)
        else:
            self._silence_s = min(connect.keep_alive_s * 1.5, _LONGEST_SILENCE_S) or _LONGEST_SILENCE_S
            self.write(mqtt_packets.connack(mqtt.ACCEPTED, is_session_present=is_present))
            self._parts.sessions.opened(self)
            if self.downlink is not None:
                self.downlink.deliver()

    def _refuse(self, code: int, error: Exception) -> None:
        self._parts.counts.refused += 1
        self.write(mqtt_packets.connack(code))
        self.cut(str(error))

    async def _open(self, connect: Connect, username: topics.Username) -> bool:
        """Admit the client and take it over from where it was connected before; True when it had subscriptions."""
        if username.client != connect.client_id:
            raise WireError(f"The client id {connect.client_id!r} is not the user name's {username.client!r}.")
        # the same few names stand in every device's CONNECT
        self.client, self.host = username.client, sys.intern(username.host)
        self.token = (connect.password or b"").decode("utf-8", "replace") or None
        will = None if connect.will is None else _message_of(connect.will, self.client)
        admitted = self._parts.admission.admit(self.host, self.client, self.token, self._link.peer_chain())
        if not self._parts.quotas.take("connects", admitted.identity.tenant):
            raise HubError(HubCode.ThrottlingException, "Too many connects.")
        opened = await self._parts.sessions.take_over(self, admitted, username.model_id, connect.clean)
        identity = admitted.identity
        author = Author(identity.device_id, identity.module_id, self._parts.instance, opened.epoch)
        self.uplink = Uplink(self._parts.landing, self._parts.routes, author, self, identity.tenant)
        self.uplink.inherited = self._parts.sessions.inheritance(self.client)
        self.downlink = Downlink(self._parts.registry, self.client, self.write, opened.filters)
        self.admitted, self.opened, self._model_id = admitted, opened, username.model_id
        self._will = will
        return bool(opened.filters)

    def _published(self, message: Publish) -> None:
        if message.qos == 2:
            self._parts.counts.qos2 += 1
            raise WireError("A message of QoS 2, which an IoT hub does not take.")
        uplink = self.uplink
        shape = None if uplink is None else uplink.shape(message.topic)
        if uplink is None or shape is None:
            route = topics.read_route(mqtt.checked_topic(message.topic), self.client)
            if route is None:
                raise WireError(f"{self.client!r} published to {message.topic!r}, which is none of its topics.")
            if not route.kind.endswith("/messages/events/"):
                self._requested(route, message)
                return
            if uplink is None or self.admitted is None:
                raise WireError("A registering client sent a message.")
            shape = uplink.learn(message.topic, route.bag, self._model_id, self.admitted.method)
        if message.is_dup and message.packet_id and self.opened.previous and not self.opened.is_looked_up:
            self.wait_for(self._look_back(message))
            return
        delay_s = self._parts.quotas.delay_s("messages", self.admitted.identity.tenant if self.admitted else "")
        uplink.publish(message, shape)
        if delay_s:
            self.wait_for(asyncio.sleep(delay_s))

    async def _look_back(self, message: Publish) -> None:
        """A message that was sent before, the first in this connection: find what the former ones brought to Kafka.

        Raises PlatformError when Kafka cannot be read.
        """
        assert self.uplink is not None  # only connections that are open look back
        assert self.admitted is not None
        key, opened = self.admitted.identity.device_id.encode(), self.opened
        found = self._parts.windows.find(self._parts.routes.every_topic(), key, opened.previous, opened.since_ms)
        self.uplink.window = await asyncio.wrap_future(found)
        self.opened.is_looked_up = True
        self._published(message)

    def _requested(self, route: topics.Route, message: Publish) -> None:
        if message.packet_id and self.uplink is not None:
            self.uplink.acknowledge(message.packet_id)
        elif message.packet_id:
            self.write(mqtt_packets.puback(message.packet_id))
        request_id = route.bag.get("$rid") or ""
        if self._registering is not None:
            self.wait_for(self._registering.answer(route, request_id, message.payload, self.write))
        elif route.kind == topics.METHOD_ANSWERS and self.downlink is not None:
            self.downlink.answered(route.rest, request_id, message.payload)
        elif route.kind in (topics.TWIN_GET, topics.TWIN_REPORT) and self.admitted is not None:
            self.wait_for(answer_twin(self._parts, self.admitted.identity, route, message.payload, self.write))
        else:
            raise WireError(f"{self.client!r} asked for {route.kind!r}, which is not for it.")

    def _subscribed(self, packet: mqtt.Subscribe) -> None:
        assert self.downlink is not None  # there since CONNACK
        self.write(mqtt_packets.suback(packet.packet_id, self.downlink.subscribe(packet.filters)))
        self._keep_filters()
        if self.admitted is not None:
            self._parts.sessions.opened(self)
        self.downlink.deliver()

    def _unsubscribed(self, packet: mqtt.Unsubscribe) -> None:
        assert self.downlink is not None  # there since CONNACK
        self.downlink.unsubscribe(packet.filters)
        self.write(mqtt_packets.unsuback(packet.packet_id))
        self._keep_filters()

    def _keep_filters(self) -> None:
        if not self._is_clean and self.downlink is not None and self.admitted:
            self._parts.sessions.keep_filters(self.admitted.identity, self.downlink.filters)

    def _publish_will(self, will: Publish, bag: topics.Bag) -> None:
        if self.uplink is not None and self.admitted is not None:
            extra = [("iothub-MessageType", b"Will")]
            self.uplink.publish(will, self.uplink.learn(will.topic, bag, self._model_id, self.admitted.method, extra))


def _message_of(will: mqtt.Will, client: str) -> tuple[Publish, topics.Bag] | None:
    """A will as the message that it becomes; None for one that is not to the client's messages, or too large.

    Raises WireError for a topic whose properties cannot be read: at CONNECT, where somebody is there to be told.
    """
    route = topics.read_route(will.topic, client)
    if route is None or route.kind != topics.events_of(client) or len(will.payload) + len(will.topic) > LARGEST_MESSAGE:
        return None
    return Publish(will.topic.encode(), 0, will.payload, int(will.retain)), route.bag
