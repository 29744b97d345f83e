"""Spark limits: what the hot path on Spark cannot do, said before it begins.

Belongs here: the refusals, which are asked before anything is started and again when Spark and Kafka have answered. A
task of Spark sees one partition.
"""

import os
import re

from ingestion.landing_topics import TELEMETRY_PARTITIONS
from runtime.errors import UsageError
from runtime.settings import Settings
from streams.declarations import Declarations, check_shared
from transforms.minute_features import SCORES


def check_beforehand(settings: Settings, declared: Declarations) -> None:
    """What can be known while neither Kafka nor Spark runs. Raises UsageError."""
    slots = _local_slots(settings.spark)
    if settings.kafka_bootstrap is None:
        check_declared(declared, TELEMETRY_PARTITIONS)
        if slots is not None:
            check_slots(slots, TELEMETRY_PARTITIONS)


def check_declared(declared: Declarations, partitions: int) -> None:
    """Windows and rules go over one partition each, and not over scores. Raises UsageError."""
    check_shared(declared, partitions, "tasks of Spark")
    if scored := sorted(rule.name for rule in declared.rules.values() if rule.over == SCORES.name):
        raise UsageError(
            f"The hot path on Spark makes no scores, which the rules {', '.join(scored)} are over: take these out, or "
            "leave out --streams-on-spark."
        )


def check_slots(slots: int, partitions: int) -> None:
    """Each partition has a task at the same time. Raises UsageError."""
    if slots < partitions:
        raise UsageError(
            f"Spark runs {slots} tasks at a time and the topic telemetry has {partitions} partitions, some of which "
            f"would wait for others: give LAKEHOUSE_SPARK {partitions} cores or more (local[{partitions}] on one "
            "machine), or leave out --streams-on-spark."
        )


def _local_slots(spark: str) -> int | None:
    """How many tasks a local Spark runs at a time; None for one that has to be asked."""
    found = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\d+)?\])?", spark)
    if found is None:
        return None
    said = found.group(1) or "1"
    return os.cpu_count() or 1 if said == "*" else int(said)
