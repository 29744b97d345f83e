"""The way down to one client: nothing that is put in stays there unseen."""

import asyncio
from concurrent.futures import Future
from typing import Any, cast

import pytest

from hub.methods import MethodResult
from hub.registry.cloud_queue import CloudMessage
from hub.registry.hub_registry import Registry
from hub.sessions.downlink import Downlink
from wire import hub_topics


class Queue:
    """A registry with a queue: what is put in while a look finds nothing is told before that look has its answer."""

    def __init__(self) -> None:
        self.messages: list[CloudMessage] = []
        self.looks: list[Future[CloudMessage | None]] = []

    def take_cloud_message(self, device_id: str) -> "Future[CloudMessage | None]":
        self.looks.append(Future())
        return self.looks[-1]


def test_what_comes_while_a_look_finds_nothing_is_looked_for_again() -> None:
    """The answer None is on its way when the next message is told: it is asked for, and not left for another day."""
    queue = Queue()

    async def look() -> None:
        downlink = Downlink(cast(Registry, queue), "d", lambda packet: None, {})
        downlink.subscribe([(f"{hub_topics.inbox_of('d')}#", 1)])
        downlink.deliver()
        await asyncio.sleep(0)
        (first,) = queue.looks
        first.set_result(None)
        downlink.deliver()  # the loop has not come to the answer yet
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(queue.looks) == 2
        cast(Any, downlink)._pump.cancel()

    asyncio.run(look())


@pytest.mark.parametrize("status", ["--5", "\u00b2", "", "-", "1" * 5000, "2 "])
def test_a_status_that_is_no_number_answers_nothing(status: str) -> None:
    """The caller goes on waiting, and the device's connection stays; a number is an answer."""

    async def call() -> None:
        sent: list[bytes] = []
        downlink = Downlink(cast(Registry, Queue()), "d", sent.append, {f"{hub_topics.METHODS}#": 1})
        asked = asyncio.create_task(downlink.call("m", b"", 60))
        await asyncio.sleep(0)
        request_id = sent[0].decode().partition("$rid=")[2]
        downlink.answered(status, request_id, b"1")
        await asyncio.sleep(0)
        assert not asked.done()
        downlink.answered("-5", request_id, b"2")
        assert await asked == MethodResult(-5, b"2")

    asyncio.run(call())
