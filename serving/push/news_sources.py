"""Sources of news: new publications, and what the hot path tells.

Belongs here: looking and reading. A number that a stream has is its source's own, so that a client goes on after
a restart of the server: a publication's number, or the offset in a topic of one partition.
"""

import asyncio
import logging
import threading
import time
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from lake.records.publications import Publication
from runtime import processes
from runtime.containment import Contained
from runtime.errors import LakehouseError
from runtime.kafka.clients import client_config
from runtime.settings import Settings
from serving.hot.hot_records import hot_record, is_alarm
from serving.hot.hot_values import HotValues
from serving.problems import Problem
from serving.push.news import Item, News
from serving.snapshots import Snapshots

_log = logging.getLogger(__name__)
_LOOK_S = 0.5
_AFTER_FAILURE_S = 5.0
_LATEST, _ALERTS, _WINDOWS = "latest", "alerts", "windows"
_BROKER = "broker"
_BEFORE = 1_000
_MINUTES_BACK_MS = 3 * 60 * 60 * 1000


async def watch_publications(snapshots: Snapshots, news: News) -> None:
    """Tell of each new publication until cancelled."""
    while True:
        # as a store that does not answer for a moment, which is no end of news
        with Contained(_log, "Looking for a new publication") as contained, suppress(Problem, LakehouseError):
            _tell_of((await asyncio.to_thread(snapshots.newest)).publication, news)
        await asyncio.sleep(_AFTER_FAILURE_S if contained.has_failed else _LOOK_S)


def _tell_of(found: Publication, news: News) -> None:
    if found.publication_id > 1:  # one after the other, from 1 on
        news.begins("publications", found.publication_id)
    body = {
        "publication_id": found.publication_id,
        "published_at": found.published_at.isoformat(),
        "slices": list(found.slices[:100]),
    }
    news.add(Item("publications", found.publication_id, body))


class HotNews:
    """Follows the topics of the hot path in a thread, where there is a broker that has them.

    What they say is kept in `hot`; of it the newest values and alarms are news.
    """

    def __init__(self, settings: Settings, news: News, hot: HotValues, loop: asyncio.AbstractEventLoop) -> None:
        self._settings, self._news, self._hot, self._loop = settings, news, hot, loop
        self._stop = threading.Event()
        self._news_from: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="hot-news", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.is_set():
            with Contained(_log, "Following the hot path"), suppress(KafkaException):
                bootstrap = self._bootstrap()
                if bootstrap is not None:
                    self._follow(bootstrap)
            self._hot.is_followed = False
            self._stop.wait(2.0)

    def _bootstrap(self) -> str | None:
        if self._settings.kafka_address is not None:
            return self._settings.kafka_address
        record = processes.find(self._settings, _BROKER)
        return None if record is None else record.address

    def _follow(self, bootstrap: str) -> None:
        consumer = Consumer(
            {
                **client_config(bootstrap),
                "group.id": "lakehouse-push",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                # where Kafka let go of what comes next, the oldest that is left does
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        try:
            places = self._places(consumer)
            if not places:
                return
            consumer.assign(places)
            self._hot.is_followed = True
            while not self._stop.is_set():
                for message in consumer.consume(500, 0.2):
                    if message.error() is None:
                        with Contained(_log, f"Reading a record of {message.topic()}"):
                            self._take(message)
        finally:
            consumer.close()

    def _places(self, consumer: Consumer) -> list[TopicPartition]:
        """Where to begin: every newest value, the alarms of before, the minutes of the last hours."""
        there = consumer.list_topics(timeout=5).topics
        places = [TopicPartition(topic, 0) for topic in (_LATEST, _ALERTS) if topic in there]
        for place in places:
            # with some of what was told before, for clients that were cut off when this server was
            low, high = consumer.get_watermark_offsets(place, timeout=5)
            self._news_from[place.topic] = first = max(low, high - _BEFORE)
            self._loop.call_soon_threadsafe(self._news.begins, place.topic, first)
            place.offset = low if place.topic == _LATEST else self._news_from[place.topic]
        if _WINDOWS in there:
            since_ms = int(time.time() * 1000) - _MINUTES_BACK_MS
            asked = [TopicPartition(_WINDOWS, number, since_ms) for number in there[_WINDOWS].partitions]
            places += consumer.offsets_for_times(asked, timeout=5)
        return places

    def _take(self, message: Message) -> None:
        topic, offset = str(message.topic()), message.offset() or 0
        body = hot_record(message.value())
        if body is None or (topic == _ALERTS and not is_alarm(body)):
            return
        if topic == _WINDOWS:
            self._hot.take_window(body)
            return
        if topic == _LATEST:
            self._hot.take_latest(body, offset)
        if offset >= self._news_from.get(topic, 0):
            self._loop.call_soon_threadsafe(self._news.add, Item(topic, offset, body))
