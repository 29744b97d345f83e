"""Simulations and replays into a real broker: what the manifest says is what Kafka has."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from device_sim.faults import DEMO_FAULTS, Faults
from device_sim.manifest import read_summary
from device_sim.producer import MessageProducer
from device_sim.simulation import SimulationOptions, simulate
from ingestion.landing_topics import ensure_topics
from lakehouse.cli.commands.replay import replay
from lakehouse.cli.commands.simulate import simulate as simulate_command
from runtime.errors import PlatformError
from runtime.settings import Settings
from wire.envelope import Message as WireMessage

START = datetime(2026, 11, 20, tzinfo=UTC)
OPTIONS = SimulationOptions(START, devices=12, hours=3.0, faults=DEMO_FAULTS)


@dataclass(frozen=True)
class Landed:
    """The messages that have come since the topics were looked at first."""

    bootstrap: str
    starts: Mapping[tuple[str, int], int]

    def since(self) -> list[Message]:
        """All of them, partition by partition in order."""
        last = ends(self.bootstrap)
        todo = {place: last[place] - start for place, start in self.starts.items() if last[place] > start}
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "test", "enable.auto.commit": False})
        messages: list[Message] = []
        try:
            consumer.assign([TopicPartition(*place, self.starts[place]) for place in todo])
            while len(messages) < sum(todo.values()):
                batch = consumer.consume(min(1000, sum(todo.values()) - len(messages)), timeout=120)
                assert batch
                assert not [message for message in batch if message.error()]
                messages += batch
        finally:
            consumer.close()
        return sorted(messages, key=lambda message: (message.topic(), message.partition(), message.offset()))

    def count(self) -> int:
        """How many."""
        return sum(ends(self.bootstrap).values()) - sum(self.starts.values())


def ends(bootstrap: str) -> dict[tuple[str, int], int]:
    """The end offset of each partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test"})
    try:
        topics = consumer.list_topics(timeout=60).topics
        places = [(name, p) for name in ("lifecycle", "telemetry") for p in sorted(topics[name].partitions)]
        return {(t, p): consumer.get_watermark_offsets(TopicPartition(t, p), timeout=60)[1] for t, p in places}
    finally:
        consumer.close()


@pytest.fixture
def landed(broker: str) -> Landed:
    """What lands from now on."""
    ensure_topics(broker)
    return Landed(broker, ends(broker))


@pytest.fixture
def home(tmp_path: Path, broker: str) -> Settings:
    """A home that needs no Spark."""
    return Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"), kafka_bootstrap=broker)


def _identity(message: Message) -> tuple[object, ...]:
    headers: dict[str, Any] = dict(message.headers() or [])
    key = message.key()
    name = None if key is None else key.decode()
    message_id = headers.get("ce_id")
    return message.topic(), name, headers["ce_source"].decode(), None if message_id is None else message_id.decode()


def _manifest_identities(path: Path) -> Counter[tuple[object, ...]]:
    rows = pq.read_table(path, columns=["topic", "device_id", "source", "message_id"]).to_pylist()
    return Counter(tuple(row.values()) for row in rows)


def _bytes(message: Message) -> tuple[object, ...]:
    return message.topic(), message.key(), tuple(message.headers() or []), message.value()


def test_the_manifest_has_what_kafka_has(home: Settings, broker: str, landed: Landed) -> None:
    """Every message of the manifest is in Kafka, and none else; the fleet is registered first."""
    progress: list[tuple[int, int]] = []
    summary = simulate(home, broker, OPTIONS, lambda done, total: progress.append((done, total)))
    messages = landed.since()
    assert Counter(map(_identity, messages)) == _manifest_identities(summary.parquet_path)
    assert len(messages) == summary.telemetry_count + summary.lifecycle_count
    assert sum(summary.fates.values()) == sum(summary.faults.values()) == summary.telemetry_count
    registered = [m for m in messages if dict(m.headers() or [])["ce_type"] == b"lakehouse.device.registered"]
    assert len(registered) == 12
    assert max(m.timestamp()[1] for m in registered) <= min(
        m.timestamp()[1] for m in messages if m.topic() == "telemetry"
    )
    assert progress[-1][0] == progress[-1][1]
    assert not summary.is_interrupted
    assert read_summary(summary.json_path) == replace(summary, devices=read_summary(summary.json_path).devices)
    assert len(summary.devices) == 12


def test_a_device_keeps_its_order(home: Settings, broker: str, landed: Landed) -> None:
    """A device's messages stand in one partition in the order of sending, so no repeat overtakes its first."""
    summary = simulate(home, broker, OPTIONS)
    rows = pq.read_table(summary.parquet_path).to_pylist()
    messages = landed.since()
    for device_id in ("pump-0001", "thermostat-0002"):
        mine = [m for m in messages if m.key() == device_id.encode() and m.topic() == "telemetry"]
        assert len({m.partition() for m in mine}) == 1
        sent = [row["message_id"] for row in rows if row["device_id"] == device_id and row["topic"] == "telemetry"]
        assert [_identity(m)[3] for m in mine] == sent


def test_a_second_run_sends_the_same_bytes(home: Settings, broker: str, landed: Landed) -> None:
    """A seed replays a run exactly, registrations included."""
    simulate(home, broker, OPTIONS)
    first = Counter(map(_bytes, landed.since()))
    again = Landed(broker, ends(broker))
    simulate(home, broker, OPTIONS)
    assert Counter(map(_bytes, again.since())) == first


@dataclass
class _StoppingClock:
    """Moves on when waited on, and asks to stop after so many waits."""

    moment: datetime
    waits_left: int
    stop: Event = field(default_factory=Event)

    def now(self) -> datetime:
        return self.moment

    def wait_until(self, moment: datetime, stop: Event) -> None:
        self.moment = moment
        self.waits_left -= 1
        if self.waits_left == 0:
            self.stop.set()


def test_a_stopped_run_keeps_what_was_sent(home: Settings, broker: str, landed: Landed) -> None:
    """A run at its own pace waits for each message's time; stopped, its manifest has exactly what is in Kafka."""
    clock = _StoppingClock(START + timedelta(hours=1), 100)
    options = SimulationOptions(START, devices=4, hours=1.0, speed=60.0, reporting_interval_s=60)
    summary = simulate(home, broker, options, stop=clock.stop, clock=clock)
    assert summary.is_interrupted
    # sixty times real time: the simulated time sent takes a sixtieth of it on the clock
    rows = pq.read_table(summary.parquet_path).to_pylist()
    sent = [row["measured_at"] for row in rows if row["topic"] == "telemetry"]
    assert len(sent) >= 99
    elapsed = clock.moment - (START + timedelta(hours=1))
    assert timedelta() <= elapsed * 60 - (max(sent) - START) <= timedelta(minutes=1)
    assert Counter(map(_identity, landed.since())) == _manifest_identities(summary.parquet_path)


def test_an_interrupt_ends_cleanly(home: Settings, broker: str, landed: Landed, request: pytest.FixtureRequest) -> None:
    """Ctrl-C ends the command with exit 0, a summary, and a manifest of exactly what is in Kafka."""
    code = "from lakehouse.cli.commands.simulate import simulate; simulate()"
    arguments = ["--devices", "5", "--hours", "1", "--interval", "1", "--speed", "100", "--start", "2026-11-20"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=request.config.rootpath,
        env=os.environ | home.child_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while landed.count() < 50 and time.monotonic() < deadline:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert output.startswith("Interrupted: sent ")
    (path,) = (home.home / "manifests").glob("*.parquet")
    assert Counter(map(_identity, landed.since())) == _manifest_identities(path)
    assert json.loads(path.with_suffix(".json").read_text())["is_interrupted"]


def test_a_broker_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker is one sentence with its address."""
    monkeypatch.setattr("device_sim.producer._CONNECT_TIMEOUT_S", 0.5)
    with pytest.raises(PlatformError, match=r"does not answer at 127\.0\.0\.1:1"):
        MessageProducer("127.0.0.1:1")


def test_what_the_broker_refuses_is_known_by_number(broker: str) -> None:
    """A message that is not acknowledged is counted, the ones beside it arrive."""
    admin = AdminClient({"bootstrap.servers": broker})
    topic = NewTopic("narrow", num_partitions=1, config={"max.message.bytes": "1000"})
    admin.create_topics([topic], operation_timeout=60)["narrow"].result()
    try:
        producer = MessageProducer(broker)
        producer.send(WireMessage("narrow", b"d", [], b"small"))
        assert producer.flush() == set()
        producer.send(WireMessage("narrow", b"d", [], os.urandom(5000)))
        assert producer.flush() == {1}
        with pytest.raises(PlatformError, match="did not take 1 message "):
            producer.check()
    finally:
        admin.delete_topics(["narrow"], operation_timeout=60)["narrow"].result()


def test_a_refused_message_fails_the_run_and_is_not_in_the_manifest(
    home: Settings, broker: str, landed: Landed
) -> None:
    """A run whose messages are not all acknowledged ends with an error; its manifest has those that were."""
    # a batch of messages is longer than this, a single registration is not in this topic
    _configure(broker, {"max.message.bytes": "500"})
    try:
        with pytest.raises(PlatformError, match="did not take"):
            simulate(home, broker, replace(OPTIONS, faults=Faults()))
    finally:
        _configure(broker, {"max.message.bytes": str(4 * 1024 * 1024)})
    (path,) = (home.home / "manifests").glob("*.parquet")
    in_manifest = _manifest_identities(path)
    assert Counter(map(_identity, landed.since())) == in_manifest
    assert 12 <= in_manifest.total() < 2000


def test_replaying_a_file_twice_sends_the_same_bytes(
    home: Settings, landed: Landed, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row of the recorded year is one message with its own time; a second replay repeats them all."""
    for name, value in home.child_environment().items():
        monkeypatch.setenv(name, value)
    path = request.config.rootpath / "tests" / "data" / "ambient_temperature.csv"
    arguments = [str(path), "--model", "thermostat", "--device", "office-1", "--map", "value=temperature"]
    for _ in range(2):
        result = CliRunner().invoke(replay, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        assert result.stdout.startswith("Sent 7,267 rows as 7,267 messages")
        assert "office-1, in service since 2013-07-04T00:00:00Z" in result.output
    messages = Counter(map(_bytes, landed.since()))
    assert set(messages.values()) == {2}
    assert len(messages) == 7268
    values = {dict(headers)["ce_time"]: value for topic, _, headers, value in messages if topic == "telemetry"}  # type: ignore[call-overload]
    assert values[b"2013-07-04T00:00:00.000Z"] == b'{"temperature":69.88083514}'


def test_simulate_prints_what_it_sent(
    home: Settings, landed: Landed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command takes a faults file and prints counts by fault and the manifest's place."""
    for name, value in home.child_environment().items():
        monkeypatch.setenv(name, value)
    printed = CliRunner().invoke(simulate_command, ["--print-faults"], catch_exceptions=False)
    faults = tmp_path / "faults.json"
    faults.write_text(printed.output)
    arguments = [
        "--devices",
        "6",
        "--hours",
        "2",
        "--faults",
        str(faults),
        "--models",
        "pump",
        "--models",
        "thermostat",
    ]
    result = CliRunner().invoke(simulate_command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    (path,) = (home.home / "manifests").glob("*.parquet")
    assert f"Manifest: {path}" in result.output
    assert "clock_ahead" in result.output
    assert landed.count() == pq.read_metadata(path).num_rows


def _configure(bootstrap: str, configuration: Mapping[str, str]) -> None:
    entries = [ConfigEntry(n, v, incremental_operation=AlterConfigOpType.SET) for n, v in configuration.items()]
    resource = ConfigResource(ResourceType.TOPIC, "telemetry", incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.incremental_alter_configs([resource])[resource].result()
