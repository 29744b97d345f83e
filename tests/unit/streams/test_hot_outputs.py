"""What the hot path tells has the identity of one group, window or series alone, and figures as JSON has them."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from streams.hot_outputs import AsOf, alert_message, window_message
from streams.open_windows import WindowResult
from transforms.alert_rules import AlarmState, Rule
from transforms.windows import Window
from wire.envelope import ID


@pytest.mark.parametrize(("groups", "identities"), [
    ([("a/b", "c"), ("a", "b/c")], {"hot/a%2Fb/c/1", "hot/a/b%2Fc/1"}),
    ([("a%2Fb", "c"), ("a/b", "c")], {"hot/a%252Fb/c/1", "hot/a%2Fb/c/1"}),
    ([("d1", "north")], {"hot/d1/north/1"}),
])  # fmt: skip
def test_alarms_of_two_groups_have_two_identities(groups: list[tuple[str, str]], identities: set[str]) -> None:
    """Also where their names have slashes: else the action for one of them is a repeat of the other's."""
    rule, state = Rule("hot", by=("device_id", "site_id")), AlarmState("firing", revision=1)
    told = [alert_message(rule, dict(zip(rule.by, group, strict=True)), state, "fired", {}) for group in groups]
    assert {dict(message.headers)[ID].decode() for message in told} == identities


@pytest.mark.parametrize(("figure", "told"), [
    (0.1 + 0.2, 0.30000000000000004), (2**70, 2**70), (-(2**70), -(2**70)), (float("nan"), None), (float("inf"), None),
    (None, None), ("süß\0", "süß\0"), (True, True), (datetime(2026, 11, 26, 12), "2026-11-26T12:00:00.000Z"),
    (datetime(2026, 11, 26, 12, tzinfo=timezone(timedelta(hours=2))), "2026-11-26T10:00:00.000Z"),
    (timedelta(seconds=1), "0:00:01"),
])  # fmt: skip
def test_a_figure_of_any_type_is_told(figure: Any, told: Any) -> None:
    """Also one that is no number to JSON, and a whole number of more than 64 bits, as the greatest `arrival` is."""
    window = Window("w", "tumbling", 60, ("device_id",), {"figure": "max(arrival)"})
    start_us = int(datetime(2026, 11, 26, tzinfo=UTC).timestamp()) * 1_000_000
    inputs = [{"p": 3, "low": 5, "high": 7}]
    result = WindowResult(window, {"device_id": "d1"}, start_us, start_us + 60_000_000, 2, False, False, inputs,
                          start_us + 1, {"figure": figure})  # fmt: skip
    body = json.loads(window_message(result, AsOf(start_us, 0, {3: 5, 4: 2**40})).value or b"")
    assert body["figure"] == told
    assert (body["inputs"], body["read_from"]) == ({"3": [5, 7]}, {"3": 5, "4": 2**40})
    assert (body["window_start"], body["window_end"]) == ("2026-11-26T00:00:00.000Z", "2026-11-26T00:01:00.000Z")
