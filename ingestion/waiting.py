"""Waiting messages: what is in the landing zone and not in bronze yet, without starting anything.

Belongs here: the one question that decides whether a tick is worth a run.
"""

from ingestion.bronze_ingest import BRONZE_TABLES, committed_offsets
from ingestion.kafka_offsets import broker_offsets
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
