"""Readers that go on from an offset of which Kafka has let go meanwhile: none passes over what is left."""

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from hub.messages.device_messages import DELIVERY
from hub.messages.repeat_window import RepeatWindows
from runtime.settings import load_settings
from serving.hot.hot_values import HotValues
from serving.push.news import News
from serving.push.news_sources import HotNews
from streams.output_topics import ALERTS, ensure_output_topics
from tests.support.awaiting import awaited
from tests.support.committed import let_go

_GONE, _LEFT = (b'{"rule": "%s", "change": "fired", "device_id": "d"}' % name for name in (b"gone", b"left"))


def send(broker: str, topic: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> None:
    producer = Producer({"bootstrap.servers": broker, "log_level": 0})
    producer.produce(topic, value, b"d", partition=0, headers=list(headers))
    assert producer.flush(120) == 0


def test_the_oldest_alarm_that_is_left_is_news(tmp_path: Path, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka lets go of the alarms of before while a server begins with them: it goes on with the first that is left."""
    ensure_output_topics(broker)
    send(broker, ALERTS, _GONE)

    def places(self: HotNews, consumer: Consumer) -> list[TopicPartition]:
        found = asked(self, consumer)
        let_go(broker, ALERTS)
        send(broker, ALERTS, _LEFT)
        return found

    asked = HotNews._places
    monkeypatch.setattr(HotNews, "_places", places)
    hot, taken = HotValues(), list[object]()
    monkeypatch.setattr(HotNews, "_take", lambda _, message: taken.append(message.value()))
    loop = asyncio.new_event_loop()
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path), "LAKEHOUSE_KAFKA_BOOTSTRAP": broker})
    following = HotNews(settings, News(), hot, loop)
    try:
        awaited(lambda: _LEFT in taken, lambda: taken)
    finally:
        following.close()
        loop.close()
        let_go(broker, ALERTS)  # other tests read the topic from its start
    assert _GONE not in taken


def test_the_oldest_mark_that_is_left_is_found(broker: str) -> None:
    """Kafka lets go of what a repeat window has read, and of more: it goes on with the first message that is left."""
    topic = f"let-go-{uuid.uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    admin.create_topics([NewTopic(topic, 1, 1)], operation_timeout=60)[topic].result(120)
    windows = RepeatWindows(broker)
    try:
        send(broker, topic, b"a", [(DELIVERY, b"1-1-aa")])
        assert windows.find([topic], b"d", (1,), 0).result(120).topics_with((1, b"aa"))
        send(broker, topic, b"b", [(DELIVERY, b"1-2-bb")])
        let_go(broker, topic)
        send(broker, topic, b"c", [(DELIVERY, b"1-3-cc")])
        found = windows.find([topic], b"d", (1,), 0).result(120)
    finally:
        windows.close()
    assert found.topics_with((3, b"cc"))
    assert not found.topics_with((2, b"bb"))
