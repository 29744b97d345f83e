"""A failure at one connection ends that connection, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.registry.connections import connection_of
from hub.registry.identities import Identity, find, put
from hub.sessions import session_table
from tests.support.small_hub import Client, SmallHub, until
from wire import mqtt_packets
from wire.mqtt import ACCEPTED, UNAUTHORISED, Will

ACCEPTED_PACKET = mqtt_packets.connack(ACCEPTED)


def run(folder: Path, scenario: Callable[[SmallHub], Awaitable[None]]) -> None:
    async def whole() -> None:
        hub = SmallHub(folder)
        try:
            await scenario(hub)
        finally:
            hub.close()

    asyncio.run(whole())


def fails(*_: object, **__: object) -> None:
    raise KeyError("out of order")


def break_one(monkeypatch: pytest.MonkeyPatch, thing: object, method: str) -> None:
    """Have a method of this one thing fail; sessions have slots, so it is put into their class."""
    whole = getattr(type(thing), method)

    def broken(self: object, *given: Any, **named: Any) -> Any:
        return (fails if self is thing else partial(whole, self))(*given, **named)

    monkeypatch.setattr(type(thing), method, broken)


async def opened(hub: SmallHub, identity: Identity, will: Will | None = None) -> Client:
    client = hub.connect(identity, will)
    assert await client.answered() == ACCEPTED_PACKET
    return client


async def is_served(client: Client) -> None:
    client.session.data_received(bytes([0xC0, 0]))
    assert await client.answered() == bytes([0xD0, 0])


async def is_released(hub: SmallHub, client: Client, device_id: str, *, is_closed_here: bool = True) -> None:
    await until(lambda: client.link.is_closed or not is_closed_here)
    assert client.session not in hub.table._all
    assert not hub.table.is_connected(device_id)
    await until(lambda: not hub.registry.read(lambda tx: connection_of(tx, device_id)).is_connected)


def test_a_will_whose_topic_cannot_be_read_is_refused_at_connect(tmp_path: Path) -> None:
    """The client is told by CONNACK, and nothing of it stays."""

    async def scenario(hub: SmallHub) -> None:
        client = hub.connect(hub.add("d"), Will("devices/d/messages/events/a=%ff", b"x", 1, False))
        assert await client.answered() == mqtt_packets.connack(UNAUTHORISED)
        await is_released(hub, client, "d")

    run(tmp_path, scenario)


def test_a_will_to_another_topic_of_the_client_is_no_message(tmp_path: Path) -> None:
    """Only one to its messages is sent; the connection is as any other."""

    async def scenario(hub: SmallHub) -> None:
        device = hub.add("d")
        client = await opened(hub, device, Will("$iothub/twin/GET/?$rid=1", b"x", 1, False))
        client.session.connection_lost()
        assert not hub.landing.given
        client = await opened(hub, device, Will("devices/d/messages/events/", b"x", 1, False))
        client.session.connection_lost()
        assert [each[-1] for each in hub.landing.given] == [b"x"]

    run(tmp_path, scenario)


def test_a_disconnect_that_waits_its_turn_takes_the_will_back(tmp_path: Path) -> None:
    """The socket goes before the packet was looked at: it came all the same [MQTT-3.14.4-3]."""

    async def scenario(hub: SmallHub) -> None:
        client = await opened(hub, hub.add("d"), Will("devices/d/messages/events/", b"x", 1, False))
        client.session.wait_for(asyncio.sleep(60))
        client.session.data_received(bytes([0xE0, 0]))
        client.session.connection_lost()
        assert not hub.landing.given
        await is_released(hub, client, "d", is_closed_here=False)

    run(tmp_path, scenario)


@pytest.mark.parametrize("place", ["tick", "will", "end"])
def test_what_fails_in_a_tick_ends_its_connection_alone(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticking goes on, the other connection is served, and everything of the failed one is released."""
    monkeypatch.setattr(session_table, "TICK_S", 0.01)

    async def scenario(hub: SmallHub) -> None:
        bad = await opened(hub, hub.add("bad"), Will("devices/bad/messages/events/", b"x", 1, False))
        good = await opened(hub, hub.add("good"))
        assert bad.session.uplink is not None
        assert bad.session.downlink is not None
        if place == "tick":
            break_one(monkeypatch, bad.session, "tick")
        elif place == "will":
            break_one(monkeypatch, bad.session.uplink, "learn")
        else:
            break_one(monkeypatch, bad.session.downlink, "end")
        bad.session._silence_s = -1.0
        ticking = asyncio.create_task(hub.table.keep_time())
        await is_released(hub, bad, "bad")
        await is_served(good)
        assert not ticking.done()
        ticking.cancel()

    run(tmp_path, scenario)


def test_what_fails_while_credentials_are_judged_lets_nobody_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that cannot be judged is cut, and so is the disabled one behind it; the third stays."""

    async def scenario(hub: SmallHub) -> None:
        bad, gone, good = [await opened(hub, hub.add(name)) for name in ("bad", "gone", "good")]
        break_one(monkeypatch, bad.session, "peer_chain")
        hub.registry.write(lambda tx: put(tx, disabled(find(tx, "gone")), None)).result()
        await until(lambda: gone.link.is_closed)
        hub.table._judge_again(lambda _identity: True)
        await is_released(hub, bad, "bad")
        await is_served(good)

    run(tmp_path, scenario)


def test_all_are_cut_though_one_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that ends closes the connections behind the one that fails."""

    async def scenario(hub: SmallHub) -> None:
        clients = [await opened(hub, hub.add(name)) for name in ("a", "b", "c")]
        for client in clients:
            monkeypatch.setattr(client.link, "close", fails)
        hub.table.cut_all("the hub ends")
        assert not hub.table._all
        assert hub.table.connection_count == 0

    run(tmp_path, scenario)


def test_a_packet_at_which_the_hub_fails_ends_its_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that had to wait for its turn, where no socket would notice the failure."""

    async def scenario(hub: SmallHub) -> None:
        bad, good = await opened(hub, hub.add("bad")), await opened(hub, hub.add("good"))
        break_one(monkeypatch, bad.session, "_subscribed")
        bad.session.wait_for(asyncio.sleep(0))
        bad.session.data_received(mqtt_packets.subscribe(1, [("$iothub/twin/res/#", 1)]))
        await is_released(hub, bad, "bad")
        await is_served(good)

    run(tmp_path, scenario)


def disabled(identity: Identity | None) -> Identity:
    assert identity is not None
    return replace(identity, status="disabled")
