"""Output topics: where results of the hot path go.

Belongs here: their names and making the missing ones. What is there already is never changed.
"""

import time

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from runtime.errors import LandingZoneError, PlatformError
from runtime.kafka.clients import client_config
from wire import hot_topics

LATEST, WINDOWS, ALERTS = hot_topics.LATEST, hot_topics.WINDOWS, hot_topics.ALERTS
STATE, ACTIONS, SCORES = hot_topics.STATE, hot_topics.ACTIONS, hot_topics.SCORES
_DAY_MS = 24 * 60 * 60 * 1000
# newest a key for ever, or all for some days
_CONFIGURATIONS = {
    LATEST: {"cleanup.policy": "compact"},
    WINDOWS: {"retention.ms": str(2 * _DAY_MS)},
    SCORES: {"retention.ms": str(2 * _DAY_MS)},
    ALERTS: {"retention.ms": str(30 * _DAY_MS)},
    STATE: {"cleanup.policy": "compact"},
    # the newest of each entry, and that for as long as alerts are kept
    ACTIONS: {"cleanup.policy": "compact,delete", "retention.ms": str(30 * _DAY_MS)},
}
_PARTITIONS = {LATEST: 1, WINDOWS: 8, SCORES: 8, ALERTS: 1, STATE: 1, ACTIONS: 1}
_TIMEOUT_S = 10.0
# a broker on a busy machine, or a cluster that is electing, has taken more than 10 s
_LEADERS_S = 60.0
_ASK_S = 5.0


def ensure_output_topics(bootstrap: str) -> None:
    """Create the output topics that are missing. Raises PlatformError or LandingZoneError."""
    admin = AdminClient({**client_config(bootstrap), "log_level": 0})
    try:
        there = admin.list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise PlatformError(f"Kafka at {bootstrap} did not answer: {error.args[0]}. Is the broker running?") from error
    missing = [
        NewTopic(name, num_partitions=_PARTITIONS[name], replication_factor=-1, config=configuration)
        for name, configuration in _CONFIGURATIONS.items()
        if name not in there
    ]
    for name, made in (admin.create_topics(missing, operation_timeout=_TIMEOUT_S) if missing else {}).items():
        try:
            made.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise LandingZoneError(f"Kafka does not make the topic {name}: {error.args[0].str()}.") from error
    _await_leaders(bootstrap)


def _await_leaders(bootstrap: str) -> None:
    """Wait until the broker answers for every partition: of a topic just made it says for a moment that it does not."""
    newest = OffsetSpec.latest()
    asked = {TopicPartition(name, p): newest for name, count in _PARTITIONS.items() for p in range(count)}
    deadline = time.monotonic() + _LEADERS_S
    while True:
        # another client each time: one that was told once that there is no leader asks no more (librdkafka 2.16)
        admin = AdminClient({**client_config(bootstrap), "log_level": 0})
        try:
            for answer in admin.list_offsets(asked, request_timeout=_ASK_S).values():
                answer.result()
            return
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise LandingZoneError(f"Kafka does not open its output topics: {error.args[0].str()}.") from error
            time.sleep(0.1)
