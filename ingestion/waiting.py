"""Waiting messages: what is in the landing zone and not in bronze yet, without starting anything.

Belongs here: the one question that decides whether a tick is worth a run, and what it would read.
"""

from collections.abc import Iterator
from itertools import chain

from confluent_kafka import Message

from ingestion.bronze_ingest import BRONZE_TABLES, committed_offsets
from ingestion.kafka_offsets import broker_offsets
from ingestion.local_records import read_records
from ingestion.offset_ranges import OffsetRange
from runtime.errors import LandingZoneError
from runtime.kafka.broker import NAME as BROKER
from runtime.kafka.broker import answers
from runtime.processes import find
from runtime.settings import Settings


def running_bootstrap(settings: Settings) -> str | None:
    """The address of the landing zone; None when no broker answers there."""
    record = find(settings, BROKER)
    bootstrap = settings.kafka_address or (record.address if record else None)
    return bootstrap if bootstrap is not None and answers(bootstrap) else None


def waiting_messages(settings: Settings) -> int | None:
    """How many offsets wait that a tick can read; None when no broker answers. What stands behind an open transaction
    cannot be read yet. What bronze cannot go on from counts as waiting too: the tick is what says so."""
    bootstrap = running_bootstrap(settings)
    if bootstrap is None:
        return None
    count = 0
    for topic in BRONZE_TABLES:
        committed = committed_offsets(settings, topic)
        try:
            available = broker_offsets(bootstrap, topic)
        except LandingZoneError:  # nobody has sent anything yet, so there is no topic
            continue
        count += sum(abs(high - committed.get(partition, oldest)) for partition, (oldest, high) in available.items())
    return count


def waiting_records(settings: Settings, bootstrap: str, topic: str) -> Iterator[Message]:
    """The records of a topic that a tick would read now, each partition's in order; where bronze cannot go on, those
    that there are. Raises as the tick does."""
    committed, available = committed_offsets(settings, topic), broker_offsets(bootstrap, topic)
    start = {p: min(max(committed.get(p, oldest), oldest), high) for p, (oldest, high) in available.items()}
    offsets = OffsetRange(topic, start, {p: high for p, (_, high) in available.items()})
    return chain.from_iterable(read_records(bootstrap, offsets))
