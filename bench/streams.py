"""The hot path under load: CPU a message of a backlog beside programs by hand, latency, memory, a restart, alarms.

Belongs here: the load, whose results are awaited, and what is taken of the processes. The programs beside are in
`by_hand_streams`. Seconds of `streams-backlog` are CPU, since broker and load have their share of the same cores.

Every side is warm: it has told the figures of some messages, is stopped while the backlog is sent, and goes on.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from bench.by_hand_streams import OUTPUT
from bench.harness import DifferenceError, Result, Times
from device_sim.producer import MessageProducer
from ingestion.landing_topics import ensure_topics
from runtime.errors import PlatformError
from runtime.kafka.broker import running_broker
from runtime.process_family import family, kill_all
from runtime.settings import Settings
from streams.output_topics import ALERTS, WINDOWS, ensure_output_topics
from wire.envelope import REGISTERED, Message, TelemetryEnvelope, lifecycle_message, rfc3339

_DEVICES = 1000
_WARM = 2_000
_WAIT_S = 180.0
_BY_HAND = Path(__file__).parent / "by_hand_streams.py"
_QUIX = Path(sys.prefix) / "quix" / "bin" / "python"
_ALARMS, _CHANGES = 40, ("fired", "cleared")
_RULE = """
rules:
  too_hot:
    where: metric_name = 'temperature'
    condition: value > 60
"""
_ATTRIBUTES: Mapping[str, Any] = {"model_id": "dtmi:lakehouse:thermostat;1"}


@dataclass(frozen=True)
class Size:
    """How much of each is done."""

    backlog: int
    rounds: int
    rate: int
    steady_s: int


_FULL, _QUICK = Size(500_000, 3, 2_000, 600), Size(60_000, 1, 2_000, 20)


@dataclass
class Landing:
    """A broker with registered devices, and how many readings were sent."""

    settings: Settings
    bootstrap: str
    sent: int = 0

    def messages(self, count: int, begin: datetime, step: timedelta) -> Iterator[Message]:
        """Readings of all devices in turn, each `step` after the one before."""
        for number in range(count):
            moment = rfc3339(begin + number * step)
            device = self.sent % _DEVICES
            payload = b'{"temperature":%d.5}' % (self.sent % 30)
            yield TelemetryEnvelope(f"d-{device}").message(f"m-{self.sent}", moment, payload)
            self.sent += 1

    def send(self, messages: Iterator[Message]) -> None:
        """Have them all lie in the landing zone."""
        producer = MessageProducer(self.bootstrap)
        for message in messages:
            producer.send(message)
            producer.poll()
        producer.flush()
        producer.check()


def run(folder: Path, is_quick: bool) -> list[Result]:
    """A backlog of half a million and 3 rounds, 2,000 a second for 10 minutes; quick 60,000, 1 and 20 s."""
    size = _QUICK if is_quick else _FULL
    sides = {"lakehouse streams": [sys.executable, "-m", "streams"], "by hand, no judging": _by_hand("python")}
    if _QUIX.exists():
        sides["Quix, no judging"] = _by_hand("quix", _QUIX)
    sides["Spark, no judging"] = _by_hand("spark")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(size.rounds):
        for place, (name, command) in enumerate(sides.items()):
            with _landing(folder / f"{place}-{number}") as landing:
                seconds[name].append(_backlog(landing, command, size.backlog))
    backlog = tuple(Times(name, tuple(found)) for name, found in seconds.items())
    with _landing(folder / "steady") as landing:
        latencies, note, first_s = _steady(landing, size)
    with _landing(folder / "rule", _RULE) as landing:
        alarms = _alarms(landing)
    p99 = quantiles(latencies, n=100)[98]
    goal = f"p99 1 s: {p99:.2f} s; 20 % of a core and 250 MB: {note}"
    return [
        Result("streams-backlog", "CPU of a backlog", size.backlog, "messages", backlog, "35,000 a CPU-second, judged"),
        Result("streams-steady", "sent to committed window", 1, "messages", (Times("lakehouse", tuple(latencies)),),
               goal, is_alone=True),
        Result("streams-restart", "killed to the next result", 1, "starts", (Times("lakehouse", (first_s,)),), "3 s",
               is_alone=True),
        Result("streams-rule", "message to committed alarm", 1, "changes", (Times("lakehouse", tuple(alarms)),), "2 s",
               is_alone=True),
    ]  # fmt: skip


def _by_hand(kind: str, python: Path = Path(sys.executable)) -> list[str]:
    return [str(python), str(_BY_HAND), kind]


@contextmanager
def _landing(folder: Path, declared: str = "") -> Iterator[Landing]:
    (folder / "streams").mkdir(parents=True)
    (folder / "streams" / "own.yml").write_text(declared or "{}")
    settings = Settings(home=folder, lake_uri=str(folder / "lake"))
    with running_broker(settings) as bootstrap:
        ensure_topics(bootstrap)
        ensure_output_topics(bootstrap)
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        (made,) = admin.create_topics([NewTopic(OUTPUT, 8)]).values()
        made.result()
        found = Landing(settings, bootstrap)
        since = rfc3339(datetime.now(UTC) - timedelta(days=1))
        found.send(lifecycle_message(f"d-{n}", f"r-{n}", REGISTERED, since, dict(_ATTRIBUTES)) for n in range(_DEVICES))
        yield found


@contextmanager
def _running(landing: Landing, command: Sequence[str]) -> Iterator[psutil.Process]:
    arguments = [] if command[-1] == "streams" else [landing.bootstrap, str(landing.settings.home / "by-hand")]
    environment = {
        **os.environ, "LAKEHOUSE_HOME": str(landing.settings.home), "LAKEHOUSE_KAFKA_BOOTSTRAP": landing.bootstrap,
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }  # fmt: skip
    log = landing.settings.home / "side.log"
    with log.open("wb") as told:
        process = subprocess.Popen([*command, *arguments], env=environment, stdout=told, stderr=told)
    try:
        yield psutil.Process(process.pid)
        if process.poll() is not None:
            raise PlatformError(f"{command} ended by itself: {log.read_text()[-2000:]}")
    finally:
        kill_all(family(process.pid))
        process.wait()


def _backlog(landing: Landing, command: Sequence[str], count: int) -> float:
    """CPU seconds of the process until its committed figures have all of a backlog."""
    output = WINDOWS if command[-1] == "streams" else OUTPUT
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    with _running(landing, command) as process, _Told(landing.bootstrap, output) as told:
        # minutes of their own, which a later message closes for who tells figures only then
        landing.send(landing.messages(_WARM, now - timedelta(minutes=8), timedelta(milliseconds=20)))
        _close(landing, now - timedelta(minutes=7))
        told.await_total(_WARM)
        members = family(process.pid)
        for member in members:
            member.suspend()
        step = timedelta(seconds=240) / count
        landing.send(landing.messages(count, now - timedelta(minutes=6), step))
        _close(landing, now)
        before = _cpu_s(members)
        for member in reversed(members):
            member.resume()
        told.await_total(_WARM + count)
        return _cpu_s(members) - before


def _close(landing: Landing, moment: datetime) -> None:
    """A message in each partition, of no registered device, after which the time of all before it has passed."""
    producer = MessageProducer(landing.bootstrap)
    for number in range(200):
        producer.send(TelemetryEnvelope(f"end-{number}").message(f"e-{moment}", rfc3339(moment), b'{"temperature":1}'))
    producer.flush()


def _steady(landing: Landing, size: Size) -> tuple[list[float], str, float]:
    """Seconds from each message's time to the committed window that has it; CPU and memory; and of a restart."""
    command = [sys.executable, "-m", "streams"]
    with _running(landing, command) as process, _Told(landing.bootstrap, WINDOWS) as told:
        landing.send(landing.messages(_WARM, datetime.now(UTC), timedelta(0)))
        told.await_total(_WARM)
        told.count_latencies = True
        load = threading.Thread(target=_load, args=(landing, told, size))
        before, began = _cpu_s([process]), time.monotonic()
        load.start()
        told.await_total(_WARM + size.rate * size.steady_s)
        share = (_cpu_s([process]) - before) / (time.monotonic() - began)
        note = f"{100 * share:.0f} % and {process.memory_info().rss / 2**20:.0f} MB"
        load.join()
        process.kill()
    killed = time.monotonic()
    with _running(landing, command), _Told(landing.bootstrap, WINDOWS, told.counts) as again:
        landing.send(landing.messages(1, datetime.now(UTC), timedelta(0)))
        again.await_total(landing.sent)
        return told.latencies, note, time.monotonic() - killed


def _alarms(landing: Landing) -> list[float]:
    """Seconds from sending a message to the committed alarm that it fires or clears."""
    consumer = Consumer({"bootstrap.servers": landing.bootstrap, "group.id": "bench", "log_level": 0,
                         "isolation.level": "read_committed", "fetch.wait.max.ms": 20})  # fmt: skip
    consumer.assign([TopicPartition(ALERTS, 0, 0)])
    producer, found = MessageProducer(landing.bootstrap), []
    with _running(landing, [sys.executable, "-m", "streams"]), _Told(landing.bootstrap, WINDOWS) as told:
        landing.send(landing.messages(_WARM, datetime.now(UTC), timedelta(0)))
        told.await_total(_WARM)
        for number in range(_ALARMS):
            value = b'{"temperature":%d}' % (20 if number % 2 else 70)
            began = time.monotonic()
            producer.send(TelemetryEnvelope("d-0").message(f"a-{number}", rfc3339(datetime.now(UTC)), value))
            producer.flush()
            message = consumer.poll(_WAIT_S)
            if message is None or json.loads(message.value() or b"{}")["change"] != _CHANGES[number % 2]:
                raise DifferenceError(f"the rule was not {_CHANGES[number % 2]} in {_WAIT_S:.0f} s")
            found.append(time.monotonic() - began)
    consumer.close()
    return found


def _load(landing: Landing, told: "_Told", size: Size) -> None:
    """As many messages a second, in tenths of it."""
    producer, began = MessageProducer(landing.bootstrap), time.monotonic()
    for turn in range(size.steady_s * 10):
        time.sleep(max(0.0, began + turn / 10 - time.monotonic()))  # the load is one of time
        for message in landing.messages(size.rate // 10, datetime.now(UTC), timedelta(0)):
            told.sent.setdefault((message.key or b"").decode(), []).append(time.time())
            producer.send(message)
        producer.poll()
    producer.flush()


class _Told:
    """What a reader of committed figures has seen: the readings that the newest figures of each minute hold."""

    def __init__(self, bootstrap: str, topic: str, counts: Mapping[tuple[str, Any], int] | None = None) -> None:
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "log_level": 0,
                                   "isolation.level": "read_committed", "fetch.wait.max.ms": 20})  # fmt: skip
        partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        starts = [TopicPartition(topic, p, 0) for p in partitions]
        if counts is not None:
            for each in starts:
                each.offset = self._consumer.get_watermark_offsets(each, timeout=10)[1]
        self._consumer.assign(starts)
        self.counts: dict[tuple[str, Any], int] = dict(counts or {})
        self.total = sum(self.counts.values())
        self.sent: dict[str, list[float]] = {}
        self.count_latencies = False
        self.latencies: list[float] = []

    def __enter__(self) -> "_Told":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def await_total(self, count: int) -> None:
        """Until the figures hold so many readings. Raises DifferenceError when they hold more, or come no further."""
        deadline = time.monotonic() + _WAIT_S
        while self.total < count:
            for message in self._consumer.consume(1_000, 0.05):
                if message.error() is None:
                    self._take(json.loads(message.value() or b"{}"))
                    deadline = time.monotonic() + _WAIT_S
            if time.monotonic() > deadline:
                raise DifferenceError(f"of {count:,} readings the figures hold {self.total:,} for {_WAIT_S:.0f} s")
        if self.total > count:
            raise DifferenceError(f"of {count:,} readings the figures hold {self.total:,}")

    def _take(self, row: Mapping[str, Any]) -> None:
        device, key = row["device_id"], (row["device_id"], row["window_start"])
        new = max(0, row["reading_count"] - self.counts.get(key, 0))
        if new and device.startswith("d-"):
            self.counts[key] = self.counts.get(key, 0) + new
            self.total += new
            if self.count_latencies:
                now, waiting = time.time(), self.sent[device]
                self.latencies += [now - at for at in waiting[:new]]
                del waiting[:new]


def _cpu_s(members: Sequence[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in members)
