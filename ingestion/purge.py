"""Purging: what bronze has taken in is deleted from the landing zone.

Belongs here: asking Kafka to delete records up to an offset. When that is right is decided by the caller.
"""

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from ingestion.bronze_ingest import BRONZE_TABLES, broker_offsets, committed_offsets
from runtime.errors import PlatformError
from runtime.settings import Settings

_TIMEOUT_S = 30.0


def purge(settings: Settings, bootstrap: str) -> int:
    """Delete from the topics every record that bronze has; returns how many those were.

    Nothing reads them any more: bronze goes on where it has committed, and so does not miss them. Kafka's own files
    let go of them segment by segment. Raises PlatformError.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    wanted, count = [], 0
    for topic in BRONZE_TABLES:
        held = broker_offsets(bootstrap, topic)
        for partition, end in committed_offsets(settings, topic).items():
            oldest, high = held.get(partition, (end, end))
            if oldest < end <= high:
                wanted.append(TopicPartition(topic, partition, end))
                count += end - oldest
    try:
        for deletion in (admin.delete_records(wanted, request_timeout=_TIMEOUT_S) if wanted else {}).values():
            deletion.result()
    except KafkaException as error:
        raise PlatformError(
            f"Kafka at {bootstrap} did not delete the records: {error.args[0].str()}. Check the rights of this user."
        ) from error
    return count
