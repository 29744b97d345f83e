"""Downlink: what goes to a device over its connection: cloud messages, direct methods, desired properties.

Belongs here: subscriptions, what each lets through, and waiting for the device's answers. What is queued belongs in
the registry, the connection in its session.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from hub.hub_errors import HubCode, HubError
from hub.methods import MethodResult
from hub.registry.cloud_queue import CloudMessage
from hub.registry.hub_registry import Registry
from runtime.errors import LakehouseError, WireError
from wire import hub_topics as topics
from wire.mqtt import SUBSCRIPTION_FAILED
from wire.mqtt_packets import publish

MOST_SUBSCRIPTIONS = 5
# Source: the anchor sends cloud messages one after the other too; a few on the way keep a slow line busy
_ON_THE_WAY = 8
_STATUS = re.compile("-?[0-9]{1,9}")
_log = logging.getLogger(__name__)


class Downlink:
    """The way down to one client. `filters` are its subscriptions and the QoS that was granted.

    Without them it is that of a client that registers: it hears what became of that, and nothing that is meant for a
    device of its name, which may be another's.
    """

    __slots__ = (
        "_calls", "_client", "_device_id", "_held", "_is_due", "_is_open", "_is_registering", "_module_id", "_pump",
        "_registry", "_write", "filters",
    )  # fmt: skip

    def __init__(
        self, registry: Registry, client: str, write: Callable[[bytes], None], filters: Mapping[str, int] | None = None
    ) -> None:
        self._registry, self._client, self._write = registry, client, write
        self._device_id, _, self._module_id = client.partition("/")
        self._is_registering = filters is None
        self.filters: dict[str, int] = dict(filters or {})
        self._calls: dict[str, asyncio.Future[MethodResult]] = {}
        # by packet id: which message, and its lock
        self._held: dict[int, tuple[tuple[int, int], str]] = {}
        self._is_open = True
        self._pump: asyncio.Task[None] | None = None
        self._is_due = False

    def subscribe(self, wished: Iterable[tuple[str, int]]) -> list[int]:
        """The QoS granted for each filter; what is no topic of this client, and the sixth, is refused."""
        granted: list[int] = []
        for name, qos in wished:
            if not self._is_ours(name) or (name not in self.filters and len(self.filters) >= MOST_SUBSCRIPTIONS):
                granted.append(SUBSCRIPTION_FAILED)
                continue
            self.filters[name] = min(qos, 1)
            granted.append(self.filters[name])
        return granted

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Forget filters."""
        for name in names:
            self.filters.pop(name, None)

    def _is_ours(self, name: str) -> bool:
        ours = {topics.REGISTRATION_ANSWERS} if self._is_registering else _topics_of(self._client)
        return name.endswith("#") and name[:-1] in ours

    def takes(self, kind: str) -> bool:
        """True when the client subscribed to topics that begin so."""
        return f"{kind}#" in self.filters

    # direct methods

    async def call(self, method: str, payload: bytes, timeout_s: float) -> MethodResult:
        """Call a method. Raises HubError when the client takes none, or gives no answer in time."""
        if not self.takes(topics.METHODS):
            raise HubError(HubCode.DeviceNotOnline, f"{self._client!r} is connected and takes no direct methods.")
        request_id = secrets.token_hex(4)
        answer: asyncio.Future[MethodResult] = asyncio.get_running_loop().create_future()
        self._calls[request_id] = answer
        try:
            self._write(publish(topics.method_topic(method, request_id), payload))
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            raise HubError(
                HubCode.DeviceTimeout, f"{self._client!r} gave no answer to {method!r} within {timeout_s:g} s."
            ) from None
        finally:
            del self._calls[request_id]

    def answered(self, status: str, request_id: str | None, payload: bytes) -> None:
        """The device answered a method; an answer to nothing is dropped."""
        call = self._calls.get(request_id or "")
        if call is not None and not call.done() and _STATUS.fullmatch(status):
            call.set_result(MethodResult(int(status), payload))

    # twin

    def desired_changed(self, patch: Mapping[str, Any], version: int) -> None:
        """Tell the client of changed desired properties."""
        if self.takes(topics.TWIN_DESIRED):
            body = orjson.dumps({**patch, "$version": version})
            self._write(publish(topics.desired_topic(version), body))

    # cloud messages

    def deliver(self) -> None:
        """Something may wait in the queue: send it if the client takes it."""
        if not self.takes(topics.inbox_of(self._client)) or self._module_id or not self._is_open:
            return
        self._is_due = True
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._send_waiting())

    async def _send_waiting(self) -> None:
        try:
            while self._is_due and self._is_open and len(self._held) < _ON_THE_WAY:
                self._is_due = False  # what is put in from now on sets it again, whether this look sees it or not
                message = await asyncio.wrap_future(self._registry.take_cloud_message(self._device_id))
                if message is None:
                    continue
                if self._is_open and self._held.get(_packet_id(message), (_which(message), ""))[0] == _which(message):
                    self._is_due = True
                    self._send(message)
                else:
                    # nobody is there, or another message has its packet id, whose PUBACK has this look again
                    self._registry.put_back_cloud_message(message)
        except LakehouseError as error:
            _log.warning("No cloud messages for %s: %s", self._client, error)
        finally:
            self._pump = None

    def _send(self, message: CloudMessage) -> None:
        lock, is_sure = message.lock_token or "", self.filters.get(f"{topics.inbox_of(self._client)}#") != 0
        packet_id = _packet_id(message) if is_sure else 0
        try:
            topic = topics.inbox_of(self._client) + topics.write_bag(_bag(message, self._client))
            packet = publish(topic, message.body, packet_id, is_dup=is_sure and message.was_taken)
        except (WireError, UnicodeEncodeError) as error:
            # those behind it must not wait for what can never be sent
            _log.warning("A cloud message for %s was rejected: %s", self._client, error)
            self._registry.reject_cloud_message(self._device_id, lock)
            return
        if is_sure:
            self._held[packet_id] = (_which(message), lock)
        self._write(packet)
        if not is_sure:
            # nobody will say that it came: sent is delivered
            self._registry.complete_cloud_message(self._device_id, lock)

    def acknowledged(self, packet_id: int) -> None:
        """The device has a cloud message."""
        held = self._held.pop(packet_id, None)
        if held is not None:
            # a lock that was lost meanwhile: the message will come again
            self._registry.complete_cloud_message(self._device_id, held[1])
            self.deliver()

    def end(self) -> None:
        """The connection is gone: whoever waits for an answer gets none, unacknowledged messages wait again."""
        self._is_open = False
        for call in self._calls.values():
            if not call.done():
                # not DeviceNotOnline, after which it is called again: it may have done what it was asked
                call.set_exception(HubError(HubCode.DeviceTimeout, f"{self._client!r} has gone without an answer."))
        if self._held:
            self._registry.release_cloud_messages(self._device_id, tuple(lock for _, lock in self._held.values()))
        self._held.clear()


def _which(message: CloudMessage) -> tuple[int, int]:
    """SQLite gives the number of a message that was purged to the next one: the moment tells them apart."""
    return message.n, message.enqueued_at


def _packet_id(message: CloudMessage) -> int:
    """The same each time that it is sent, by whichever process [MQTT-4.4.0-1]; two rarely share one."""
    return (message.n - 1) % 65_535 + 1


def _topics_of(client: str) -> set[str]:
    return {
        topics.inbox_of(client), topics.inputs_of(client), topics.METHODS, topics.TWIN_ANSWERS, topics.TWIN_DESIRED,
    }  # fmt: skip


def _bag(message: CloudMessage, client: str) -> list[tuple[str, str | None]]:
    to = message.system.get("to") or f"/{topics.inbox_of(client).rstrip('/')}"
    named = {"to": to, **{name: value for name, value in message.system.items() if name != "to"}}
    system = [(f"$.{name}", str(value)) for name, value in named.items() if value]
    own = [(name, None if value is None else str(value)) for name, value in message.properties.items()]
    ack = [("iothub-ack", message.ack)] if message.ack != "none" else []
    return [*system, *ack, *own]
