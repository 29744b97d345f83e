"""Topics of the hub: those that its routes name are there before a message goes to one.

Belongs here: making what is missing. The landing zone's own topics are ingestion's to declare.
"""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from hub.messages.message_routes import MessageRoutes
from runtime.errors import PlatformError
from runtime.kafka.clients import client_config
from wire.envelope import TELEMETRY_TOPIC

_PARTITIONS = 8
_TIMEOUT_S = 10.0


def ensure_routed_topics(bootstrap: str, routes: MessageRoutes) -> None:
    """Make the topics of routes that are missing. Raises PlatformError when Kafka does not answer or refuses."""
    wanted = [topic for topic in routes.every_topic() if topic != TELEMETRY_TOPIC]
    if not wanted:
        return
    admin = AdminClient({**client_config(bootstrap), "log_level": 0})
    try:
        existing = admin.list_topics(timeout=_TIMEOUT_S).topics
        for topic in wanted:
            if topic not in existing:
                new = NewTopic(topic, num_partitions=_PARTITIONS, replication_factor=-1)
                admin.create_topics([new], operation_timeout=_TIMEOUT_S)[topic].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise PlatformError(
                f"The topics that routes name ({', '.join(wanted)}) cannot be made at {bootstrap}: "
                f"{error.args[0].str()}."
            ) from error
