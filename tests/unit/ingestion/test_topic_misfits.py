"""How a topic of somebody else's differs from what is declared."""

import pytest

from ingestion.landing_topics import TOPICS
from ingestion.offset_ranges import losses
from ingestion.topic_misfits import differences

TELEMETRY, LIFECYCLE = TOPICS


def found(**changes: str) -> dict[str, str]:
    """Kafka's settings of a topic that fits, with some changes."""
    fitting = TELEMETRY.configuration() | {"cleanup.policy": "delete", "retention.bytes": "-1"}
    return fitting | {name.replace("_", "."): value for name, value in changes.items()}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cleanup_policy": "compact"}, "deletes all records of a device but the newest"),
        ({"cleanup_policy": "compact,delete"}, "deletes all records of a device but the newest"),
        ({"retention_ms": "3600000"}, "retention.ms is 3600000 (0.0417 days), less than the 7 days declared"),
        ({"retention_bytes": "1000"}, "retention.bytes is 1000"),
        ({"message_timestamp_type": "CreateTime"}, "received_at is when bronze read the record"),
        ({"max_message_bytes": "1000"}, "max.message.bytes is 1000"),
    ],
)
def test_what_loses_records_is_harmful(changes: dict[str, str], says: str) -> None:
    """Each setting that does not fit is named with its value and what it does."""
    [misfit] = differences(TELEMETRY, found(**changes), 8)
    assert says in str(misfit)
    assert str(misfit).startswith("telemetry: ")
    assert misfit.is_harmful


@pytest.mark.parametrize(
    "changes", [{}, {"retention_ms": "-1"}, {"retention_ms": "864000000"}, {"max_message_bytes": "99999999"},
                {"cleanup_policy": "compact", "retention_ms": "1"}]
)  # fmt: skip
def test_what_keeps_more_fits(changes: dict[str, str]) -> None:
    """Longer retention and larger messages are no difference; retention says nothing where records are compacted."""
    assert all("cleanup.policy" in str(misfit) for misfit in differences(TELEMETRY, found(**changes), 8))


def test_partitions_are_named_and_harm_nothing() -> None:
    """Fewer partitions of telemetry read slower, more of lifecycle ask for keys; more of telemetry are fine."""
    [fewer] = differences(TELEMETRY, found(), 3)
    [more] = differences(LIFECYCLE, found(retention_ms="-1"), 2)
    assert (fewer.is_harmful, more.is_harmful) == (False, False)
    assert list(differences(TELEMETRY, found(), 12)) == []


def test_offsets_that_are_gone_unread_are_lost() -> None:
    """Behind what bronze has read, or from the start of a partition that it never read."""
    available = {0: (5, 9), 1: (4, 4), 2: (0, 3), 3: (7, 9)}
    assert losses({0: 3, 3: 8}, available) == {0: (3, 5), 1: (0, 4)}
    assert losses({0: 5, 1: 4}, {0: (5, 9), 1: (4, 9)}) == {}
