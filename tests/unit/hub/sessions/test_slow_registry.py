"""A registry that is slow to be read keeps only those waiting who ask it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.small_hub import WITHIN_S, SmallHub, on_a_loop, until
from wire import mqtt_packets


@on_a_loop
async def test_others_are_served_while_a_twin_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ping is answered meanwhile, the loop's one thread is free, and who asked hears when the registry answers."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    hub = SmallHub(tmp_path)
    asking, other = hub.connect(hub.add("d")), hub.connect(hub.add("e"))
    for each in (asking, other):
        await each.answered()
    read, waiting, go_on = hub.registry.read, threading.Semaphore(0), threading.Event()

    def slowly(work: Callable[[Any], Any]) -> Any:
        waiting.release()
        assert go_on.wait(WITHIN_S)
        return read(work)

    monkeypatch.setattr(hub.registry, "read", slowly)
    asking.session.data_received(mqtt_packets.publish("$iothub/twin/GET/?$rid=1", b" "))
    assert await asyncio.wait_for(asyncio.to_thread(waiting.acquire, timeout=WITHIN_S), WITHIN_S / 2)
    other.session.data_received(mqtt_packets.PINGREQ_PACKET)
    assert await other.answered() == mqtt_packets.PINGRESP_PACKET
    assert asking.link.sent == []
    go_on.set()
    await until(lambda: b"/res/200/" in b"".join(asking.link.sent))
    hub.close()
