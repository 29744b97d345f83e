"""Quality files: what DTDL cannot say of a device model.

Belongs here: reporting interval, lateness, limits and ranges, their defaults and their checks, read from
`<model>.quality.json`. The suites that hold data to them are elsewhere.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from lake.models.dtdl import parse_json
from lake.models.kinds import Kind, parse_kinds
from runtime.errors import ModelError


@dataclass(frozen=True)
class Quality:
    """Limits of a device model; times in seconds.

    `reporting_interval_s` between two readings; a reading that comes `late_after_s` after its event is late; a payload
    longer than `max_payload_bytes` is refused; a slice is held when more than `max_rejected_ratio`
    (0 to 1) of its records are rejected, or, if `max_staleness_s` is given, when its newest reading is older than
    that. `ranges` are inclusive, by metric name (`temperature`, `motor.vibration`); None leaves a side open.
    `missing` are, by metric name, the numbers and texts that mean that there is no value. `kinds` say, by metric name,
    whether telemetry is a gauge, a counter or a state (see `lake.models.kinds`).
    """

    reporting_interval_s: int = 60
    late_after_s: int = 300
    max_rejected_ratio: float = 0.05
    max_payload_bytes: int = 262_144
    max_staleness_s: int | None = None
    ranges: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    missing: Mapping[str, tuple[float | str, ...]] = field(default_factory=dict)
    table: str | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)


_MINIMA = {
    "reporting_interval_s": 1,
    "late_after_s": 0,
    "max_payload_bytes": 2,
    "max_staleness_s": 1,
}


def read_quality(text: bytes, origin: str) -> Mapping[str, object]:
    """The JSON object of a quality file. Raises ModelError."""
    raw = parse_json(text, origin)
    if not isinstance(raw, dict):
        raise ModelError(f"{origin} must hold one JSON object.")
    return raw


def parse_quality(raw: Mapping[str, object], origin: str) -> Quality:
    """Check every key and value, and fill in the defaults. Raises ModelError."""
    known = [each.name for each in fields(Quality)]
    for key in raw:
        if key not in known:
            raise ModelError(f"{origin} has the unknown key {key!r}: known are {', '.join(known)}.")
    values: dict[str, object] = dict(raw)
    for key, least in _MINIMA.items():
        value = raw.get(key, least)
        if value is None and key == "max_staleness_s":
            continue
        if type(value) is not int or value < least:
            raise ModelError(f"{key} in {origin} is {value!r}: give a whole number of at least {least}.")
    if "max_rejected_ratio" in raw:
        values["max_rejected_ratio"] = _ratio(raw["max_rejected_ratio"], f"max_rejected_ratio in {origin}")
    if "ranges" in raw:
        values["ranges"] = _ranges(raw["ranges"], origin)
    if "missing" in raw:
        values["missing"] = _missing(raw["missing"], origin)
    if "kinds" in raw:
        values["kinds"] = parse_kinds(raw["kinds"], origin)
    table = raw.get("table")
    if table is not None and not isinstance(table, str):
        raise ModelError(f"table in {origin} is {table!r}: give a name such as 'silver.thermostats'.")
    return Quality(**values)  # type: ignore[arg-type]  # each value was checked above


def _ranges(raw: object, origin: str) -> dict[str, tuple[float | None, float | None]]:
    if not isinstance(raw, dict):
        raise ModelError(f'ranges in {origin} must be an object such as {{"temperature": [-40, 60]}}.')
    return {name: _range(value, f"the range of {name!r} in {origin}") for name, value in raw.items()}


def _range(raw: object, where: str) -> tuple[float | None, float | None]:
    if not isinstance(raw, list) or len(raw) != 2 or raw == [None, None]:
        raise ModelError(f"{where} is {raw!r}: give [minimum, maximum], null for a side without a limit.")
    low, high = (None if side is None else _number(side, where) for side in raw)
    if low is not None and high is not None and low > high:
        raise ModelError(f"{where} is {raw!r}: its minimum is above its maximum.")
    return low, high


def _missing(raw: object, origin: str) -> dict[str, tuple[float | str, ...]]:
    if not isinstance(raw, dict):
        raise ModelError(f'missing in {origin} must be an object such as {{"temperature": [-999, "n/a"]}}.')
    found: dict[str, tuple[float | str, ...]] = {}
    for name, listed in raw.items():
        where = f"missing of {name!r} in {origin}"
        each = listed if isinstance(listed, list) else [listed]
        # a whole number stays one: a double does not hold the largest of a long
        found[name] = tuple(
            value if isinstance(value, str) or type(value) is int else _number(value, where) for value in each
        )
    return found


def _ratio(raw: object, where: str) -> float:
    value = _number(raw, where)
    if not 0 <= value <= 1:
        raise ModelError(f"{where} is {raw!r}: give a number from 0 to 1.")
    return value


def _number(raw: object, where: str) -> float:
    # the bound also refuses 1e999, which JSON reads as infinity, and integers that no float holds
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not abs(raw) <= sys.float_info.max:
        raise ModelError(f"{where} holds {raw!r}, which is not a finite number.")
    return float(raw)
