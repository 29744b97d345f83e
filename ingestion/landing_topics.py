"""Topics: what the landing zone declares to Kafka.

Belongs here: names, partitions, retention, and making them so where they are ours (see `made_topics`). How a topic of
somebody else's differs from what is declared is in `topic_misfits`. What a message looks like is in `envelope`.
"""

import time
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from ingestion.made_topics import NOBODYS, MadeTopics
from runtime.errors import LandingZoneError, PlatformError
from runtime.kafka.clients import client_config

TELEMETRY = "telemetry"
LIFECYCLE = "lifecycle"

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
TELEMETRY_PARTITIONS = 8
# one partition, so that a device's registrations and changes are read in the order in which they came
LIFECYCLE_PARTITIONS = 1
TELEMETRY_RETENTION_DAYS = 7
LIFECYCLE_RETENTION_DAYS = 30

_TIMEOUT_S = 10.0
_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Topic:
    """A topic as declared; Kafka deletes its messages after `retention_days`, read or not."""

    name: str
    partitions: int
    retention_days: int

    def configuration(self) -> dict[str, str]:
        """The topic's settings in Kafka's names."""
        return {
            # the broker's clock: a device's own time travels in the envelope and is judged, never trusted
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(self.retention_days * _DAY_MS),
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
        }


TOPICS = (
    Topic(TELEMETRY, TELEMETRY_PARTITIONS, TELEMETRY_RETENTION_DAYS),
    Topic(LIFECYCLE, LIFECYCLE_PARTITIONS, LIFECYCLE_RETENTION_DAYS),
)


def ensure_topics(bootstrap: str, topics: tuple[Topic, ...] = TOPICS, *, made: MadeTopics = NOBODYS) -> None:
    """Create the topics that are missing, and bring settings and partition counts of our own to what is declared.

    Those that others made stay as they are. Raises PlatformError when no broker answers within 10 s, LandingZoneError
    when the broker refuses, or a topic of ours has more partitions than declared (Kafka cannot take partitions away).
    """
    admin = AdminClient({**client_config(bootstrap), "log_level": 0})
    existing = _partition_counts(admin, bootstrap)
    created = [topic for topic in topics if topic.name not in existing and _create(admin, topic)]
    ours = {topic.name for topic in topics if topic.name in existing and made.has(topic_id(bootstrap, topic.name))}
    for topic in topics:
        if topic.name in ours:
            _grow(admin, topic, existing[topic.name])
            _configure(admin, topic)
    _await(admin, bootstrap, [topic for topic in topics if topic.name in ours or topic.name not in existing])
    for topic in created:
        made.remember(topic.name, topic_id(bootstrap, topic.name))


def topic_id(bootstrap: str, topic: str) -> str | None:
    """Kafka's own identity of a topic, which one of the same name made later does not have; None from old brokers."""
    admin = AdminClient({**client_config(bootstrap), "log_level": 0})
    try:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_S)[topic].result()
    except KafkaException as error:
        raise PlatformError(f"Kafka at {bootstrap} does not describe the topic {topic}: {error.args[0]}.") from error
    return str(described.topic_id) if described.topic_id else None


def _partition_counts(admin: AdminClient, bootstrap: str) -> dict[str, int]:
    try:
        metadata = admin.list_topics(timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise PlatformError(
            f"Kafka does not answer at {bootstrap}: check that it runs and that LAKEHOUSE_KAFKA_BOOTSTRAP is right."
        ) from error
    return {name: len(topic.partitions) for name, topic in metadata.topics.items()}


def _create(admin: AdminClient, topic: Topic) -> bool:
    """Create a topic; False when another command made it in the meantime."""
    # replication is the cluster's own default, so that one node and many both work
    new = NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=-1, config=topic.configuration())
    try:
        admin.create_topics([new], operation_timeout=_TIMEOUT_S)[topic.name].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise _refused(topic, "created", error) from error
        return False
    return True


def _grow(admin: AdminClient, topic: Topic, partitions: int) -> None:
    if partitions > topic.partitions:
        raise LandingZoneError(
            f"The topic {topic.name} has {partitions} partitions where {topic.partitions} are declared, and Kafka "
            f"cannot take partitions away: use another broker, or declare {partitions} in ingestion/landing_topics.py."
        )
    if partitions < topic.partitions:
        try:
            admin.create_partitions([NewPartitions(topic.name, topic.partitions)])[topic.name].result()
        except KafkaException as error:
            raise _refused(topic, "given more partitions", error) from error


def _configure(admin: AdminClient, topic: Topic) -> None:
    resource = ConfigResource(ResourceType.TOPIC, topic.name)
    try:
        current = admin.describe_configs([resource], request_timeout=_TIMEOUT_S)[resource].result()
        changed = {n: v for n, v in topic.configuration().items() if n not in current or current[n].value != v}
        if not changed:
            return
        entries = [ConfigEntry(n, v, incremental_operation=AlterConfigOpType.SET) for n, v in changed.items()]
        wanted = ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=entries)
        admin.incremental_alter_configs([wanted], request_timeout=_TIMEOUT_S)[wanted].result()
    except KafkaException as error:
        raise _refused(topic, "configured", error) from error


def _await(admin: AdminClient, bootstrap: str, topics: list[Topic]) -> None:
    """Wait until the broker shows what it has agreed to: a producer or Spark would meet an unknown topic before."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        counts = _partition_counts(admin, bootstrap)
        late = [topic.name for topic in topics if counts.get(topic.name, 0) < topic.partitions]
        if not late:
            return
        if time.monotonic() > deadline:
            raise LandingZoneError(f"Kafka accepted the topics {', '.join(late)} but does not show them: see its log.")
        time.sleep(0.05)


def _refused(topic: Topic, what: str, error: KafkaException) -> LandingZoneError:
    return LandingZoneError(
        f"The topic {topic.name} could not be {what}: Kafka says {error.args[0].str()!r}. Check the rights of this "
        "user and the settings of the broker."
    )
