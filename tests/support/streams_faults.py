"""The hot path under faults: killed inside its transactions again and again, and a broker that stands still.

Belongs here: where a process kills itself, the load, and the oracle that committed results are held against. The test
command does a few; for many, with a broker that is paused for a minute at the end:

    python -m tests.support.streams_faults KILLS [SEED]
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import Any

from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from ingestion.landing_topics import ensure_topics
from runtime.kafka.broker import running_broker
from runtime.processes import find
from runtime.settings import Settings, load_settings
from streams import loop
from streams.__main__ import main
from streams.output_topics import ALERTS, LATEST, WINDOWS, ensure_output_topics
from tests.support.awaiting import awaited
from tests.support.committed import committed_records
from tests.support.landing import reading, registered, send
from wire.envelope import ID, Message

Process = subprocess.Popen[bytes]

INSIDE = ("written", "offsets")
"""Inside a transaction: its results lie with the broker, or its offsets as well."""
PLACES = (*INSIDE, "committing", "committed")
"""And while the commit is under way, where either may come first, and right after it."""
DEVICES = 6
DECLARED = """
rules:
  each_odd:
    where: metric_name = 'temperature'
    condition: value % 2 = 1
windows:
  device_minutes:
    size_s: 86400
    select: {value_sum: sum(value)}
"""


class KilledProducer(Producer):
    """A producer whose process ends at a `place` of its `number`-th transaction that has results."""

    place, number = "", 1
    written = 0

    def produce(self, *arguments: Any, **named: Any) -> None:
        super().produce(*arguments, **named)
        self.written += 1

    def send_offsets_to_transaction(self, *arguments: Any, **named: Any) -> None:
        self._end_at("written")
        super().send_offsets_to_transaction(*arguments, **named)
        self._end_at("offsets")

    def commit_transaction(self, *arguments: Any, **named: Any) -> None:
        if self._is_at("committing"):
            Timer(random.uniform(0.0, 0.01), os.kill, (os.getpid(), signal.SIGKILL)).start()
        super().commit_transaction(*arguments, **named)
        self._end_at("committed")
        KilledProducer.number -= bool(self.written)
        self.written = 0

    def _is_at(self, place: str) -> bool:
        return self.place == place and self.number == 1 and self.written > 0

    def _end_at(self, place: str) -> None:
        if self._is_at(place):
            # what is in the transaction lies with the broker then
            self.flush(120)
            os.kill(os.getpid(), signal.SIGKILL)


def run_killed(place: str, number: int) -> int:
    """The hot path in this process, which ends itself there."""
    KilledProducer.place, KilledProducer.number = place, number
    loop.Producer = KilledProducer  # type: ignore[attr-defined]
    return main([])


@dataclass
class Trial:
    """A home with a broker, what was sent to it, and how its hot path ended so far."""

    settings: Settings
    bootstrap: str
    draw: random.Random
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    sums: Counter[str] = field(default_factory=Counter)
    newest: dict[str, float] = field(default_factory=dict)
    sent: int = 0
    open_when_killed: Counter[str] = field(default_factory=Counter)

    def readings(self, count: int) -> list[Message]:
        """New readings of random devices, each a millisecond after the one before."""
        found = []
        for _ in range(count):
            device, value = f"k{self.draw.randrange(DEVICES)}", float(self.draw.randrange(10, 30))
            self.sums[device] += int(value)
            self.newest[device] = value
            found.append(reading(device, f"m{self.sent}", self.now + timedelta(milliseconds=self.sent), value))
            self.sent += 1
        return found

    def send(self, count: int) -> None:
        """Have new readings lie in the landing zone."""
        send(self.bootstrap, self.readings(count))

    def started(self, code: str = "import sys; from streams.__main__ import main; sys.exit(main([]))") -> Process:
        """The hot path in a process of its own."""
        return self.run("-c", code)

    def run(self, *arguments: str) -> Process:
        """This Python with the arguments, for this home and its broker."""
        environment = {
            **os.environ, "LAKEHOUSE_HOME": str(self.settings.home), "LAKEHOUSE_KAFKA_BOOTSTRAP": self.bootstrap,
        }  # fmt: skip
        return subprocess.Popen([sys.executable, *arguments], env=environment)

    def kill(self, place: str) -> None:
        """Start it, have it end itself at the place, and count whether it left a transaction open."""
        number = self.draw.randrange(1, 3)
        code = f"from tests.support.streams_faults import run_killed; run_killed({place!r}, {number})"
        process = self.started(code)

        def has_ended() -> bool:
            self.send(3)
            return process.poll() is not None

        awaited(has_ended, "where it ends itself", every_s=0.3)
        assert process.returncode == -signal.SIGKILL
        self.open_when_killed[place] += has_open_transaction(self.bootstrap)

    def pause(self, seconds: float) -> None:
        """Let the broker stand still under load, while the hot path runs."""
        process = self.started()
        try:
            self.send(3)
            self.await_all(process)
            record = find(self.settings, "broker")
            assert record is not None
            self.send(20)
            os.kill(record.pid, signal.SIGSTOP)
            try:
                time.sleep(seconds)
                assert process.poll() is None
            finally:
                os.kill(record.pid, signal.SIGCONT)
            self.send(20)
            self.await_all(process)
        finally:
            end(process)

    def finish(self) -> None:
        """Let it run undisturbed, and hold all that was committed against the oracle."""
        process = self.started()
        try:
            self.await_all(process)
        finally:
            end(process)
        self.check()

    def await_all(self, process: Process) -> None:
        """Wait until the committed windows have everything that was sent."""

        def is_all_there() -> bool:
            assert process.poll() is None
            return sums(committed(self.bootstrap, WINDOWS)) == self.sums

        awaited(is_all_there, "windows with everything that was sent")

    def check(self) -> None:
        """Windows and latest values are those of what was sent, and nothing was told twice."""
        windows, alerts = committed(self.bootstrap, WINDOWS), committed(self.bootstrap, ALERTS)
        assert sums(windows) == self.sums
        assert {row["device_id"]: row["value"] for _, row in committed(self.bootstrap, LATEST)} == self.newest
        for told in (windows, alerts):
            counts = Counter(identity for identity, _ in told)
            assert counts
            assert set(counts.values()) == {1}
        revisions: dict[tuple[str, str], list[int]] = {}
        for _, row in alerts:
            revisions.setdefault((row["rule"], row["device_id"]), []).append(row["revision"])
        gaps = {key: found for key, found in revisions.items() if found != list(range(1, len(found) + 1))}
        assert not gaps, [row for _, row in alerts if (row["rule"], row["device_id"]) in gaps]


@contextmanager
def trial(folder: Path, seed: int, declared: str = DECLARED) -> Iterator[Trial]:
    """A trial in a home of its own, with registered devices."""
    (folder / "streams").mkdir()
    (folder / "streams" / "own.yml").write_text(declared)
    settings = load_settings({"LAKEHOUSE_HOME": str(folder)})
    with running_broker(settings) as bootstrap:
        ensure_topics(bootstrap)
        ensure_output_topics(bootstrap)
        found = Trial(settings, bootstrap, random.Random(seed))
        send(bootstrap, [registered(f"k{d}", found.now - timedelta(days=1)) for d in range(DEVICES)])
        yield found


def end(process: Process) -> None:
    """Ask it to end, and see that it does so well."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def has_open_transaction(bootstrap: str) -> bool:
    """True when records lie in the windows or latest values that no reader of committed ones may see yet."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    topics = admin.list_topics(timeout=60).topics
    asked = [TopicPartition(name, p) for name in (WINDOWS, LATEST) for p in topics[name].partitions]
    ends = []
    for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED):
        answers = admin.list_offsets({each: OffsetSpec.latest() for each in asked}, isolation_level=level)
        ends.append({(each.topic, each.partition): found.result().offset for each, found in answers.items()})
    return ends[0] != ends[1]


def text_of(header: str | bytes | None) -> str:
    assert isinstance(header, bytes)
    return header.decode()


def committed(bootstrap: str, topic: str) -> list[tuple[str, dict[str, Any]]]:
    """All committed records of a topic to its present end, with their identities."""
    return [
        (text_of(dict(record.headers() or [])[ID]), json.loads(record.value() or b"{}"))
        for record in committed_records(bootstrap, topic)
    ]


def sums(windows: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, float]:
    """The sum of the newest revision of each device's windows."""
    newest: dict[tuple[str, str], tuple[int, float]] = {}
    for _, row in windows:
        if row["window"] == "device_minutes":
            key = (row["device_id"], row["window_start"])
            newest[key] = max(newest.get(key, (0, 0.0)), (row["revision"], row["value_sum"]))
    found: dict[str, float] = defaultdict(float)
    for (device, _), (_, value) in newest.items():
        found[device] += int(value)
    return found


def many(kills: int, seed: int) -> None:
    """As many kills at places in turn, then a minute without the broker; says what was seen."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-streams-") as folder, trial(Path(folder), seed) as found:
        for number in range(kills):
            found.kill(PLACES[number % len(PLACES)])
        found.finish()
        print(f"{kills} kills, {found.sent} readings; transactions left open: {dict(found.open_when_killed)}")
        found.pause(60.0)
        found.check()
        print(f"a broker that stood still for 60 s, {found.sent} readings: as the oracle has it")


if __name__ == "__main__":
    many(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 7)
