"""Sending: whatever ends it, what was sent is what is written down."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pyarrow.parquet as pq
import pytest

from device_sim.dispatches import Batch, Dispatch, batch_of
from device_sim.manifest import ManifestWriter
from device_sim.producer import MessageProducer
from device_sim.sending import pieces, send
from wire.envelope import TelemetryEnvelope

START = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass
class ManualClock:
    """Only moves when it is waited on, and then at once; keeps what was waited for."""

    moment: datetime
    waits: list[datetime] = field(default_factory=list)

    def now(self) -> datetime:
        return self.moment

    def wait_until(self, moment: datetime, stop: Event) -> None:
        self.waits.append(moment)
        self.moment = max(self.moment, moment)


class _Client:
    """Takes ten messages; of what then happens the test decides."""

    def __init__(self, configuration: object) -> None:
        self.sent: list[bytes] = []

    def list_topics(self, timeout: float) -> None:
        pass

    def produce(self, topic: str, value: bytes, *others: object) -> None:
        if len(self.sent) == 10:
            self.refuse()
        self.sent.append(value)

    def refuse(self) -> None:
        raise KeyboardInterrupt

    def poll(self, timeout: float) -> None:
        pass

    def flush(self, timeout: float) -> int:
        return 0


def _batch(arrivals: list[int]) -> Batch:
    envelope = TelemetryEnvelope("d")
    return batch_of(
        [
            Dispatch(ms, envelope.message(str(n), "2026-11-20T00:00:00.000Z", b"%d" % n), "d", str(n), 0, "m", None)
            for n, ms in enumerate(arrivals)
        ]
    )


def _written(manifest: ManifestWriter, folder: Path) -> list[str]:
    manifest.store(set())
    manifest.finish(True, 1.0, {}, ())
    ids: list[str] = pq.read_table(folder / "run.parquet")["message_id"].to_pylist()
    return ids


def test_an_interrupt_within_a_piece_leaves_what_was_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A second Ctrl-C ends a piece anywhere: the manifest has the messages before it."""
    monkeypatch.setattr("device_sim.producer.Producer", _Client)
    manifest = ManifestWriter(tmp_path, "run")
    with pytest.raises(KeyboardInterrupt):
        send(iter([_batch([0] * 30)]), MessageProducer("b"), manifest, Event())
    assert _written(manifest, tmp_path) == [str(n) for n in range(10)]


def test_a_stop_does_not_wait_for_a_full_queue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a broker that takes no more a stop ends the sending within the piece, which is written as far as it went."""
    stop = Event()

    class Full(_Client):
        def refuse(self) -> None:
            stop.set()
            raise BufferError

    monkeypatch.setattr("device_sim.producer.Producer", Full)
    manifest = ManifestWriter(tmp_path, "run")
    progress: list[tuple[int, int]] = []
    send(iter([_batch([0] * 30)] * 2), MessageProducer("b"), manifest, stop, lambda *counts: progress.append(counts))
    assert _written(manifest, tmp_path) == [str(n) for n in range(10)]
    assert progress[-1] == (10, 10)


@pytest.mark.parametrize(("speed", "sizes", "waits_s"), [(None, [1000, 5], []), (2.0, [1, 3, 1000, 1], [1.0, 2.0])])
def test_a_piece_is_what_is_due(speed: float | None, sizes: list[int], waits_s: list[float]) -> None:
    """At its own pace nothing is sent before its time, and what has one time is sent together."""

    def stream() -> Iterator[Batch]:
        yield _batch([0] + [2000] * 3 + [4000] * 1001)

    clock = ManualClock(START)
    assert [len(piece) for piece in pieces(stream(), 0, speed, clock, Event())] == sizes
    assert clock.waits == [START + timedelta(seconds=seconds) for seconds in waits_s]
