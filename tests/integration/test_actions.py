"""Alerts become actions on a real broker: one an action and revision, again after failures, and after a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from threading import Event, Thread
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from lakehouse.cli.main import run
from runtime import processes
from runtime.settings import Settings, load_settings
from serving.programs import PROGRAMS
from serving.queues.queue_administration import QUEUES, shown_messages
from serving.queues.queue_entities import find
from serving.queues.queue_store import opened_store
from streams import dispatcher
from streams.action_entries import Entry, read_outbox
from streams.declarations import load_declarations
from streams.dispatcher import DispatchOptions, run_actions
from streams.output_topics import ALERTS, ensure_output_topics
from tests.conftest import empty_topics
from tests.support.awaiting import awaited
from tests.support.committed import let_go
from tests.support.receiver import receiving

_DECLARED = """
actions:
  call: {{kind: webhook, url: {url}}}
  lost: {{kind: webhook, url: {url}/lost}}
  queue: {{kind: queue, queue: alerts}}
  again: {{kind: queue, queue: alerts}}
rules:
  too_hot: {{condition: value > 30, actions: [call]}}
"""


def home(tmp_path: Path, broker: str, url: str) -> Settings:
    """A home, and topics in which nothing is told: a test that is tried again finds none of its first try."""
    empty_topics(broker)
    ensure_output_topics(broker)
    (tmp_path / "streams").mkdir(parents=True)
    (tmp_path / "streams" / "own.yml").write_text(_DECLARED.format(url=url))
    return load_settings({"LAKEHOUSE_HOME": str(tmp_path), "LAKEHOUSE_KAFKA_BOOTSTRAP": broker,
                          "LAKEHOUSE_ACTIONS_SECRET": "s3", "LAKEHOUSE_ACTIONS_ALLOW": "127.0.0.1/32"})  # fmt: skip


def alert(broker: str, name: str, actions: list[str], partition: int = -1) -> None:
    producer = Producer({"bootstrap.servers": broker, "log_level": 0})
    body = {"rule": "too_hot", "change": "fired", "severity": "info", "device_id": "d", "actions": actions}
    producer.produce(ALERTS, json.dumps(body).encode(), partition=partition, headers=[("ce_id", name.encode())])
    assert producer.flush(120) == 0


def until(broker: str, is_so: Callable[[dict[str, Entry]], bool]) -> dict[str, Entry]:
    return awaited(lambda: found if is_so(found := read_outbox(broker)) else {}, lambda: read_outbox(broker))


class Running:
    """A dispatcher in a thread of this process."""

    def __init__(self, settings: Settings, **options: int) -> None:
        self.stop = Event()
        arguments = (settings, settings.kafka_bootstrap, load_declarations(settings).actions,
                     DispatchOptions(**options), self.stop, print)  # fmt: skip
        self.thread = Thread(target=run_actions, args=arguments)
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(180)
        assert not self.thread.is_alive()


def test_each_revision_is_acted_on_once_and_what_fails_again(
    tmp_path: Path, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that is down is asked again with the same key; one that refuses makes a dead letter, which can be
    looked at and sent again; a restart does nothing twice, and goes on with the oldest alert that Kafka still has."""
    monkeypatch.setattr("streams.action_entries._FIRST_S", 0.1)
    with receiving([503, 404]) as receiver:
        settings = home(tmp_path, broker, receiver.url)
        running = Running(settings)
        time_to_begin(broker)
        alert(broker, "too_hot/d/1", ["call", "call"])
        until(broker, lambda found: "call/too_hot/d/1" in found and found["call/too_hot/d/1"].attempts > 0)
        alert(broker, "too_hot/d/2", ["call"])
        found = until(broker, lambda found: {e.state for e in found.values()} == {"sent", "dead"})
        keys = [receiver.requests.get(timeout=180)[0]["Idempotency-Key"] for _ in range(3)]
        assert sorted({key: keys.count(key) for key in keys}.values()) == [1, 2]
        (dead,) = (key for key, entry in found.items() if entry.state == "dead")
        assert "404" in found[dead].error
        monkeypatch.setenv("LAKEHOUSE_HOME", str(settings.home))
        monkeypatch.setenv("LAKEHOUSE_KAFKA_BOOTSTRAP", broker)
        assert run(["actions", "show", dead]) == 0
        assert run(["actions", "retry", "no such"]) == 2
        assert run(["actions", "retry", dead]) == 0
        until(broker, lambda found: {e.state for e in found.values()} == {"sent"})
        assert receiver.requests.get(timeout=180)[0]["Idempotency-Key"] == dead
        running.end()
        alert(broker, "too_hot/d/gone", ["call"], partition=0)
        let_go(broker, ALERTS)
        alert(broker, "too_hot/d/3", ["call"], partition=0)
        running = Running(settings)
        until(broker, lambda found: "call/too_hot/d/3" in found and found["call/too_hot/d/3"].state == "sent")
        assert receiver.requests.get(timeout=180)[0]["Idempotency-Key"] == "call/too_hot/d/3"
        running.end()
        assert receiver.requests.empty()


def test_killed_between_sending_and_committing_it_sends_once_more(tmp_path: Path, broker: str) -> None:
    """A process that is killed while the receiver has the request sends it once more after its restart, with the
    same key; nothing is lost. Of alerts that Kafka let go of while it stood still it says which; those that are left,
    and those of a partition that was added, are acted on once."""
    environment = {**os.environ, "LAKEHOUSE_HOME": str(tmp_path / "h"), "LAKEHOUSE_KAFKA_BOOTSTRAP": broker,
                   "LAKEHOUSE_ACTIONS_SECRET": "s3", "LAKEHOUSE_ACTIONS_ALLOW": "127.0.0.1/32"}  # fmt: skip
    with receiving() as receiver:
        home(tmp_path / "h", broker, receiver.url)
        command = [sys.executable, "-c", _HANGING.format(name="send")]
        process = subprocess.Popen(command, env=environment)
        time_to_begin(broker)
        alert(broker, "kill/d/1", ["call"])
        assert receiver.requests.get(timeout=180)[0]["Idempotency-Key"] == "call/kill/d/1"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert read_outbox(broker)["call/kill/d/1"].state == "waiting"
        said = tmp_path / "said"
        with said.open("w") as stderr:
            running = subprocess.Popen([sys.executable, "-m", "streams", "actions"], env=environment, stderr=stderr)
        until(broker, lambda found: found["call/kill/d/1"].state == "sent")
        assert receiver.requests.get(timeout=180)[0]["Idempotency-Key"] == "call/kill/d/1"
        lose_alerts(broker, running)
        admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
        admin.create_partitions([NewPartitions(ALERTS, 2)])[ALERTS].result(60)
        alert(broker, "kill/d/4", ["call"], partition=1)
        found = until(broker, lambda found: "call/kill/d/4" in found and {e.state for e in found.values()} == {"sent"})
        assert found.keys() - {"call/kill/d/2"} == {f"call/kill/d/{number}" for number in (1, 3, 4)}
        running.send_signal(signal.SIGTERM)
        assert running.wait(180) == 0
        assert re.search(r"Lost: the offsets \d+ to 2 of alerts, partition 0", said.read_text())
        keys = [receiver.requests.get(timeout=180)[0]["Idempotency-Key"] for _ in found.keys() - {"call/kill/d/1"}]
        assert sorted(keys) == sorted(found.keys() - {"call/kill/d/1"})
        try:
            raise AssertionError(receiver.requests.get_nowait())
        except Empty:
            pass


def lose_alerts(broker: str, running: subprocess.Popen[bytes]) -> None:
    """While the process stands still Kafka gets two alerts and lets go of them, of which a request that was under way
    may have brought the first; then it goes on, and a third alert is acted on."""
    running.send_signal(signal.SIGSTOP)
    alert(broker, "kill/d/2", ["call"], partition=0)
    alert(broker, "kill/d/lost", ["call"], partition=0)
    let_go(broker, ALERTS)
    running.send_signal(signal.SIGCONT)
    alert(broker, "kill/d/3", ["call"], partition=0)
    until(broker, lambda found: "call/kill/d/3" in found)


def test_a_queue_has_each_revision_once(tmp_path: Path, broker: str) -> None:
    """The queue that an action names is made when it is first sent to; a dispatcher that is killed after it sent, and
    two actions on one queue, leave one message of a revision there, under the revision's identity; while nobody serves
    the queues the action waits."""
    settings = home(tmp_path / "h", broker, "http://127.0.0.1:1")
    environment = {**os.environ, "LAKEHOUSE_HOME": str(settings.home), "LAKEHOUSE_KAFKA_BOOTSTRAP": broker}
    process = subprocess.Popen([sys.executable, "-c", _HANGING.format(name="send")], env=environment)
    time_to_begin(broker)
    (program,) = (each for each in PROGRAMS if each.name == QUEUES)
    alert(broker, "queue/d/1", ["queue"])
    # the first attempt hangs when it has failed, too
    until(broker, lambda found: "queue/queue/d/1" in found)
    process.kill()
    process.wait()
    with processes.running(settings, QUEUES, lambda: program.start(settings, {})) as record:
        processes.wait_until_ready(settings, record, lambda: program.is_ready(settings, record), 180)
        process = subprocess.Popen([sys.executable, "-c", _HANGING.format(name="send")], env=environment)
        wait_for_messages(settings, 1)
        process.kill()
        process.wait()
        assert read_outbox(broker)["queue/queue/d/1"].state == "waiting"
        running = Running(settings)
        alert(broker, "queue/d/2", ["queue", "again"])
        until(broker, lambda found: {e.state for e in found.values() if "queue/d/" in e.key} == {"sent"})
        running.end()
        found = wait_for_messages(settings, 2)
    assert [each["message_id"] for each in found] == ["queue/d/1", "queue/d/2"]
    assert json.loads(found[0]["body"])["rule"] == "too_hot"


def wait_for_messages(settings: Settings, count: int) -> list[dict[str, Any]]:
    """The messages of the queue of alerts, once there are so many."""

    def found() -> list[dict[str, Any]]:
        with opened_store(settings) as store:
            there = [] if find(store, "alerts") is None else shown_messages(store, "alerts", 0, 10)
        return there if len(there) >= count else []

    return awaited(found, f"{count} messages of the queue")


# sends, and hangs before what came of it is known
_HANGING = """
import sys, time
from streams import __main__, dispatcher
def sent(*arguments, real=dispatcher.{name}):
    real(*arguments)
    time.sleep(600)
dispatcher.{name} = sent
__main__.main(["actions"])
"""


def time_to_begin(broker: str) -> None:
    """Wait until the group of the dispatcher has said where it begins."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": dispatcher._GROUP, "log_level": 0})
    deadline = time.monotonic() + 180
    while True:
        assert time.monotonic() < deadline
        try:
            if consumer.committed([TopicPartition(ALERTS, 0)], timeout=60)[0].offset >= 0:
                return consumer.close()
        except KafkaException:  # the broker has no coordinator for the group yet
            time.sleep(0.1)
