"""Checks: whether the landing zone answers, and whether its topics are as they should be.

Belongs here: looking at the broker and its topics. What waits in it is `lakehouse status`'s.
"""

from runtime import processes
from runtime.findings import Check, Finding
from runtime.kafka import broker
from runtime.settings import Settings


def check_broker(settings: Settings) -> Finding:
    """The configured broker answers, or the embedded one if it runs."""
    address = settings.kafka_address
    advice = "Start that broker, or correct LAKEHOUSE_KAFKA_BOOTSTRAP."
    if address is None:
        record = processes.find(settings, broker.NAME)
        if record is None:
            return Finding("broker", True, "embedded, not running")
        address = record.address
        advice = f"Run `lakehouse down`, then look at {processes.log_path(settings, broker.NAME)}."
    if broker.answers(address, timeout_s=3.0):
        return Finding("broker", True, f"answers at {address}")
    return Finding("broker", False, f"does not answer at {address}", advice)


def check_topics(settings: Settings) -> Finding:
    """The topics have the settings that are declared; those that are not there are made by the first tick."""
    from ingestion.topic_misfits import misfits

    record = processes.find(settings, broker.NAME)
    address = settings.kafka_address or (record.address if record else None)
    if address is None or not broker.answers(address, timeout_s=3.0):
        return Finding("topics", True, "not known while no broker answers")
    found = misfits(address)
    says = "; ".join(map(str, found)) or "as declared"
    if any(misfit.is_harmful for misfit in found):
        return Finding("topics", False, says, "Change it in Kafka if these topics may be changed: nothing here does.")
    return Finding("topics", True, says)


CHECKS: tuple[Check, ...] = (check_broker, check_topics)
