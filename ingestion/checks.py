"""Checks: whether the landing zone answers.

Belongs here: looking at the broker. What waits in it is `lakehouse status`'s.
"""

from runtime import processes
from runtime.findings import Check, Finding
from runtime.kafka import broker
from runtime.settings import Settings


def check_broker(settings: Settings) -> Finding:
    """The configured broker answers, or the embedded one if it runs."""
    address = settings.kafka_bootstrap
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


CHECKS: tuple[Check, ...] = (check_broker,)
