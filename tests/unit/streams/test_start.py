"""What a start of the hot path need not wait for."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier, Event
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from runtime.errors import PlatformError
from runtime.settings import Settings
from streams import loop, whole_topics
from streams.declarations import Declarations
from streams.loop import LoopOptions, run_loop
from streams.whole_topics import WholeTopic


def test_the_hot_path_starts_without_libraries_that_it_does_not_use() -> None:
    """Spark's client and cryptography take a third of what its imports take: these are for fetching jars, and Spark."""
    code = "import sys, streams.__main__, streams.loop; print(*{'pyspark', 'cryptography'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


class Client:
    """Stands for Kafka's: a topic with one record, and its end; it always waits as long as it may, as that does."""

    waited_s = 0.0

    def list_topics(self, topic: str, timeout: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})})

    def assign(self, places: object) -> None:
        """Any place will do."""

    def consume(self, most: int, wait_s: float) -> list[Any]:
        self.waited_s += wait_s
        end = SimpleNamespace(error=lambda: KafkaError(KafkaError._PARTITION_EOF), partition=lambda: 0)
        return [SimpleNamespace(error=lambda: None), end]


def test_a_topic_that_has_been_read_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gives what it has only when its time is over, and the broker says that there is no more only when its
    is: both are short, since a start reads three topics."""
    client, given = Client(), dict[str, Any]()

    def consumer(configuration: dict[str, Any]) -> Client:
        given.update(configuration)
        return client

    monkeypatch.setattr(whole_topics, "Consumer", consumer)
    assert len(WholeTopic("broker:9092", "latest", lambda partition: 0).to_the_end()) == 1
    assert client.waited_s < 0.1
    assert given["fetch.wait.max.ms"] <= 50  # 500 unless said


@dataclass
class Start:
    """Stands for what a start asks of Kafka, which answers only when all that need not wait for each other is asked."""

    said: list[str] = field(default_factory=list)
    read_count: int = 0
    refusal: Exception | None = None
    stop: Event = field(default_factory=Event)
    has_made_tables: Event = field(default_factory=Event)
    is_open: Event = field(default_factory=Event)
    together: Barrier = field(default_factory=lambda: Barrier(3, timeout=10))

    def init_transactions(self, timeout_s: float) -> None:
        assert self.has_made_tables.wait(10), "the tables are made only when the transactional id is there"
        if self.refusal:
            self.stop.set()
            raise self.refusal
        self.is_open.set()

    def make_tables(self, *_: object) -> SimpleNamespace:
        self.has_made_tables.set()
        return SimpleNamespace(next_offset=None)

    def read(self, *_: object) -> dict[str, Any]:
        self.read_count += 1
        assert self.is_open.is_set(), "what another process of this name had open was not ended before"
        self.together.wait()
        return {}

    def results(self, *_: object) -> None:
        """All was read: the rest of a start is of no interest."""
        self.stop.set()
        raise PlatformError("that will do")


def run(start: Start, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = SimpleNamespace(partitions=lambda: [0], to_the_end=start.read)
    for name, stand_in in {
        "ensure_output_topics": lambda _: None, "_producer": lambda *_: start, "HotRegistry": start.make_tables,
        "HotConsumer": lambda *_: topic, "WholeTopic": lambda *_: topic, "read_states": start.read,
        "read_values": start.read, "NewestValues": start.results,
    }.items():  # fmt: skip
        monkeypatch.setattr(loop, name, stand_in)
    settings = Settings(home=home, lake_uri=str(home / "lake"))
    run_loop(settings, "broker:9092", Declarations({}, {}), LoopOptions(), start.stop, start.said.append)


def test_a_start_asks_at_once_for_what_need_not_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tables are made while Kafka gives the transactional id; then states, latest values and events are read, all three
    at the same time."""
    start = Start()
    run(start, tmp_path, monkeypatch)
    assert start.said == ["Kafka broke off: that will do. Going on from the last commit."]


def test_nothing_is_read_before_what_was_open_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process of the same name may have a transaction open: without the transactional id no state is read."""
    start = Start(refusal=PlatformError("no id"))
    run(start, tmp_path, monkeypatch)
    assert start.said == ["Kafka broke off: no id. Going on from the last commit."]
    assert start.read_count == 0
