"""The hot path on a real broker: windows, latest values and alarms, exactly once."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from ingestion.landing_topics import ensure_topics
from runtime.kafka.broker import running_broker
from runtime.settings import Settings, load_settings
from streams import kafka_places
from streams.declarations import load_declarations
from streams.loop import LoopOptions, run_loop
from streams.output_topics import ALERTS, LATEST, WINDOWS, ensure_output_topics
from tests.support.awaiting import awaited
from tests.support.landing import reading, registered, send
from wire.envelope import LIFECYCLE_TOPIC, TELEMETRY_TOPIC, Message

_WAIT_S = 150
_RULES = """
rules:
  too_hot:
    where: metric_name = 'temperature'
    condition: value > 30
    clear: value < 28
    severity: critical
windows:
  device_minutes:
    size_s: 20
    lateness_s: 15
    select: {value_max: max(value), value_mean: avg(value)}
"""


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home with a broker, its topics and a rule."""
    home = tmp_path_factory.mktemp("streams")
    settings = load_settings({"LAKEHOUSE_HOME": str(home)})
    (home / "streams").mkdir()
    (home / "streams" / "rules.yml").write_text(_RULES)
    with running_broker(settings) as bootstrap:
        ensure_topics(bootstrap)
        ensure_output_topics(bootstrap)
        yield load_settings({"LAKEHOUSE_HOME": str(home), "LAKEHOUSE_KAFKA_BOOTSTRAP": bootstrap})


class Running:
    """A loop in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self.stop = Event()
        self.told: list[str] = []
        arguments = (settings, settings.kafka_bootstrap, load_declarations(settings), LoopOptions(), self.stop)
        self.thread = Thread(target=run_loop, args=(*arguments, self.told.append))
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(_WAIT_S)
        assert not self.thread.is_alive()


class Results:
    """What a reader of committed records sees of an output topic, from now on."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "test", "isolation.level": "read_committed", "log_level": 0}
        )
        partitions = self._consumer.list_topics(topic, timeout=60).topics[topic].partitions
        ends = [TopicPartition(topic, p) for p in partitions]
        for each in ends:
            each.offset = self._consumer.get_watermark_offsets(each, timeout=60)[1]
        self._consumer.assign(ends)

    def until(self, is_enough: Any) -> list[dict[str, Any]]:
        """Records until `is_enough` of them says so."""
        found: list[dict[str, Any]] = []
        deadline = datetime.now(UTC) + timedelta(seconds=_WAIT_S)
        while not is_enough(found):
            assert datetime.now(UTC) < deadline, found
            message = self._consumer.poll(1.0)
            if message is not None and message.error() is None:
                found.append(json.loads(message.value() or b"{}"))
        return found


def of_minutes(found: list[dict[str, Any]], device: str) -> list[dict[str, Any]]:
    return [row for row in found if row["window"] == "device_minutes" and row["device_id"] == device]


def test_messages_become_windows_alarms_and_latest_values(landing: Settings) -> None:
    """Readings are in their minute within seconds, repeats once; a rule fires and clears; the minute becomes final."""
    bootstrap = landing.kafka_bootstrap or ""
    now = datetime.now(UTC)
    windows, alerts, latest = (Results(bootstrap, topic) for topic in (WINDOWS, ALERTS, LATEST))
    running = Running(landing)
    try:
        send(bootstrap, [registered(device, now - timedelta(days=1)) for device in ("h0", "h1")])
        send(bootstrap, [reading("h0", "warm", now, 20.0)])
        windows.until(lambda found: of_minutes(found, "h0"))
        latest.until(bool)
        # only now: a minute that was chosen before the loop is under way may be final before the last reading comes
        at = datetime.fromtimestamp(datetime.now(UTC).timestamp() // 20 * 20, UTC)
        send(bootstrap, [reading("h1", "a", at, 20.0), reading("h1", "a", at, 20.0)])
        first = windows.until(lambda found: of_minutes(found, "h1"))
        minute = of_minutes(first, "h1")[0]
        assert (minute["revision"], minute["value_max"]) == (1, 20.0)
        assert latest.until(bool)[0]["value"] == 20.0
        send(bootstrap, [reading("h1", "b", at + timedelta(milliseconds=1), 31.0)])
        (fired,) = alerts.until(bool)
        assert (fired["rule"], fired["change"], fired["device_id"], fired["severity"]) == (
            "too_hot",
            "fired",
            "h1",
            "critical",
        )
        send(bootstrap, [reading("h1", "c", at + timedelta(milliseconds=2), 27.0)])
        (cleared,) = alerts.until(bool)
        assert (cleared["change"], cleared["revision"]) == ("cleared", 2)
        final = windows.until(lambda found: any(row["is_final"] for row in of_minutes(found, "h1")))
        assert of_minutes(final, "h1")[-1] | {"revision": 3, "value_mean": 26.0} == of_minutes(final, "h1")[-1]
    finally:
        running.end()
    assert running.told == []


def send_to(bootstrap: str, partition: int, message: Message) -> None:
    """Send a message to a partition whatever its key."""
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    producer.produce(message.topic, message.value, message.key, headers=list(message.headers), partition=partition)
    assert producer.flush(120) == 0


def test_a_restart_goes_on_where_it_was(landing: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that came before a restart counts in its minute after it, nothing is told twice, and a late one that
    comes after it does not become the latest. A partition that is added, of telemetry or of the registry's
    events, is read without a restart."""
    bootstrap = landing.kafka_bootstrap or ""
    now = datetime.now(UTC)
    windows, alerts, latest = Results(bootstrap, WINDOWS), Results(bootstrap, ALERTS), Results(bootstrap, LATEST)
    monkeypatch.setattr(kafka_places, "_LOOK_S", 0.5)
    running = Running(landing)
    try:
        send(bootstrap, [registered("h2", now - timedelta(days=1)), reading("h2", "a", now, 31.0)])
        windows.until(lambda found: of_minutes(found, "h2"))
        assert [row["change"] for row in alerts.until(bool)] == ["fired"]
    finally:
        running.end()
    running = Running(landing)
    try:
        send(bootstrap, [reading("h2", "late", now - timedelta(milliseconds=1), 29.5)])
        windows.until(lambda rows: of_minutes(rows, "h2"))
        send(bootstrap, [reading("h2", "b", now + timedelta(milliseconds=1), 29.0)])
        windows.until(lambda rows: any(row["revision"] == 3 for row in of_minutes(rows, "h2")))
        assert [row["value"] for row in latest.until(lambda rows: len(rows) > 1)] == [31.0, 29.0]
        send(bootstrap, [reading("h2", "c", now + timedelta(milliseconds=2), 20.0)])
        assert [row["change"] for row in alerts.until(bool)] == ["cleared"]
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        added = len(admin.list_topics(TELEMETRY_TOPIC, timeout=60).topics[TELEMETRY_TOPIC].partitions)
        admin.create_partitions([NewPartitions(TELEMETRY_TOPIC, added + 1)])[TELEMETRY_TOPIC].result(60)
        send_to(bootstrap, added, reading("h2", "d", now + timedelta(milliseconds=3), 31.5))
        (fired,) = alerts.until(bool)
        assert (fired["change"], fired["seen"]["partition"]) == ("fired", added)
        windows.until(lambda rows: any(row["revision"] == 5 for row in of_minutes(rows, "h2")))
        begun = len(running.told)
        added = len(admin.list_topics(LIFECYCLE_TOPIC, timeout=60).topics[LIFECYCLE_TOPIC].partitions)
        admin.create_partitions([NewPartitions(LIFECYCLE_TOPIC, added + 1)])[LIFECYCLE_TOPIC].result(60)
        awaited(lambda: "other partitions" in "".join(running.told[begun:]), lambda: running.told)
    finally:
        running.end()
    assert [told for told in running.told if "other partitions" not in told] == []
