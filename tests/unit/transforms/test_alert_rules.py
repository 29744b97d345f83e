"""When an alarm fires, repeats and clears."""

from dataclasses import replace

import pytest

from transforms.alert_rules import AlarmState, Change, Observation, Rule, heard, observe, time_passed, under

_S = 1_000_000
HOT = Rule("hot", condition="value > 30")


def changes(rule: Rule, *seen: tuple[int, bool]) -> list[tuple[int, Change]]:
    """What observations (second, whether the condition holds) change."""
    state, found = AlarmState(digest=rule.digest), []
    for second, holds in seen:
        state, change = observe(rule, state, Observation(second * _S, holds, not holds))
        if change is not None:
            found.append((second, change))
    return found


def test_it_fires_and_clears() -> None:
    """Without durations one observation fires, one clears, and what lies between says nothing."""
    assert changes(HOT, (1, False), (2, True), (3, True), (4, False), (5, False)) == [(2, "fired"), (4, "cleared")]


def test_it_must_hold_for_a_while() -> None:
    """`for_s` counts from the first observation that holds; one that does not begins the count anew."""
    rule = replace(HOT, for_s=10)
    assert changes(rule, (0, True), (9, True), (9, False), (10, True), (19, True), (20, True)) == [(20, "fired")]


def test_a_gap_is_no_duration() -> None:
    """Two observations farther apart than `gap_s` do not say that the condition held between them."""
    rule = replace(HOT, for_s=10, gap_s=5)
    assert changes(rule, (1, True), (60, True), (65, True), (70, True)) == [(70, "fired")]
    assert changes(replace(rule, gap_s=0), (1, True), (60, True)) == [(60, "fired")]


def test_it_clears_after_a_while_and_repeats() -> None:
    """`clear_after_s` keeps an alarm that flutters; `repeat_every_s` tells it again."""
    rule = replace(HOT, clear_after_s=10, repeat_every_s=30)
    seen = [(0, True), (5, False), (9, True), (29, True), (30, True), (40, False), (50, False)]
    assert changes(rule, *seen) == [(0, "fired"), (30, "repeated"), (50, "cleared")]


def test_what_comes_out_of_order_changes_nothing() -> None:
    """An observation older than the newest is left out."""
    assert changes(HOT, (10, False), (5, True)) == []


def test_silence_fires_and_what_comes_clears_it() -> None:
    """A rule on silence fires when everything up to then was read and nothing came, repeats, and clears at once."""
    rule = Rule("silent", silence_s=60, repeat_every_s=60)
    state, change = heard(rule, AlarmState(digest=rule.digest), 100 * _S)
    assert change is None
    state, change = time_passed(rule, state, 159 * _S)
    assert change is None
    state, change = time_passed(rule, state, 160 * _S)
    assert (change, state.revision) == ("fired", 1)
    assert time_passed(rule, state, 219 * _S)[1] is None
    state, change = time_passed(rule, state, 220 * _S)
    assert change == "repeated"
    assert heard(rule, state, 230 * _S)[1] == "cleared"


def test_what_is_read_again_ends_no_silence() -> None:
    """After a restart the readings before the silence are read again: they neither clear the alarm nor count."""
    rule = Rule("silent", silence_s=60)
    state, _ = heard(rule, AlarmState(digest=rule.digest), 100 * _S)
    state, _ = time_passed(rule, state, 160 * _S)
    for again in (90 * _S, 100 * _S):
        assert heard(rule, state, again) == (state, None)


@pytest.mark.parametrize(("phase", "after"), [("pending", "clear"), ("firing", "firing"), ("clearing", "firing")])
def test_a_changed_rule_keeps_its_alarms(phase: str, after: str) -> None:
    """What fires goes on firing under the new rule; what was being counted is counted anew."""
    state = AlarmState(phase=phase, digest="another", since_us=5)  # type: ignore[arg-type]
    assert under(HOT, state).phase == after
    assert under(HOT, replace(state, digest=HOT.digest)).phase == phase
