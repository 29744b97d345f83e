"""The hot path is killed again and again, and nobody who reads committed results can tell."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from ingestion.landing_topics import ensure_topics
from runtime.kafka.broker import running_broker
from runtime.settings import load_settings
from streams.output_topics import ALERTS, WINDOWS, ensure_output_topics
from tests.support.landing import reading, registered, send

_KILLS, _DEVICES, _READINGS = 6, 6, 40
_DECLARED = """
rules:
  each_odd:
    where: metric_name = 'temperature'
    condition: value % 2 = 1
windows:
  device_minutes:
    size_s: 3600
    select: {value_sum: sum(value)}
"""


def committed(bootstrap: str, topic: str) -> list[dict[str, object]]:
    """All committed records of a topic, to its present end."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "all", "isolation.level": "read_committed",
                         "enable.partition.eof": True, "log_level": 0})  # fmt: skip
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    open_, found = set(partitions), []
    while open_:
        message = consumer.poll(5.0)
        assert message is not None
        if message.error() is None:
            found.append(json.loads(message.value() or b"{}"))
        else:
            open_.discard(message.partition() or 0)
    consumer.close()
    return found


def test_kills_leave_no_trace(tmp_path: Path) -> None:
    """After kills at random moments every reading counts once in its window and each alarm changed once a revision."""
    (tmp_path / "streams").mkdir()
    (tmp_path / "streams" / "own.yml").write_text(_DECLARED)
    draw = random.Random(7)
    with running_broker(load_settings({"LAKEHOUSE_HOME": str(tmp_path)})) as bootstrap:
        ensure_topics(bootstrap)
        ensure_output_topics(bootstrap)
        environment = {**os.environ, "LAKEHOUSE_HOME": str(tmp_path), "LAKEHOUSE_KAFKA_BOOTSTRAP": bootstrap}
        now = datetime.now(UTC)
        send(bootstrap, [registered(f"k{d}", now - timedelta(days=1)) for d in range(_DEVICES)])
        expected: dict[str, float] = defaultdict(float)
        sent = 0
        for round_ in range(_KILLS + 1):
            process = subprocess.Popen([sys.executable, "-m", "streams"], env=environment)
            for _ in range(_READINGS // (_KILLS + 1) + 1):
                device, value = f"k{draw.randrange(_DEVICES)}", float(draw.randrange(10, 30))
                expected[device] += value
                send(bootstrap, [reading(device, f"m{sent}", now + timedelta(milliseconds=sent), value)])
                sent += 1
            if round_ < _KILLS:
                # long enough for it to be at work, short enough to be in the middle of it
                time.sleep(draw.uniform(0.5, 4.0))
                process.send_signal(signal.SIGKILL)
                process.wait()
        deadline = time.monotonic() + 120
        while (told := sums(bootstrap)) != expected and time.monotonic() < deadline:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert told == expected
        changes = Counter((row["device_id"], row["revision"]) for row in committed(bootstrap, ALERTS))
        assert changes
        assert set(changes.values()) == {1}


def sums(bootstrap: str) -> dict[str, float]:
    """The sum of the newest revision of each device's windows."""
    newest: dict[tuple[str, str], tuple[int, float]] = {}
    for row in committed(bootstrap, WINDOWS):
        if row["window"] == "device_minutes":
            key = (str(row["device_id"]), str(row["window_start"]))
            newest[key] = max(newest.get(key, (0, 0.0)), (int(str(row["revision"])), float(str(row["value_sum"]))))
    found: dict[str, float] = defaultdict(float)
    for (device, _), (_, value) in newest.items():
        found[device] += value
    return found


def test_a_transaction_that_was_killed_open_is_not_seen(tmp_path: Path) -> None:
    """What a killed process had put into an open transaction no reader of committed records sees."""
    with running_broker(load_settings({"LAKEHOUSE_HOME": str(tmp_path)})) as bootstrap:
        ensure_output_topics(bootstrap)
        options = {"bootstrap.servers": bootstrap, "transactional.id": "lakehouse-streams-0", "log_level": 0}
        producer = Producer(dict(options))
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(ALERTS, b'{"rule": "never"}')
        producer.flush(10)
        following = Producer(
            {"bootstrap.servers": bootstrap, "transactional.id": "lakehouse-streams-0", "log_level": 0}
        )
        following.init_transactions(30)
        assert committed(bootstrap, ALERTS) == []
