"""Two processes of one hub on one registry: what becomes of the devices and calls of one that no longer beats."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from hub.amqp.amqp_session import AmqpSession
from hub.hub_errors import HubCode, HubError
from hub.methods import MethodCall
from hub.registry.change_feed import MISSED, Change
from hub.registry.connections import ConnectionState, connection_of
from hub.registry.instance_watch import SILENT_S
from hub.sessions import session_table
from tests.support.small_hub import Client, NotedLink, SmallHub, on_a_loop, until
from wire import hub_topics, mqtt_packets


def call(connect_within_s: int = 0) -> MethodCall:
    return MethodCall("d", "", "reboot", b"{}", connect_within_s, 60)


def state(hub: SmallHub) -> ConnectionState:
    return hub.registry.read(lambda tx: connection_of(tx, "d"))


@asynccontextmanager
async def two_processes(folder: Path) -> AsyncIterator[tuple[SmallHub, SmallHub, Client]]:
    """A device is connected to the first and takes methods; neither beats by itself."""
    one, other = SmallHub(folder, "one"), SmallHub(folder, "other")
    client = one.connect(one.add("d"))
    await takes_methods(client)
    yield one, other, client
    one.close()
    other.close()


async def takes_methods(client: Client) -> None:
    await client.answered()
    client.session.data_received(mqtt_packets.subscribe(1, [(f"{hub_topics.METHODS}#", 0)]))
    await client.answered()


async def beats(hub: SmallHub) -> None:
    """Once, and it is taken in."""
    watch = hub.table._beats.living
    before, hub.table._beats.living._looked_s = watch._looked_s, watch._looked_s - 1
    hub.table._beats.beat()
    await until(lambda: watch._looked_s > before)


async def no_longer_beats(hub: SmallHub) -> None:
    """Another does, for so long that it is taken for gone."""
    for _ in range(int(SILENT_S) + 2):
        await beats(hub)


@on_a_loop
async def test_devices_of_a_process_that_is_gone_are_disconnected(tmp_path: Path) -> None:
    """Once it has not beaten for long; if it lives after all, they are connected again under the same epoch."""
    async with two_processes(tmp_path) as (one, other, client):
        await beats(one)
        await beats(other)
        assert state(one).is_connected
        await no_longer_beats(other)
        assert not state(one).is_connected
        await beats(one)
        await until(lambda: state(one).is_connected)
        assert (state(one).instance, state(one).epoch, client.link.is_closed) == ("one", 1, False)


@on_a_loop
async def test_a_process_that_is_taken_for_gone_in_its_first_second_holds_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It beats as soon as it keeps time, so that it is known how often it had beaten when its device was ended."""
    monkeypatch.setattr(session_table, "TICK_S", 3600.0)
    async with two_processes(tmp_path) as (one, other, _):
        ticking = asyncio.create_task(one.table.keep_time())
        await until(lambda: one.table._beats._count == 1)
        ticking.cancel()
        other.registry.beat("other", 0, ["one"]).result()
        await beats(one)
        await until(lambda: state(one).is_connected)


@on_a_loop
async def test_whoever_has_a_connection_is_cut_when_changes_were_missed(tmp_path: Path) -> None:
    """Devices and services, and with these the receivers of the built-in endpoint: another may go before them."""
    async with two_processes(tmp_path) as (one, _, client):
        link = NotedLink()
        receiving = AmqpSession(one.parts, link)._start(asyncio.sleep(3600))
        one.table._tell(Change(MISSED, "", "", {}))
        await until(lambda: client.link.is_closed and link.is_closed)
        with pytest.raises(asyncio.CancelledError):
            await receiving


@on_a_loop
async def test_a_device_of_a_process_that_is_gone_is_not_online(tmp_path: Path) -> None:
    """Who asks a process that has only just begun is told so, too, and not that the device gives no answer."""
    async with two_processes(tmp_path) as (_, other, _):
        answer = asyncio.create_task(other.table.invoke(call()))
        await until(lambda: other.table._arrivals)
        await no_longer_beats(other)
        with pytest.raises(HubError) as refused:
            await answer
        assert refused.value.code is HubCode.DeviceNotOnline


@on_a_loop
async def test_a_method_of_a_process_that_has_only_just_begun_is_done(tmp_path: Path) -> None:
    """As soon as the process that holds the device is seen to beat."""
    async with two_processes(tmp_path) as (one, other, client):
        answer = asyncio.create_task(other.table.invoke(call()))
        await until(lambda: other.table._arrivals)
        for _ in range(2):
            await beats(one)
            await beats(other)
        await until(lambda: client.link.sent)
        answer.cancel()
        with suppress(asyncio.CancelledError):
            await answer


@on_a_loop
async def test_a_device_that_goes_before_it_answers_is_not_asked_again(tmp_path: Path) -> None:
    """It may have done what it was asked: the caller is told that no answer came, whichever process it asked."""
    async with two_processes(tmp_path) as (one, other, client):
        for _ in range(2):
            await beats(one)
            await beats(other)
        for asked in (one, other):
            answer = asyncio.create_task(asked.table.invoke(call(connect_within_s=120)))
            await until(lambda: client.link.sent)  # noqa: B023
            client.session.cut("the line is gone")
            identity = one.registry.device("d")
            assert identity is not None
            client = one.connect(identity)
            await takes_methods(client)
            began = time.monotonic()
            with pytest.raises(HubError) as refused:
                await answer
            assert refused.value.code is HubCode.DeviceTimeout
            assert time.monotonic() - began < 30
            assert client.link.sent == []
