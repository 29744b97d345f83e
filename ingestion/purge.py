"""Purging: what bronze has taken in is deleted from the landing zone.

Belongs here: asking Kafka to delete records up to an offset. When that is right is decided by the caller.
"""

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from ingestion.bronze_ingest import BRONZE_TABLES, committed_offsets
from ingestion.kafka_offsets import Count, broker_offsets, records_in
from runtime.errors import PlatformError
from runtime.kafka.clients import client_config
from runtime.settings import Settings

_TIMEOUT_S = 30.0


def purge(settings: Settings, bootstrap: str) -> Count:
    """Delete from the topics every record that bronze has; returns how many those were, a topic each.

    Nothing reads them any more: bronze goes on where it has committed, and so does not miss them. Kafka's own files
    let go of them segment by segment. Raises PlatformError.
    """
    admin = AdminClient({**client_config(bootstrap), "log_level": 0})
    wanted: list[TopicPartition] = []
    counts: list[Count] = []
    for topic in BRONZE_TABLES:
        held = broker_offsets(bootstrap, topic)
        spans = {p: (held[p][0], end) for p, end in committed_offsets(settings, topic).items() if p in held}
        spans = {p: (oldest, end) for p, (oldest, end) in spans.items() if oldest < end <= held[p][1]}
        wanted += [TopicPartition(topic, p, end) for p, (_, end) in spans.items()]
        counts.append(records_in(bootstrap, topic, spans))
    try:
        for deletion in (admin.delete_records(wanted, request_timeout=_TIMEOUT_S) if wanted else {}).values():
            deletion.result()
    except KafkaException as error:
        raise PlatformError(
            f"Kafka at {bootstrap} did not delete the records: {error.args[0].str()}. Check the rights of this user."
        ) from error
    return Count(dict(enumerate(count.total for count in counts)), all(count.is_exact for count in counts))
