"""What a reader of committed records sees of a topic.

Belongs here: such a reader, all that is there now, and having Kafka let go of it. What the records mean belongs to the
test.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient

_WAIT_S = 150.0


@contextmanager
def reader(bootstrap: str, topic: str) -> Iterator[Consumer]:
    """One that begins at the start of each partition, and says where each ends.

    A test that ran before on the same broker may have had Kafka let go of records: by default that reads from the end.
    """
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "isolation.level": "read_committed",
                         "auto.offset.reset": "earliest", "enable.partition.eof": True,
                         "log_level": 0})  # fmt: skip
    try:
        partitions = consumer.list_topics(topic, timeout=_WAIT_S).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        yield consumer
    finally:
        consumer.close()


def committed_records(bootstrap: str, topic: str) -> list[Message]:
    """All of a topic to its present end."""
    found = []
    with reader(bootstrap, topic) as consumer:
        open_ = {place.partition for place in consumer.assignment()}
        while open_:
            message = consumer.poll(_WAIT_S)
            assert message is not None
            if message.error() is None:
                found.append(message)
            else:
                open_.discard(message.partition() or 0)
    return found


def let_go(bootstrap: str, topic: str, partition: int = 0) -> None:
    """Kafka forgets the records that there are in a partition, as its retention does."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test-let-go", "log_level": 0})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=120)
    consumer.close()
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    (gone,) = admin.delete_records([TopicPartition(topic, partition, end)]).values()
    gone.result(120)
