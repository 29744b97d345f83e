"""Receivers of the built-in endpoint: which goes before which, in one process and over several."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.amqp.endpoint_links import is_endpoint, level_of, place_of, position_of
from hub.messages.telemetry_reader import Position
from hub.registry.hub_registry import Registry
from hub.sessions.built_in_endpoint import NO_LEVEL, BuiltInEndpoint, OwnedError, Place, Receiver
from runtime.errors import WireError
from wire.amqp_types import Described, Long, Symbol, Ulong

PLACE = Place("default", "$default", 3)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    yield made
    made.close()


class Peer:
    """A receiver that notes when it is sent away."""

    def __init__(self, level: int, place: Place = PLACE) -> None:
        self.gone = asyncio.Event()
        self.receiver = Receiver(place, level, lambda _reason: self.gone.set())


def test_a_level_sends_away_those_below_and_its_equals(registry: Registry) -> None:
    """A lower level, and none, are refused afterwards; another partition and another group are another's."""

    async def scenario() -> None:
        endpoint = BuiltInEndpoint("nowhere", registry, "a")
        none, one, again, elsewhere = Peer(NO_LEVEL), Peer(1), Peer(1), Peer(0, Place("default", "other", 3))
        for peer in (none, elsewhere, one):
            endpoint.enter(peer.receiver)
        assert (none.gone.is_set(), elsewhere.gone.is_set(), one.gone.is_set()) == (True, False, False)
        for level in (NO_LEVEL, 0):
            with pytest.raises(OwnedError):
                endpoint.enter(Peer(level).receiver)
        endpoint.enter(again.receiver)
        assert one.gone.is_set()
        endpoint.leave(again.receiver)
        endpoint.enter(Peer(NO_LEVEL).receiver)

    asyncio.run(scenario())


def test_receivers_without_a_level_share_a_partition(registry: Registry) -> None:
    """None of them sends another away."""

    async def scenario() -> None:
        endpoint, peers = BuiltInEndpoint("nowhere", registry, "a"), [Peer(NO_LEVEL) for _ in range(3)]
        for peer in peers:
            endpoint.enter(peer.receiver)
        assert not any(peer.gone.is_set() for peer in peers)

    asyncio.run(scenario())


def test_levels_hold_over_processes(registry: Registry) -> None:
    """Who comes to another process sends lower ones away here, and is sent away there by a higher one here."""

    async def scenario() -> None:
        here, there = BuiltInEndpoint("nowhere", registry, "a"), BuiltInEndpoint("nowhere", registry, "b")
        none, higher, lower, late = Peer(NO_LEVEL), Peer(7), Peer(5), Peer(NO_LEVEL)
        here.enter(none.receiver)
        there.enter(higher.receiver)
        await asyncio.wait_for(none.gone.wait(), 10)
        for peer in (lower, late):
            here.enter(peer.receiver)
            await asyncio.wait_for(peer.gone.wait(), 10)
        assert not higher.gone.is_set()

    asyncio.run(scenario())


def source(selector: object) -> Described:
    name = Symbol("apache.org:selector-filter:string")
    return Described(Ulong(0x28), ["a", None, None, None, None, None, None, {name: Described(name, selector)}])


@pytest.mark.parametrize(
    ("selector", "position"),
    [
        ("amqp.annotation.x-opt-offset > '-1'", Position(offset=0)),
        ("amqp.annotation.x-opt-offset > '41'", Position(offset=42)),
        ("amqp.annotation.x-opt-sequence-number >= '42'", Position(offset=42)),
        ("amqp.annotation.x-opt-enqueued-time > '1700000000000'", Position(since_ms=1_700_000_000_001)),
        ("amqp.annotation.x-opt-offset > '@latest'", Position()),
    ],
)
def test_a_filter_says_where_to_begin(selector: str, position: Position) -> None:
    """Offsets and sequence numbers are Kafka's; `>` begins behind what it names."""
    assert position_of(source(selector)) == position


@pytest.mark.parametrize("selector", ["", "1 = 1", "amqp.annotation.x-opt-offset < '4'", 7])
def test_another_filter_is_refused(selector: object) -> None:
    """What it would leave out is not left in."""
    with pytest.raises(WireError):
        position_of(source(selector))


def test_addresses_and_levels() -> None:
    """An address as Event Hubs' and IoT Hub's clients write it; no filter is the oldest; a level is 0 or more."""
    assert is_endpoint("/telemetry/ConsumerGroups/$Default/Partitions/0")
    assert not is_endpoint("/lifecycle/ConsumerGroups/$Default/Partitions/0")
    assert place_of("/messages/events/consumergroups/G/partitions/12", "t") == Place("t", "g", 12)
    assert position_of(Described(Ulong(0x28), ["a"])) == Position(offset=0)
    assert (level_of(None), level_of({Symbol("com.microsoft:epoch"): Long(4)})) == (NO_LEVEL, 4)
    with pytest.raises(WireError):
        level_of({Symbol("com.microsoft:epoch"): Long(-2)})
