"""AMQP links of the built-in endpoint, as clients of Event Hubs ask for them: receiving, and what there is to receive.

Belongs here: addresses, filters and owner levels of a link, sending while its peer takes something, and $management.
What an event looks like belongs in `endpoint_events`, who may receive beside whom in `built_in_endpoint`.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from hub.amqp.amqp_links import Rights
from hub.amqp.endpoint_events import event_of, read_headers, tenant_of
from hub.hub_errors import HubCode, HubError
from hub.messages.telemetry_reader import Position, TelemetryReader
from hub.sessions.built_in_endpoint import NO_LEVEL, OwnedError, Place, Receiver
from hub.sessions.hub_parts import HubParts
from runtime.errors import LakehouseError, WireError
from wire.amqp_ends import Link
from wire.amqp_message import AmqpMessage
from wire.amqp_types import Described, Int, Long, Timestamp
from wire.envelope import TELEMETRY_TOPIC

MANAGEMENT = "$management"
NAMES = (TELEMETRY_TOPIC, "messages/events")
"""What the endpoint is called: by its topic, and as IoT Hub's own clients call it."""

_ADDRESS = re.compile(r"/?(.+)/ConsumerGroups/([^/]+)/Partitions/([0-9]{1,9})", re.IGNORECASE)
_SELECTOR = re.compile(
    r"\s*amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-time)\s*(>=?)\s*'(@latest|-?\d+)'\s*"
)
_FILTER, _EPOCH = "apache.org:selector-filter:string", "com.microsoft:epoch"
_SOURCE_FILTER = 7
_MOST_AT_ONCE = 100
_STOLEN = "amqp:link:stolen"


def is_endpoint(address: str) -> bool:
    """True for the address of a partition."""
    found = _ADDRESS.fullmatch(address)
    return found is not None and found[1].lower() in NAMES


def place_of(address: str, tenant: str) -> Place:
    """What an address of a partition means."""
    found = _ADDRESS.fullmatch(address)
    assert found is not None
    return Place(tenant, found[2].lower(), int(found[3]))


def position_of(source: Any) -> Position:
    """Where a link wants to begin, by its source's filter; without one at the oldest. Raises WireError."""
    fields = source.value if isinstance(source, Described) and isinstance(source.value, list) else []
    filters = fields[_SOURCE_FILTER] if len(fields) > _SOURCE_FILTER else None
    described = filters.get(_FILTER) if isinstance(filters, Mapping) else None
    text = described.value if isinstance(described, Described) else described
    if text is None:
        return Position(offset=0)
    found = _SELECTOR.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise WireError(f"The filter {text!r} is none by offset, sequence number or enqueued time.")
    name, comparison, value = found.groups()
    if value == "@latest":
        return Position()
    wanted = int(value) + (comparison == ">")
    return Position(since_ms=wanted) if name == "enqueued-time" else Position(offset=wanted)


def level_of(properties: Any) -> int:
    """The owner level that a link asks for, `NO_LEVEL` when it asks for none. Raises WireError."""
    level = properties.get(_EPOCH) if isinstance(properties, Mapping) else None
    if level is None:
        return NO_LEVEL
    if not isinstance(level, int) or level < 0:
        raise WireError(f"The owner level {level!r} is no number from 0 on.")
    return int(level)


class EventSender:
    """Sends events on a link from its beginning to its end; `run` is a task's."""

    def __init__(self, parts: HubParts, rights: Rights, link: Link) -> None:
        self._parts, self._rights, self._link = parts, rights, link
        self._wake = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    def wake(self) -> None:
        """The peer takes more, or wants to know that nothing is there."""
        self._wake.set()

    def cancel(self) -> None:
        """The link is over."""
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Take the link, or refuse it, and send until it ends."""
        self._task = asyncio.current_task()
        reader = self._parts.endpoint.reader()
        receiver: Receiver | None = None
        try:
            asked = self._link.asked
            place = place_of(self._link.address, self._rights.tenant())
            receiver = Receiver(place, level_of(asked.properties), self._sent_away)
            await reader.begin(place.partition, position_of(asked.source))
            self._parts.endpoint.enter(receiver)
            self._link.accept()
            await self._send(reader, place.tenant)
        except LakehouseError as error:
            end = self._link.detach if self._link.is_attached else self._link.refuse
            end(_condition(error), str(error))
        finally:
            if receiver is not None:
                self._parts.endpoint.leave(receiver)
            reader.close()

    def _sent_away(self, reason: str) -> None:
        self._link.detach(_STOLEN, reason)
        self.cancel()

    async def _send(self, reader: TelemetryReader, tenant: str) -> None:
        while True:
            await self._until_it_takes_some()
            records = await reader.read(min(self._link.credit, _MOST_AT_ONCE))
            for record in records:
                headers = read_headers(record)
                if headers is not None and tenant_of(headers) == tenant:
                    await self._until_it_takes_some()
                    self._link.send(event_of(record, headers).encoded())
            if not records:
                self._link.drained()

    async def _until_it_takes_some(self) -> None:
        while not self._link.can_send:
            self._wake.clear()
            await self._wake.wait()


def _condition(error: LakehouseError) -> str:
    if isinstance(error, OwnedError):
        return _STOLEN
    if isinstance(error, WireError):
        return "com.microsoft:argument-error"
    is_refused = isinstance(error, HubError) and error.code is HubCode.IotHubUnauthorizedAccess
    return "amqp:unauthorized-access" if is_refused else "com.microsoft:server-busy"


async def answer_management(rights: Rights, reader: TelemetryReader, asked: AmqpMessage) -> AmqpMessage:
    """What a READ on $management is answered."""
    status, description, value = 200, "OK", None
    try:
        rights.tenant()
        value = await _read(reader, asked.application)
    except WireError as error:
        status, description = 404, str(error)
    except LakehouseError as error:
        status, description = error.code.status if isinstance(error, HubError) else 500, str(error)
    return AmqpMessage(
        value=value,
        properties={"correlation_id": asked.properties.get("message_id")},
        application={"status-code": Int(status), "status-description": description},
    )


async def _read(reader: TelemetryReader, asked: Mapping[str, Any]) -> dict[str, Any]:
    name, kind = str(asked.get("name", "")), asked.get("type")
    if asked.get("operation") != "READ" or name.strip("/").lower() not in NAMES:
        raise WireError(f"There is nothing to {asked.get('operation')} of {name!r}.")
    partitions = [str(each) for each in await reader.partitions()]
    if kind == "com.microsoft:eventhub":
        # nobody knows when the topic was made
        return {"name": name, "type": kind, "created_at": Timestamp(0), "partition_count": Int(len(partitions)),
                "partition_ids": tuple(partitions)}  # fmt: skip
    partition = str(asked.get("partition", ""))
    if kind != "com.microsoft:partition" or partition not in partitions:
        raise WireError(f"There is no {kind} {partition!r}.")
    found = await reader.holding(int(partition))
    return {
        "name": name, "type": kind, "partition": partition, "begin_sequence_number": Long(found.first),
        "last_enqueued_sequence_number": Long(found.last), "last_enqueued_offset": str(found.last),
        "last_enqueued_time_utc": Timestamp(found.last_at_ms), "is_partition_empty": found.is_empty,
    }  # fmt: skip
