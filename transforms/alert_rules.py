"""Alert rules: when a condition on readings becomes an alarm, repeats and clears.

Belongs here: the state of a rule for one group (a device, a site) and how an observation or the passing of time changes
it, as pure functions. Whether the condition holds is SQL, asked elsewhere; so is what is done about an alarm.

The rule: an alarm fires when its condition has held for `for_s` without a gap: two observations farther apart than
`gap_s` say nothing of the time between, so the count begins anew. It clears when the clearing condition has held for
`clear_after_s`. An observation older than the newest of its group changes nothing. Times are event times; silence is
measured by the landing zone's clock, and only as far as everything that came was read, so an outage of ours is none.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

Phase = Literal["clear", "pending", "firing", "clearing"]
Change = Literal["fired", "repeated", "cleared"]
_US = 1_000_000


@dataclass(frozen=True)
class Rule:
    """A declared rule; times in seconds, 0 for none. `condition` is None for a rule on silence."""

    name: str
    over: str = "readings"
    by: tuple[str, ...] = ("device_id",)
    where: str = "true"
    condition: str | None = None
    clear: str | None = None
    for_s: int = 0
    gap_s: int = 0
    clear_after_s: int = 0
    silence_s: int = 0
    repeat_every_s: int = 0
    severity: str = "warning"
    actions: tuple[str, ...] = ()
    origin: str = field(default="", compare=False)

    @property
    def digest(self) -> str:
        """What tells a changed rule from the one before; 16 hexadecimal digits."""
        said = {name: value for name, value in asdict(self).items() if name not in ("origin", "actions", "severity")}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Observation:
    """What was seen of a group at `at_us`: whether the condition holds and whether the clearing one does."""

    at_us: int
    holds: bool
    clears: bool


@dataclass(frozen=True)
class AlarmState:
    """Where a rule stands for a group. `since_us` is the start of the phase, `revision` counts its changes."""

    phase: Phase = "clear"
    since_us: int = 0
    last_us: int = 0
    fired_us: int = 0
    told_us: int = 0
    revision: int = 0
    digest: str = ""
    partition: int = 0
    """Where the group was last seen: who reads that partition keeps its state."""


def under(rule: Rule, state: AlarmState) -> AlarmState:
    """The state under a rule that may have changed: a firing alarm stays, whatever was counted begins anew."""
    if state.digest == rule.digest:
        return state
    phase: Phase = "firing" if state.phase in ("firing", "clearing") else "clear"
    return replace(state, phase=phase, digest=rule.digest)


def observe(rule: Rule, state: AlarmState, seen: Observation) -> tuple[AlarmState, Change | None]:
    """The state after an observation, and what became of the alarm."""
    if seen.at_us < state.last_us:
        return state, None
    is_gap = rule.gap_s > 0 and state.last_us > 0 and seen.at_us - state.last_us > rule.gap_s * _US
    state = replace(state, last_us=seen.at_us)
    if state.phase in ("clear", "pending"):
        if not seen.holds:
            return replace(state, phase="clear"), None
        if state.phase == "clear" or is_gap:
            state = replace(state, phase="pending", since_us=seen.at_us)
        return _fired(state) if seen.at_us - state.since_us >= rule.for_s * _US else (state, None)
    if not seen.clears:
        return _repeated(rule, replace(state, phase="firing"), seen.at_us)
    if state.phase == "firing" or is_gap:
        state = replace(state, phase="clearing", since_us=seen.at_us)
    return _cleared(state) if seen.at_us - state.since_us >= rule.clear_after_s * _US else (state, None)


def heard(rule: Rule, state: AlarmState, received_us: int) -> tuple[AlarmState, Change | None]:
    """For a rule on silence: the state after something came; what is read again after a restart is nothing new."""
    if received_us <= state.last_us:
        return state, None
    state = replace(state, last_us=received_us)
    return _cleared(state) if state.phase == "firing" else (state, None)


def time_passed(rule: Rule, state: AlarmState, now_us: int) -> tuple[AlarmState, Change | None]:
    """The state when everything up to `now_us` was read: silence fires, alarms repeat."""
    if rule.silence_s and state.phase == "clear" and now_us - state.last_us >= rule.silence_s * _US:
        return _fired(replace(state, since_us=state.last_us), now_us)
    if rule.silence_s and state.phase == "firing":
        return _repeated(rule, state, now_us)
    return state, None


def _fired(state: AlarmState, at_us: int | None = None) -> tuple[AlarmState, Change]:
    now = state.last_us if at_us is None else at_us
    return replace(state, phase="firing", fired_us=now, told_us=now, revision=state.revision + 1), "fired"


def _repeated(rule: Rule, state: AlarmState, at_us: int) -> tuple[AlarmState, Change | None]:
    if not rule.repeat_every_s or at_us - state.told_us < rule.repeat_every_s * _US:
        return state, None
    return replace(state, told_us=at_us, revision=state.revision + 1), "repeated"


def _cleared(state: AlarmState) -> tuple[AlarmState, Change]:
    return replace(state, phase="clear", since_us=state.last_us, revision=state.revision + 1), "cleared"
