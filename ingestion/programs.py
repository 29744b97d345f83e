"""Programs: the landing zone as a process that `lakehouse up` keeps running.

Belongs here: that it is wanted, where another one stands in, and its topics. The broker itself is `runtime.kafka`'s.
"""

from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Program
from runtime.settings import Settings

BROKER = "broker"


def _start(settings: Settings, chosen: Chosen) -> ProcessRecord:
    from runtime.kafka import broker

    return broker.start(settings)


def _make_topics(settings: Settings, address: str) -> None:
    from ingestion.landing_topics import ensure_topics
    from ingestion.made_topics import made_by

    ensure_topics(address, made=made_by(settings))


PROGRAMS = (
    Program(
        BROKER,
        "Kafka",
        _start,
        elsewhere=lambda settings: settings.kafka_address,
        addresses=lambda settings, address: {"kafka": address},
        prepare=_make_topics,
    ),
)
