"""The hub under kills while devices of the SDK stream: what was acknowledged is there, once by its identity.

Belongs here: the load, the kills, and the oracle. The test command does a few; for many:

    python -m tests.support.hub_faults KILLS MESSAGES [SEED]
"""

import asyncio
import json
import logging
import math
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from azure.iot.device import Message
from azure.iot.device.aio import IoTHubDeviceClient
from azure.iot.device.common.pipeline.pipeline_exceptions import PipelineNotRunning
from azure.iot.device.exceptions import ClientError, OperationCancelled

from ingestion.landing_topics import ensure_topics
from runtime.kafka.broker import running_broker
from tests.support.hub_program import HubProgram, hub_program, settings_of
from tests.support.hub_server import every_record

DEVICES = 20
_IN_FLIGHT = 20
_TRY_AGAIN_S = 0.2
_GIVES_UP_S = 10.0
_LOOK_EVERY_S = 1.0
_ENDS_IN_S = 5.0  # a client whose network thread is gone never does
_TELL_EVERY_S = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a trial came to. `missing` messages are not in Kafka, `repeated` ones are there more than once; the app sent
    `sent_again` of them anew after an error of the SDK, each of which may be there twice, and took `renewed` clients
    instead of stuck ones. `back_s` is how long the hub took at most until it took connections again."""

    kills: int
    messages: int
    missing: int
    repeated: int
    sent_again: int
    renewed: int
    back_s: float
    took_s: float


class Stream:
    """What devices have sent so far, for who kills meanwhile."""

    def __init__(self) -> None:
        self.acknowledged = self.sent_again = self.renewed = 0
        self.is_over = False
        self.hub_since_s = time.monotonic()
        """Since when the hub is there; infinite while it is not."""
        self._changed = threading.Condition()

    def count(self) -> None:
        """One more is acknowledged."""
        with self._changed:
            self.acknowledged += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more is sent."""
        with self._changed:
            self.is_over = True
            self._changed.notify_all()

    def wait_for(self, count: int) -> bool:
        """Wait until so many are acknowledged; False when the stream ended before."""
        with self._changed:
            self._changed.wait_for(lambda: self.acknowledged >= count or self.is_over)
            return self.acknowledged >= count


class Device:
    """A device of the SDK that goes on as an app does that knows the SDK.

    Its network thread ends for good when the hub is killed in the middle of a write (paho-mqtt lets ssl.SSLEOFError
    out), and a send then never ends: the app takes a new client.
    """

    def __init__(self, text: str, stream: Stream) -> None:
        self._text, self._stream = text, stream
        self._client = self._new()
        self._renewing = asyncio.Lock()

    def _new(self) -> IoTHubDeviceClient:
        return IoTHubDeviceClient.create_from_connection_string(self._text, connection_retry_interval=1)

    async def connect(self) -> None:
        """Connect, for the first time."""
        await self._client.connect()

    async def send(self, numbers: Sequence[int]) -> None:
        """One after the other, each until the SDK says that the hub has it; the message id stays the same."""
        for number in numbers:
            message = Message(json.dumps({"n": number}), message_id=f"m{number}")
            while not await self._is_sent(message):
                self._stream.sent_again += 1
                await asyncio.sleep(_TRY_AGAIN_S)
            self._stream.count()

    async def _is_sent(self, message: Message) -> bool:
        client, began_s = self._client, time.monotonic()
        sending = asyncio.ensure_future(client.send_message(message))
        while not (await asyncio.wait({sending}, timeout=_LOOK_EVERY_S))[0]:
            # a client that waits for a hub that is not there is not stuck: new ones for all keep the next hub busy
            if time.monotonic() - max(began_s, self._stream.hub_since_s) >= _GIVES_UP_S:
                sending.cancel()
                await asyncio.wait({sending})
                await self._renew(client)
                return False
        try:
            await sending
        # the last is what a client says that another send is replacing just now
        except (ClientError, OperationCancelled, PipelineNotRunning):
            return False
        return True

    async def _renew(self, stuck: IoTHubDeviceClient) -> None:
        async with self._renewing:
            if self._client is stuck:
                await self.shutdown()
                # it waits for the one thread in which the SDK connects all its clients
                self._client = await asyncio.to_thread(self._new)
                self._stream.renewed += 1

    async def shutdown(self) -> None:
        """End it, as far as it can be ended."""
        with suppress(TimeoutError, ClientError, OperationCancelled):
            await asyncio.wait_for(self._client.shutdown(), _ENDS_IN_S)


async def _stream(client: Device, count: int) -> None:
    await asyncio.gather(*(client.send(range(first, count, _IN_FLIGHT)) for first in range(_IN_FLIGHT)))
    await client.shutdown()


def _kill(program: HubProgram, stream: Stream, points: Sequence[int], back_s: list[float]) -> None:
    """Kill the hub each time that so many are acknowledged, and start it again."""
    for point in points:
        if not stream.wait_for(point):
            break
        stream.hub_since_s = math.inf
        program.kill()
        began = time.monotonic()
        program.start()
        stream.hub_since_s = time.monotonic()
        back_s.append(stream.hub_since_s - began)
        _log.info("killed at %s of the messages, back after %.2f s", f"{point:,}", back_s[-1])


async def _tell(stream: Stream) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(_TELL_EVERY_S)
        told = f"{stream.acknowledged:,} acknowledged, {stream.sent_again} sent again, {stream.renewed} clients renewed"
        _log.info("%.0f s: %s", time.monotonic() - began, told)


def trial(home: Path, bootstrap: str, kills: int, messages: int, devices: int = DEVICES, seed: int = 7) -> Outcome:
    """Kill the hub at random points of a stream of so many messages in all, and say what Kafka has of them."""
    ensure_topics(bootstrap)
    draw, each, stream, back_s = random.Random(seed), messages // devices, Stream(), [0.0]
    names = [f"killed-sdk-{number}" for number in range(devices)]
    points = sorted(draw.randrange(1, each * devices) for _ in range(kills))
    began = time.monotonic()
    with hub_program(home, bootstrap) as program:
        identities = program.add_devices(names)
        program.start()
        os.environ["SSL_CERT_FILE"] = str(program.root)
        killer = threading.Thread(target=_kill, args=(program, stream, points, back_s))
        killer.start()

        async def everybody() -> None:
            clients = [Device(program.connection_string(device), stream) for device in identities]
            # before anybody sends: an app's first connection has no second try, and who counts may kill the hub
            await asyncio.gather(*(client.connect() for client in clients))
            telling = asyncio.create_task(_tell(stream))
            await asyncio.gather(*(_stream(client, each) for client in clients))
            telling.cancel()

        try:
            asyncio.run(everybody())
        finally:
            stream.end()
            killer.join()
    took_s = time.monotonic() - began
    found = Counter(
        (record.key, record.headers["ce_id"])
        for record in every_record(bootstrap, ("telemetry",))
        if record.key in names
    )
    expected = {(name, f"m{number}") for name in names for number in range(each)}
    assert not found.keys() - expected, "Kafka has what nobody sent"
    return Outcome(
        len(back_s) - 1, len(expected), len(expected - found.keys()), found.total() - len(found), stream.sent_again,
        stream.renewed, round(max(back_s), 2), round(took_s, 1),
    )  # fmt: skip


def main(kills: int, messages: int, seed: int) -> int:
    """A trial with a broker of its own; 1 when something is missing, or was repeated though the app did not."""
    logging.basicConfig(format="%(message)s")
    _log.setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with running_broker(replace(settings_of(home / "broker", ""), kafka_bootstrap=None)) as bootstrap:
            found = trial(home / "hub", bootstrap, kills, messages, seed=seed)
    print(found)
    return int(found.missing > 0 or found.repeated > found.sent_again)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 7))
