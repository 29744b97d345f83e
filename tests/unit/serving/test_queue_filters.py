"""Filters of subscriptions take what they say, know NULL as SQL does, and refuse what they do not understand."""

from typing import Any

import pytest

from serving.queues.queue_errors import QueueError
from serving.queues.queue_filters import check_filter, takes
from wire.amqp_message import AmqpMessage
from wire.amqp_types import Int

MESSAGE = AmqpMessage(
    properties={"subject": "hot!", "message_id": "m", "group_id": "s"},
    application={"site": "north", "n": Int(3), "x": 1.5, "ok": True, "odd name": "y"},
)


@pytest.mark.parametrize(("sql", "expected"), [
    ("1=1", True), ("1=0", False), ("site = 'north'", True), ("user.site <> 'north'", False), ("n > 2 AND x < 2", True),
    ("n + 1 = 4 AND n * 2 >= 6 AND -n < 0", True), ("n IN (1, 3)", True), ("n NOT IN (1, 3)", False),
    ("sys.Label LIKE 'hot_'", True), ("sys.Label LIKE '%x%'", False), ("sys.MessageId = 'm'", True),
    ("gone IS NULL", True), ("site IS NOT NULL", True), ("EXISTS(site) AND NOT EXISTS(gone)", True),
    ("ok = TRUE", True),
    # nothing is known of what is not there, nor of its opposite
    ("gone = 'x'", False), ("NOT (gone = 'x')", False), ("gone = 'x' OR n = 3", True), ("gone <> 'x' AND n = 3", False),
    ("n IN (1, gone)", False), ("NOT (n IN (1, gone))", False),
    # no error, and no match
    ("site > 3", False), ("n / 0 = 1", False), ("site", False), ("LIKE_ = 1", False),
])  # fmt: skip
def test_sql(sql: str, expected: bool) -> None:
    """As Service Bus's documentation has it."""
    check_filter({"sql": sql})
    assert takes({"sql": sql}, MESSAGE) is expected


@pytest.mark.parametrize("sql", [
    "getenv('HOME') = 'x'", "n = (SELECT 1)", "n IN (SELECT 1)", "a.b.c = 1", "other.x = 1", "sys.Secret = 1", "n = ",
    "SELECT 1", "n = 1; DROP TABLE x", "CASE WHEN n = 1 THEN 1 END = 1", "x" * 1025, "n::int = 1",
    "(" * 500 + "n = 1" + ")" * 500, "NOT " * 250 + "ok",
])  # fmt: skip
def test_what_is_not_understood_is_refused(sql: str) -> None:
    """When the rule is made, with a message that names the filter."""
    with pytest.raises(QueueError, match="filter"):
        check_filter({"sql": sql})


@pytest.mark.parametrize(("wanted", "expected"), [
    ({"site": "north"}, True), ({"sys.Label": "hot!", "n": 3}, True), ({"sys.Label": "cold"}, False),
    ({"gone": 1}, False),
])  # fmt: skip
def test_correlation(wanted: dict[str, Any], expected: bool) -> None:
    """All that is named is equal."""
    check_filter({"correlation": wanted})
    assert takes({"correlation": wanted}, MESSAGE) is expected


def test_a_system_property_that_there_is_not_is_refused() -> None:
    """Else each message would be none of the subscription's."""
    with pytest.raises(QueueError, match="Nope"):
        check_filter({"correlation": {"sys.Nope": "x"}})
