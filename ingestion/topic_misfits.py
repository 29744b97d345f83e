"""Misfits: where the topics of a Kafka that is not ours differ from what is declared, and what that does.

Belongs here: reading Kafka's settings of the topics and naming the differences. Nothing is changed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from ingestion.landing_topics import LIFECYCLE, TOPICS, Topic
from runtime.errors import PlatformError
from runtime.kafka.clients import client_config

_TIMEOUT_S = 10.0
_DAY_MS = 24 * 60 * 60 * 1000
_SETTINGS = ("cleanup.policy", "retention.ms", "retention.bytes", "message.timestamp.type", "max.message.bytes")


@dataclass(frozen=True)
class Misfit:
    """One difference, in words; `is_harmful` when records or what is known of them can be lost by it."""

    topic: str
    says: str
    is_harmful: bool = True

    def __str__(self) -> str:
        return f"{self.topic}: {self.says}"


def misfits(bootstrap: str, topics: tuple[Topic, ...] = TOPICS) -> list[Misfit]:
    """How existing topics differ from what is declared; one that is not there does not differ. Raises PlatformError."""
    admin = AdminClient({**client_config(bootstrap), "log_level": 0})
    try:
        metadata = admin.list_topics(timeout=_TIMEOUT_S).topics
        there = [topic for topic in topics if topic.name in metadata]
        resources = {topic: ConfigResource(ResourceType.TOPIC, topic.name) for topic in there}
        answers = admin.describe_configs(list(resources.values()), request_timeout=_TIMEOUT_S) if there else {}
        found = {
            topic: {name: entry.value for name, entry in answers[resource].result().items()}
            for topic, resource in resources.items()
        }
    except KafkaException as error:
        raise PlatformError(f"Kafka at {bootstrap} does not describe its topics: {error.args[0].str()}.") from error
    return [
        each
        for topic, settings in found.items()
        for each in differences(topic, settings, len(metadata[topic.name].partitions))
    ]


def differences(topic: Topic, found: Mapping[str, str], partitions: int) -> Iterator[Misfit]:
    """The differences of one topic from its declaration; `found` are its settings in Kafka's names and words."""
    policy, retention, size, stamp, longest = (found.get(name, "") for name in _SETTINGS)
    declared = topic.configuration()
    if "compact" in policy:
        says = f"cleanup.policy is {policy}: Kafka deletes all records of a device but the newest, read or not"
        yield Misfit(topic.name, says)
    if "delete" in policy and 0 <= int(retention or -1) < int(declared["retention.ms"]):
        says = (
            f"retention.ms is {retention} ({_days(int(retention))}), less than the {topic.retention_days} days declared"
        )
        yield Misfit(topic.name, f"{says}: what is not read by then is lost")
    if "delete" in policy and int(size or -1) >= 0:
        yield Misfit(topic.name, f"retention.bytes is {size}: what comes faster than it is read is lost")
    if stamp != declared["message.timestamp.type"]:
        says = f"message.timestamp.type is {stamp}, which producers set: received_at is when bronze read the record"
        yield Misfit(topic.name, says)
    if longest and int(longest) < int(declared["max.message.bytes"]):
        says = f"max.message.bytes is {longest}: Kafka refuses messages that a model may allow"
        yield Misfit(topic.name, says)
    if topic.name == LIFECYCLE and partitions > topic.partitions:
        says = f"{partitions} partitions: changes of a device are in order only if its id is the key of all of them"
        yield Misfit(topic.name, says, is_harmful=False)
    if topic.name != LIFECYCLE and partitions < topic.partitions:
        says = f"{partitions} partitions where {topic.partitions} are declared: as many tasks read at once"
        yield Misfit(topic.name, says, is_harmful=False)


def _days(milliseconds: int) -> str:
    return f"{milliseconds / _DAY_MS:.3g} days"
