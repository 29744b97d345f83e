"""Cloud messages and the connection that holds them: a new one gets what an older one did not have acknowledged."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from hub.hub_errors import HubCode, HubError
from hub.registry.cloud_queue import CloudMessage, purge, waiting_count
from hub.registry.registry_tables import CLOUD_MESSAGES
from hub.sessions.downlink import Downlink
from tests.support.small_hub import Client, SmallHub, until
from wire import mqtt_packets

INBOX = "devices/d/messages/devicebound/#"


def message(body: bytes) -> CloudMessage:
    return CloudMessage(0, "d", body, {}, {}, "none", 0, 0, 0, None)


async def subscribed(hub: SmallHub, client: Client) -> None:
    await client.answered()
    client.session.data_received(mqtt_packets.subscribe(1, [(INBOX, 1)]))


async def listening(hub: SmallHub) -> tuple[Client, Downlink]:
    """A device that takes cloud messages, and what sends them to it."""
    client = hub.connect(hub.add("d"))
    await subscribed(hub, client)
    assert client.session.downlink is not None
    return client, client.session.downlink


async def waits_for_the_puback(hub: SmallHub, client: Client, downlink: Downlink, body: bytes) -> None:
    """A message is sent once packet 1 is acknowledged, and not ended by that."""
    downlink.deliver()
    await until(lambda: downlink._pump is None)
    assert not has(client, body)
    client.session.data_received(mqtt_packets.puback(1))
    await until(lambda: has(client, body))
    (sent,) = (each for each in client.link.sent if each[0] >> 4 == 3 and each.endswith(body))
    assert sent[0] == 0x32, "it says that it was sent before"
    assert hub.registry.read(lambda tx: waiting_count(tx, "d")) == 1


def has(client: Client, body: bytes) -> bool:
    return any(each[0] >> 4 == 3 and each.endswith(body) for each in client.link.sent)


def test_what_a_killed_process_held_comes_at_the_next_connect(tmp_path: Path) -> None:
    """Its lock does not have to run out."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        device = hub.add("d")
        hub.registry.enqueue_cloud_message(message(b"one")).result()
        assert hub.registry.take_cloud_message("d").result() is not None
        client = hub.connect(device)
        await subscribed(hub, client)
        await until(lambda: has(client, b"one"))
        hub.close()

    asyncio.run(scenario())


def test_an_older_connections_end_takes_nothing_from_the_newer(tmp_path: Path) -> None:
    """It ends late: what the newer one was sent is still its own, and its PUBACK completes it."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        device = hub.add("d")
        hub.registry.enqueue_cloud_message(message(b"one")).result()
        older = hub.connect(device)
        await subscribed(hub, older)
        await until(lambda: has(older, b"one"))
        downlink = older.session.downlink
        assert downlink is not None
        locks = dict(downlink._held)
        newer = hub.connect(device)
        await subscribed(hub, newer)
        await until(lambda: has(newer, b"one"))
        # as an older process does that hears of the takeover now
        downlink._held = locks
        downlink.end()
        newer.session.data_received(mqtt_packets.puback(1))
        await until(lambda: hub.registry.read(lambda tx: waiting_count(tx, "d")) == 0)
        hub.close()

    asyncio.run(scenario())


def test_a_message_that_was_taken_for_a_connection_that_is_gone_waits_again(tmp_path: Path) -> None:
    """Another may take it at once, and has it as one that was never sent."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        client, downlink = await listening(hub)
        await until(lambda: downlink._pump is None)
        hub.registry.enqueue_cloud_message(message(b"one")).result()
        downlink.deliver()
        await asyncio.sleep(0)
        client.session.connection_lost()
        await until(lambda: downlink._pump is None)
        taken = await asyncio.wrap_future(hub.registry.take_cloud_message("d"))
        assert taken is not None
        assert not taken.was_taken
        hub.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("is_clean", [False, True])
def test_a_session_that_goes_on_gets_the_same_packet_again(tmp_path: Path, is_clean: bool) -> None:
    """With its packet id and DUP [MQTT-4.4.0-1], in order [4.6.0-1], whoever held it; a new session without DUP."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        device, bodies = hub.add("d"), (b"one", b"two")
        first = hub.connect(device, is_clean=False)
        await subscribed(hub, first)
        for body in bodies:
            hub.registry.enqueue_cloud_message(message(body)).result()
        await until(lambda: has(first, b"two"))
        first.session.connection_lost()
        second = hub.connect(device, is_clean=is_clean)
        if is_clean:
            await subscribed(hub, second)
        await until(lambda: has(second, b"two"))
        before, after = ([each for each in client.link.sent if each[0] >> 4 == 3] for client in (first, second))
        assert [each[0] for each in before] == [0x32, 0x32]
        assert after == [bytes([0x32 if is_clean else 0x3A]) + each[1:] for each in before]
        hub.close()

    asyncio.run(scenario())


def test_a_message_waits_while_another_has_its_packet_id(tmp_path: Path) -> None:
    """Two of 65,535 numbers apart: the first one's PUBACK ends that one alone, and has the second sent."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        client, downlink = await listening(hub)
        hub.registry.enqueue_cloud_message(message(b"one")).result()
        hub.registry.write(lambda tx: tx.connection.execute(update(CLOUD_MESSAGES).values(n=65_536))).result()
        hub.registry.enqueue_cloud_message(message(b"two")).result()
        hub.registry.write(
            lambda tx: tx.connection.execute(
                update(CLOUD_MESSAGES).where(CLOUD_MESSAGES.c.n > 65_536).values(n=131_071)
            )
        ).result()
        downlink.deliver()
        await until(lambda: has(client, b"one"))
        await waits_for_the_puback(hub, client, downlink, b"two")
        hub.close()

    asyncio.run(scenario())


def test_a_message_with_the_number_of_a_purged_one_is_not_taken_for_it(tmp_path: Path) -> None:
    """As in an older registry on SQLite, which gives a number again: the purged one's late PUBACK does not end it."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        client, downlink = await listening(hub)
        hub.registry.enqueue_cloud_message(message(b"purged")).result()
        downlink.deliver()
        await until(lambda: has(client, b"purged") and downlink._pump is None)
        hub.registry.write(lambda tx: purge(tx, "d")).result()
        hub.registry.enqueue_cloud_message(message(b"next")).result()
        again = update(CLOUD_MESSAGES).values(n=1, enqueued_at=CLOUD_MESSAGES.c.enqueued_at + 1)
        hub.registry.write(lambda tx: tx.connection.execute(again)).result()
        await waits_for_the_puback(hub, client, downlink, b"next")
        hub.close()

    asyncio.run(scenario())


def test_what_can_never_be_sent_keeps_nothing_back(tmp_path: Path) -> None:
    """It is rejected, its sender hears so, and the message behind it comes."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        device = hub.add("d")
        hub.registry.enqueue_cloud_message(replace(message(b"one"), ack="negative", system={"mid": "1"})).result()
        hub.registry.enqueue_cloud_message(message(b"two")).result()
        # as an older version took it in
        large = update(CLOUD_MESSAGES).where(CLOUD_MESSAGES.c.n == 1).values(properties={"a": "\u00fc" * 20_000})
        hub.registry.write(lambda tx: tx.connection.execute(large)).result()
        client = hub.connect(device)
        await subscribed(hub, client)
        await until(lambda: has(client, b"two"))
        assert client.session.downlink is not None
        assert len(client.session.downlink._held) == 1
        batch = hub.registry.take_feedback("default").result()
        assert batch is not None
        assert [(each["originalMessageId"], each["statusCode"]) for each in batch.records] == [("1", "Rejected")]
        hub.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "properties", "code"),
    [
        (b"x" * 65_536, {"a": "b"}, HubCode.MessageTooLarge),
        (b"x", {"a": "\u00fc" * 20_000}, HubCode.MessageTooLarge),
        (b"x", {"a" * 65_536: "b"}, HubCode.MessageTooLarge),
        (b"x", {"a": "\ud800"}, HubCode.ArgumentInvalid),
    ],
)
def test_a_message_that_no_device_could_get_is_refused(
    tmp_path: Path, body: bytes, properties: dict[str, str], code: HubCode
) -> None:
    """64 KB are for body and properties together; as a topic spells them properties may be longer than they are."""

    async def scenario() -> None:
        hub = SmallHub(tmp_path)
        hub.add("d")
        with pytest.raises(HubError) as refused:
            hub.registry.enqueue_cloud_message(replace(message(body), properties=properties)).result()
        assert refused.value.code is code
        hub.registry.enqueue_cloud_message(replace(message(b"x" * 65_000), properties={"a": "\u00fc" * 200})).result()
        hub.close()

    asyncio.run(scenario())
