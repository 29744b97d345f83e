"""The embedded broker and its topics, on the real Kafka."""

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from ingestion import landing_topics
from ingestion.landing_topics import LIFECYCLE, TELEMETRY, Topic, ensure_topics, topic_id
from ingestion.made_topics import made_by
from ingestion.programs import PROGRAMS
from runtime import processes
from runtime.errors import LandingZoneError, PlatformError
from runtime.kafka.broker import NAME, running_broker, start
from runtime.settings import Settings
from tests.support.awaiting import awaited


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home that names no broker."""
    return Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))


def _produce(bootstrap: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(LIFECYCLE, value)
    assert producer.flush(120) == 0


def _first_value(bootstrap: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(LIFECYCLE, 0, 0)])
    message = consumer.poll(120)
    consumer.close()
    return None if message is None else message.value()


def test_messages_survive_a_restart(home: Settings) -> None:
    """What a command produced is still there when the next one starts the broker again: at the same address, where
    devices look for it, or at another when a stranger has taken that."""
    with running_broker(home) as first:
        ensure_topics(first)
        _produce(first, b"kept")
    assert processes.find(home, NAME) is None
    with running_broker(home) as second:
        assert second == first
        assert _first_value(second) == b"kept"
    with socket.create_server(("127.0.0.1", int(first.split(":")[1]))), running_broker(home) as third:
        assert third != first
        assert _first_value(third) == b"kept"


def test_a_broker_that_ended_is_taken_back_at_once(home: Settings) -> None:
    """Kafka keeps its number for nine seconds, unless it has said goodbye; the first start prepares the folder too."""
    took: list[float] = []
    for _ in range(4):  # a start may take longer for another reason; those nine seconds would be there each time
        began = time.monotonic()
        with running_broker(home):
            took.append(time.monotonic() - began)
        if len(took) > 1 and took[-1] < took[0] + 5:
            return
    raise AssertionError(took)


def test_users_share_one_broker_and_the_last_one_stops_it(home: Settings) -> None:
    """A second user meets the running broker; it lives until both are done."""
    with running_broker(home) as outer:
        with running_broker(home) as inner:
            assert inner == outer
        assert processes.find(home, NAME) is not None
    assert processes.find(home, NAME) is None


def test_kept_broker_outlives_its_users(home: Settings) -> None:
    """What `up` started is left running by a command, and stopped by `down`, which says whether there was one."""
    record = processes.start_kept(home, NAME, lambda: start(home))
    try:
        with running_broker(home) as bootstrap:
            assert bootstrap == record.address
        assert processes.find(home, NAME) is not None
        assert processes.start_kept(home, NAME, lambda: start(home)) == record
    finally:
        assert processes.stop(home, NAME)
    assert not processes.stop(home, NAME)


def test_configured_broker_is_used_as_it_is(home: Settings) -> None:
    """With LAKEHOUSE_KAFKA_BOOTSTRAP nothing is started."""
    configured = replace(home, kafka_bootstrap="127.0.0.1:9")
    assert [program.elsewhere(configured) for program in PROGRAMS] == ["127.0.0.1:9"]
    with running_broker(configured) as bootstrap:
        assert bootstrap == "127.0.0.1:9"
    assert not home.run_folder.exists()


def test_broken_configuration_is_one_sentence_with_the_log(home: Settings) -> None:
    """A broker that cannot start names the reason and its log, and leaves no process and no record behind."""
    with running_broker(home):
        pass
    (home.home / "kafka" / "data" / "meta.properties").write_text("version=1\ncluster.id=other\nnode.id=7\n")
    with pytest.raises(PlatformError, match=r"broker ended while starting: .*broker\.log"), running_broker(home):
        pass
    assert processes.find(home, NAME) is None


def test_topics_are_as_declared(broker: str) -> None:
    """Partitions, retention, the broker's clock and the message limit are Kafka's own answer, also on a second call."""
    ensure_topics(broker)
    ensure_topics(broker)
    admin = AdminClient({"bootstrap.servers": broker})
    topics = admin.list_topics(timeout=60).topics
    assert (len(topics[TELEMETRY].partitions), len(topics[LIFECYCLE].partitions)) == (8, 1)
    assert _configuration(admin, TELEMETRY) == ("LogAppendTime", str(7 * 86_400_000), "4194304")
    assert _configuration(admin, LIFECYCLE) == ("LogAppendTime", str(30 * 86_400_000), "4194304")


def test_a_topic_of_ours_is_brought_to_its_declaration(broker: str, home: Settings) -> None:
    """A topic that the home made with fewer partitions and another retention grows and changes; shrinking is refused by
    name."""
    made = made_by(replace(home, kafka_bootstrap=broker))
    ensure_topics(broker, (Topic("grows", 1, 1),), made=made)
    ensure_topics(broker, (Topic("grows", 3, 2),), made=made)
    admin = AdminClient({"bootstrap.servers": broker})
    assert len(admin.list_topics(timeout=60).topics["grows"].partitions) == 3
    assert _configuration(admin, "grows")[1] == str(2 * 86_400_000)
    with pytest.raises(LandingZoneError, match="grows has 3 partitions where 2 are declared"):
        ensure_topics(broker, (Topic("grows", 2, 2),), made=made)


def test_a_topic_of_another_is_left_as_it_is(broker: str, home: Settings) -> None:
    """One that a user made, one of the same name as a topic that the home had made, and any but in an embedded broker,
    where all are the home's."""
    ours = replace(home, kafka_bootstrap=broker)
    admin = AdminClient({"bootstrap.servers": broker})
    admin.create_topics([NewTopic("users", 1, 1)])["users"].result()
    ensure_topics(broker, (Topic("again", 1, 1),), made=made_by(ours))
    assert made_by(ours).has(topic_id(broker, "again"))
    admin.delete_topics(["again"], operation_timeout=60)["again"].result()
    admin.create_topics([NewTopic("again", 1, 1)])["again"].result()
    awaited(lambda: {"users", "again"} <= set(admin.list_topics(timeout=60).topics), "the new topics")
    assert not made_by(ours).has(topic_id(broker, "again"))
    before = [_configuration(admin, name) for name in ("users", "again")]
    ensure_topics(broker, (Topic("users", 3, 2), Topic("again", 3, 2)), made=made_by(ours))
    assert [_configuration(admin, name) for name in ("users", "again")] == before
    assert len(admin.list_topics(timeout=60).topics["users"].partitions) == 1
    ensure_topics(broker, (Topic("users", 3, 2),), made=made_by(home))
    assert len(admin.list_topics(timeout=60).topics["users"].partitions) == 3


def test_silent_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where no broker answers is an error that names it."""
    monkeypatch.setattr(landing_topics, "_TIMEOUT_S", 1.0)  # nobody listens there, however long one waits
    with pytest.raises(PlatformError, match=r"does not answer at 127\.0\.0\.1:9"):
        ensure_topics("127.0.0.1:9")


def _configuration(admin: AdminClient, topic: str) -> tuple[str | None, ...]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    values = admin.describe_configs([resource])[resource].result()
    return tuple(values[name].value for name in ("message.timestamp.type", "retention.ms", "max.message.bytes"))
