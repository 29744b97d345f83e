"""The built-in endpoint: who receives telemetry from this hub, and who has a partition for itself.

Belongs here: receivers and their owner levels, over all processes of a hub. How a receiver is spoken with belongs in
`hub.amqp`, reading in `telemetry_reader`.

A receiver with an owner level (the anchor's epoch) has a partition alone in its consumer group: one of a lower level,
or of none, is refused or sent away, and at the same level the newer goes before. Nothing of it is kept: a process
tells the others who came, and one that holds a higher level answers by telling of that. A process that missed changes
has none left: `session_table` cuts all its connections.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from hub.hub_errors import HubCode, HubError
from hub.messages.telemetry_reader import TelemetryReader
from hub.registry.change_feed import Change, record_change
from hub.registry.hub_registry import Registry

MOST_RECEIVERS = 256
NO_LEVEL = -1
_KIND = "receiver"


@dataclass(frozen=True, slots=True)
class Place:
    """What is received from: a partition, as one consumer group of a tenant sees it."""

    tenant: str
    group: str
    partition: int


@dataclass(eq=False, slots=True)
class Receiver:
    """Who receives; `send_away` ends it with a reason."""

    place: Place
    level: int
    send_away: Callable[[str], None]


class OwnedError(HubError):
    """The partition belongs to a receiver of a higher owner level."""

    def __init__(self, place: Place, level: int) -> None:
        super().__init__(
            HubCode.PreconditionFailed,
            f"Partition {place.partition} has a receiver of owner level {level} in the group {place.group!r}.",
        )


class BuiltInEndpoint:
    """The receivers of this process; made on the loop that they live in."""

    def __init__(self, bootstrap: str, registry: Registry, instance: str) -> None:
        self._bootstrap, self._registry, self._instance = bootstrap, registry, instance
        self._loop = asyncio.get_running_loop()
        self._receivers: set[Receiver] = set()
        registry.subscribe(self._tell)

    def reader(self) -> TelemetryReader:
        """A reader of telemetry; who takes it closes it."""
        return TelemetryReader(self._bootstrap)

    def enter(self, receiver: Receiver) -> None:
        """Take a receiver, and send those away that it goes before.

        Raises OwnedError when another has the place, HubError when there are too many.
        """
        if len(self._receivers) >= MOST_RECEIVERS:
            raise HubError(HubCode.ThrottlingException, f"This process has {MOST_RECEIVERS} receivers already.")
        highest = max((each.level for each in self._at(receiver.place)), default=NO_LEVEL)
        if highest > receiver.level:
            raise OwnedError(receiver.place, highest)
        self._give_way(receiver.place, receiver.level)
        self._receivers.add(receiver)
        self._announce(receiver)

    def leave(self, receiver: Receiver) -> None:
        """The receiver is gone."""
        self._receivers.discard(receiver)

    def _at(self, place: Place) -> list[Receiver]:
        return [each for each in self._receivers if each.place == place]

    def _give_way(self, place: Place, level: int) -> None:
        """Send those away that a newer receiver of that level goes before; those without a level share a place."""
        for each in self._at(place):
            if level != NO_LEVEL and each.level <= level:
                self._receivers.discard(each)
                each.send_away(str(OwnedError(place, level)))

    def _announce(self, receiver: Receiver) -> None:
        place = receiver.place
        detail = {
            "instance": self._instance, "tenant": place.tenant, "group": place.group, "partition": place.partition,
            "level": receiver.level,
        }  # fmt: skip
        self._registry.write(lambda tx: record_change(tx, _KIND, "", detail=detail))

    def _tell(self, change: Change) -> None:
        """In the feed's thread; the loop's may be gone when the process ends."""
        if change.kind == _KIND and change.detail["instance"] != self._instance and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._came_elsewhere, change)

    def _came_elsewhere(self, change: Change) -> None:
        place = Place(change.detail["tenant"], change.detail["group"], change.detail["partition"])
        self._give_way(place, change.detail["level"])
        for each in self._at(place):
            if each.level > change.detail["level"]:
                self._announce(each)
