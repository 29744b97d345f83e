"""An identity of what the hot path tells is that of one group, window or series alone."""

import pytest

from streams.hot_outputs import alert_message
from transforms.alert_rules import AlarmState, Rule
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
