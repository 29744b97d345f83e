"""Sending: a stream piece by piece, each at its time, with what was sent written down.

Belongs here: pace, stop and progress. What the messages are comes from `stream`; the client is `producer`'s.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from threading import Event
from typing import Protocol

import numpy as np

from device_sim.device_clocks import Clock
from device_sim.dispatches import Batch
from device_sim.manifest import ManifestWriter
from wire.envelope import Message, Reading

Progress = Callable[[int, int], None]
"""Told now and then: messages sent so far, and how many there will be, more or less."""

_MESSAGES_A_PIECE = 1000


class Sender(Protocol):
    """Who sends: `producer.MessageProducer`, or another with its face."""

    count: int

    def send_all(self, messages: Iterable[Message | Reading], stop: Event | None = None) -> None:
        """Queue messages."""

    def poll(self) -> None:
        """Take in the reports that have come."""

    def flush(self) -> set[int]:
        """Wait until each message is acknowledged or has failed; the numbers of the failed."""

    def check(self) -> None:
        """Raise PlatformError when a message could not be delivered."""


def send(
    stream: Iterator[Batch],
    producer: Sender,
    manifest: ManifestWriter,
    stop: Event,
    progress: Progress | None = None,
    total: int = 0,
) -> None:
    """Send all pieces and write them down; after a stop no more of them."""
    sent = 0
    for piece in stream:
        if stop.is_set():
            break
        before = producer.count
        try:
            producer.send_all(piece.messages, stop)
        finally:
            # whatever ended it, what was sent is written down
            is_time = manifest.add(piece.rows.slice(0, producer.count - before))
        if is_time:
            manifest.store(producer.flush())
        producer.poll()
        producer.check()
        sent += producer.count - before
        if progress is not None:
            progress(sent, max(sent, total))
    if progress is not None:
        progress(sent, sent)


def pieces(stream: Iterator[Batch], start_ms: int, speed: float | None, clock: Clock, stop: Event) -> Iterator[Batch]:
    """The stream in pieces after which a stop is looked for, each held back until its arrival at `speed`."""
    began = clock.now()
    for batch in stream:
        start = 0
        while start < len(batch):
            end = start + _MESSAGES_A_PIECE
            if speed is not None:
                due = began + timedelta(milliseconds=(int(batch.arrivals[start]) - start_ms) / speed)
                if due > clock.now():
                    clock.wait_until(due, stop)
                reached_ms = start_ms + (clock.now() - began) * speed / timedelta(milliseconds=1)
                due_count = int(np.searchsorted(batch.arrivals, reached_ms, side="right"))
                # one is due, whichever way the times were rounded
                end = min(end, max(start + 1, due_count))
            yield batch.part(start, end)
            start = end
