"""What a start of the hot path need not wait for."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from streams import whole_topics
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
