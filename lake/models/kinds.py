"""Kinds of telemetry: what the values of a telemetry are, which says what figures can be made of them.

Belongs here: the kinds, what a quality file declares of them, and the defaults. The figures are in dbt's models; the
rules stand in docs/guide/kinds.md.
"""

import difflib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from runtime.errors import ModelError

KindName = Literal["gauge", "counter", "state"]
Interpolation = Literal["previous", "linear"]

DAY_S = 86_400
LONGEST_CARRY_S = 31 * DAY_S
_CARRY_S: Mapping[KindName, int] = {"gauge": 3600, "counter": 7 * DAY_S, "state": DAY_S}
_KEYS: Mapping[KindName, tuple[str, ...]] = {
    "gauge": ("kind", "carry_limit_s", "interpolation"),
    "counter": ("kind", "carry_limit_s", "max"),
    "state": ("kind", "carry_limit_s"),
}


@dataclass(frozen=True)
class Kind:
    """What a telemetry is: a `gauge` measures, a `counter` only grows, a `state` holds until the next one.

    A reading is carried into later hours for `carry_limit_s` seconds at most. `maximum` is the value at which a counter
    begins at 0 again; None when it does not. `interpolation` says what a gauge was between two readings.
    """

    name: KindName
    carry_limit_s: int
    maximum: float | None = None
    interpolation: Interpolation = "previous"


DEFAULT_GAUGE, DEFAULT_STATE = Kind("gauge", _CARRY_S["gauge"]), Kind("state", _CARRY_S["state"])
"""What telemetry is that the quality file does not name: enumerations and booleans are states."""


def parse_kinds(raw: object, origin: str) -> dict[str, Kind]:
    """`kinds` of a quality file: metric name to a kind's name, or to an object with more. Raises ModelError."""
    if not isinstance(raw, dict):
        raise ModelError(f'kinds in {origin} must be an object such as {{"energy": "counter"}}.')
    return {
        name: _kind(value if isinstance(value, dict) else {"kind": value}, f"the kind of {name!r} in {origin}")
        for name, value in raw.items()
    }


def _kind(raw: Mapping[str, object], where: str) -> Kind:
    name = raw.get("kind")
    if not isinstance(name, str) or name not in _CARRY_S:
        raise ModelError(f"{where} is {name!r}: give one of {', '.join(_CARRY_S)}.{_near(name)}")
    kind: KindName = name  # type: ignore[assignment]  # it is one of the keys
    for key in raw:
        if key not in _KEYS[kind]:
            raise ModelError(f"{where} has the unknown key {key!r}: a {kind} may have {', '.join(_KEYS[kind])}.")
    carry_limit_s = raw.get("carry_limit_s", _CARRY_S[kind])
    if type(carry_limit_s) is not int or not 0 <= carry_limit_s <= LONGEST_CARRY_S:
        raise ModelError(
            f"carry_limit_s of {where} is {carry_limit_s!r}: give whole seconds from 0 to {LONGEST_CARRY_S} (31 days)."
        )
    maximum = raw.get("max")
    if maximum is not None and (
        isinstance(maximum, bool) or not isinstance(maximum, (int, float)) or not 0 < maximum <= sys.float_info.max
    ):
        raise ModelError(f"max of {where} is {maximum!r}: give the number above 0 at which it begins at 0 again.")
    interpolation = raw.get("interpolation", "previous")
    if interpolation not in get_args(Interpolation):
        raise ModelError(f"interpolation of {where} is {interpolation!r}: give previous or linear.")
    return Kind(kind, carry_limit_s, None if maximum is None else float(maximum), interpolation)  # type: ignore[arg-type]  # checked above


def _near(name: object) -> str:
    near = difflib.get_close_matches(str(name), _CARRY_S, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def carried_hours(kinds: Iterable[Kind]) -> int:
    """The most hours back in which a reading may lie that an hour begins with; 0 without any kind."""
    return max((-(-kind.carry_limit_s // 3600) + 1 for kind in kinds if kind.carry_limit_s), default=0)
