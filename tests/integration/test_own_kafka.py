"""A Kafka whose topics somebody else has made: they are read, compared and named, never changed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from pyspark.sql import SparkSession

from ingestion.checks import check_topics
from lake.storage.spark_commits import newest_commit
from runtime.settings import Settings
from tests.conftest import empty_topics
from tests.support.awaiting import awaited
from tests.support.landing import reading, registered, rows, run_tick, send

pytestmark = pytest.mark.every_reader

AT = datetime(2025, 3, 1, tzinfo=UTC)
SETTINGS = {"retention.ms": "-1", "message.timestamp.type": "CreateTime", "max.message.bytes": "10485760"}
COMPACTED = {"cleanup.policy": "compact", "retention.ms": "-1"}


@pytest.fixture
def theirs(settings: Settings) -> Iterator[Settings]:
    """A fresh lakehouse on topics that a user has made with settings of their own."""
    assert settings.kafka_bootstrap is not None
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    for deletion in admin.delete_topics(["telemetry", "lifecycle"], operation_timeout=60).values():
        deletion.result()
    topics = [NewTopic("telemetry", 3, 1, config=SETTINGS), NewTopic("lifecycle", 1, 1, config=COMPACTED)]
    names = {"telemetry", "lifecycle"}
    awaited(lambda: not names & set(admin.list_topics(timeout=60).topics), "the end of the deleted topics")
    for creation in admin.create_topics(topics).values():
        creation.result()
    awaited(lambda: names <= set(admin.list_topics(timeout=60).topics), "the new topics")
    yield settings
    empty_topics(settings.kafka_bootstrap)


def configuration(settings: Settings, topic: str) -> dict[str, str]:
    """A topic's settings as Kafka has them."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap or ""})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result().items()}


def stamped(settings: Settings, message_id: str, stamp: datetime, measured_at: datetime) -> None:
    """A reading of d1 whose producer sets the record's timestamp, into partition 0."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
    message = reading("d1", message_id, measured_at)
    producer.produce(
        message.topic, message.value, message.key, partition=0, headers=list(message.headers),
        timestamp=round(stamp.timestamp() * 1000),
    )  # fmt: skip
    assert producer.flush(120) == 0


def test_their_topics_stay_as_they_are(theirs: Settings, spark: SparkSession) -> None:
    """A tick reads them, names what does not fit, and alters nothing; records older than any retention of ours are not
    deleted. `doctor` names the same."""
    assert theirs.kafka_bootstrap is not None
    before = [configuration(theirs, topic) for topic in ("telemetry", "lifecycle")]
    send(theirs.kafka_bootstrap, [registered("d1", AT)])
    stamped(theirs, "old", AT, AT)
    report = run_tick(spark, theirs)
    assert report.ingested == {"telemetry": 1, "lifecycle": 1}
    assert [configuration(theirs, topic) for topic in ("telemetry", "lifecycle")] == before
    assert before[0] | SETTINGS == before[0]
    said = "\n".join(report.notes)
    assert "telemetry: message.timestamp.type is CreateTime" in said
    assert "lifecycle: cleanup.policy is compact" in said
    finding = check_topics(theirs)
    assert not finding.is_ok
    for words in ("CreateTime", "cleanup.policy is compact", "3 partitions where 8 are declared"):
        assert words in finding.found


def test_a_lying_stamp_moves_nothing(theirs: Settings, spark: SparkSession) -> None:
    """Where producers set the time of a record, `received_at` is when bronze read it, and what they set stands beside
    it; so a stamp of 1970 does not make a device's clock wrong, nor one of tomorrow hide that it is."""
    assert theirs.kafka_bootstrap is not None
    send(theirs.kafka_bootstrap, [registered("d1", AT)])
    began = datetime.now(UTC)
    lies = {"epoch": datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC), "soon": began + timedelta(minutes=50)}
    stamped(theirs, "epoch", lies["epoch"], AT)
    stamped(theirs, "soon", lies["soon"], began + timedelta(minutes=49))
    run_tick(spark, theirs)
    bronze = rows(theirs, "bronze.telemetry", "SELECT ce_id, received_at, producer_at, received_date FROM t")
    assert len(bronze) == 2
    for message_id, received_at, producer_at, received_date in bronze:
        assert began <= received_at <= datetime.now(UTC)
        assert received_date == received_at.astimezone(UTC).date()
        assert abs(producer_at - lies[message_id]) < timedelta(milliseconds=1)
    judged = rows(theirs, "silver.thermostats", "SELECT message_id, clock_status, event_at = measured_at FROM t")
    assert sorted(judged) == [("epoch", "ok", True), ("soon", "ahead", False)]


def test_what_is_gone_before_the_first_tick_is_a_loss(theirs: Settings, spark: SparkSession) -> None:
    """Records that Kafka deleted before bronze ever read the partition are named, and stand in the commit."""
    assert theirs.kafka_bootstrap is not None
    send(theirs.kafka_bootstrap, [registered("d1", AT)])
    for number in range(3):
        stamped(theirs, f"m{number}", AT, AT + timedelta(minutes=number))
    admin = AdminClient({"bootstrap.servers": theirs.kafka_bootstrap})
    upto = TopicPartition("telemetry", 0, 2)
    admin.delete_records([upto])[upto].result()
    report = run_tick(spark, theirs)
    assert report.ingested["telemetry"] == 1
    loss = "lost: the offsets 0 to 1 of telemetry, partition 0 (up to 2 records) were gone from Kafka before bronze"
    assert [note for note in report.notes if note.startswith(loss)]
    commit = newest_commit(theirs, "bronze.telemetry", "lost")
    assert commit is not None
    assert commit.metadata["lost"] == {"0": [0, 2]}
    assert not [note for note in run_tick(spark, theirs).notes if note.startswith("lost")]


def test_topics_of_ours_have_nothing_to_say(settings: Settings, spark: SparkSession) -> None:
    """The broker's clock stays `received_at`, and no producer's stamp is kept."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, [registered("d1", AT), reading("d1", "m", AT)])
    assert run_tick(spark, settings).notes == ()
    assert rows(settings, "bronze.telemetry", "SELECT producer_at FROM t") == [(None,)]
    assert check_topics(settings).is_ok
