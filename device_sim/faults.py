"""Faults as data: how often which thing goes wrong in a simulation, read from a strict JSON file.

Belongs here: the schema of a faults file, its defaults, its checks, and the mix that the demo uses. How a fault changes
the messages is in `schedule` (periods), `stream` (order and repeats) and `corruptions` (broken messages).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from device_sim.corruptions import CORRUPTIONS
from runtime.errors import UsageError

Span = tuple[float, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Delayed:
    """A share of the readings (0 to 1), and by how many minutes something is delayed, from least to most."""

    share: float = 0.0
    minutes: Span = (10.0, 360.0)


@dataclass(frozen=True)
class Disordered:
    """A share of the readings that arrive so many reporting intervals after their time, behind younger ones."""

    share: float = 0.0
    intervals: Span = (1.0, 3.0)


@dataclass(frozen=True)
class Share:
    """A share of the readings."""

    share: float = 0.0


@dataclass(frozen=True)
class Extra:
    """A share of the readings that carry one telemetry more, of this name, which no model declares."""

    share: float = 0.0
    name: str = "undeclared_note"


@dataclass(frozen=True)
class Period:
    """A share of the devices, each for one period of so many hours."""

    devices: float = 0.0
    hours: Span = (2.0, 6.0)


@dataclass(frozen=True)
class WrongClock:
    """A share of the devices whose clock is wrong by `by_hours` for one period."""

    devices: float = 0.0
    hours: Span = (2.0, 6.0)
    by_hours: float = 9600.0


@dataclass(frozen=True)
class Impossible:
    """A share of one slice's readings outside their range: `slice` is `2026-11-20T05`, or hours since the start.

    `model` is a DTMI or short name; None takes every model.
    """

    slice: str | int
    share: float
    model: str | None = None


@dataclass(frozen=True)
class Faults:
    """All faults of a simulation; by default none. A reading has one fault at most."""

    late: Delayed = Delayed()
    repeated: Delayed = Delayed(minutes=(0.0, 180.0))
    conflict: Delayed = Delayed(minutes=(0.0, 60.0))
    out_of_order: Disordered = Disordered()
    out_of_range: Share = Share()
    unknown_telemetry: Extra = Extra()
    corrupt: Mapping[str, float] = field(default_factory=dict)
    clock_ahead: WrongClock = WrongClock()
    clock_behind: WrongClock = WrongClock()
    outage: Period = Period(hours=(2.0, 12.0))
    maintenance: Period = Period(hours=(1.0, 4.0))
    impossible: Impossible | None = None

    def reading_shares(self) -> dict[str, float]:
        """Share of the readings by fault, in the order in which they are drawn."""
        shares = {
            "late": self.late.share,
            "repeated": self.repeated.share,
            "conflict": self.conflict.share,
            "out_of_order": self.out_of_order.share,
            "out_of_range": self.out_of_range.share,
            "unknown_telemetry": self.unknown_telemetry.share,
        }
        return shares | {f"corrupt.{name}": share for name, share in sorted(self.corrupt.items())}

    def to_json(self) -> str:
        """As a faults file that `parse_faults` reads to the same faults."""
        raw = asdict(self)
        if self.impossible is None:
            raw.pop("impossible")
        return json.dumps(raw, indent=2)


# Few enough that no slice passes the share of rejected records at which it is held. Broken times and wrong clocks all
# count in the slice of their arrival, so the first are rarer still.
DEMO_FAULTS = Faults(
    late=Delayed(0.02),
    repeated=Delayed(0.01, (0.0, 180.0)),
    conflict=Delayed(0.0003, (0.0, 60.0)),
    out_of_order=Disordered(0.01),
    out_of_range=Share(0.002),
    unknown_telemetry=Extra(0.001),
    corrupt={
        name: 0.00002 if each.reason in ("bad_time", "implausible_time", "too_large") else 0.0001
        for name, each in CORRUPTIONS.items()
    },
    clock_ahead=WrongClock(0.03),
    clock_behind=WrongClock(0.03),
    outage=Period(0.06, (2.0, 12.0)),
    maintenance=Period(0.05, (1.0, 4.0)),
)
"""Every fault but `impossible`, in shares that a pipeline should swallow."""


def read_faults(path: Path) -> Faults:
    """Read a faults file. Raises UsageError for a file that cannot be read or that has anything unknown in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The faults file {path} cannot be read: {error}.") from error
    return parse_faults(text, str(path))


def parse_faults(text: str, origin: str) -> Faults:
    """Parse and check faults; what is left out does not happen. Raises UsageError."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{origin} is not JSON: {error}. `lakehouse simulate --print-faults` prints one.") from error
    faults = _build(Faults(), raw, origin)
    total = sum(faults.reading_shares().values())
    if total > 1:
        raise UsageError(f"The shares of readings in {origin} add up to {total:g}: they may be 1 at most.")
    return faults


def _build(default: T, raw: object, where: str) -> T:
    """`default`, a dataclass, with the values of a JSON object in place of its own."""
    if not isinstance(raw, dict):
        raise UsageError(f"{where} must be a JSON object.")
    known = {each.name: getattr(default, each.name) for each in fields(default)}  # type: ignore[arg-type]
    values = dict(known)
    for name, value in raw.items():
        if name not in known:
            raise UsageError(f"{where} has the unknown key {name!r}: known are {', '.join(known)}.")
        values[name] = _value(name, value, known[name], f"{name} in {where}")
    return type(default)(**values)


def _value(name: str, value: object, default: Any, where: str) -> object:
    match name:
        case "share" | "devices":
            return _ratio(value, where)
        case "minutes" | "hours" | "intervals":
            return _span(value, where)
        case "by_hours":
            return _number(value, where)
        case "name":
            return _text(value, where)
        case "corrupt":
            return _corrupt(value, where)
        case "impossible":
            return None if value is None else _impossible(value, where)
        case _:
            return _build(default, value, where)


def _impossible(raw: object, where: str) -> Impossible:
    if not isinstance(raw, dict) or not {"slice", "share"} <= set(raw) <= {"slice", "share", "model"}:
        raise UsageError(
            f'{where} must be like {{"slice": 5, "share": 0.3, "model": "thermostat"}}; model may be left out.'
        )
    slice_, model = raw["slice"], raw.get("model")
    if not (isinstance(slice_, str) or (type(slice_) is int and slice_ >= 0)):
        raise UsageError(
            f"slice of {where} is {slice_!r}: give an hour such as '2026-11-20T05', or hours since the start."
        )
    return Impossible(slice_, _ratio(raw["share"], f"share of {where}"), model and _text(model, f"model of {where}"))


def _corrupt(raw: object, where: str) -> dict[str, float]:
    if not isinstance(raw, dict):
        raise UsageError(f'{where} must be an object such as {{"truncated": 0.001}}.')
    for name in raw:
        if name not in CORRUPTIONS:
            raise UsageError(f"{where} has the unknown kind {name!r}: known are {', '.join(CORRUPTIONS)}.")
    return {name: _ratio(value, f"{name} of {where}") for name, value in raw.items()}


def _ratio(value: object, where: str) -> float:
    number = _number(value, where)
    if number > 1:
        raise UsageError(f"{where} is {value!r}: give a share from 0 to 1.")
    return number


def _span(value: object, where: str) -> Span:
    if not isinstance(value, list) or len(value) != 2:
        raise UsageError(f"{where} is {value!r}: give [least, most].")
    least, most = (_number(each, where) for each in value)
    if least > most:
        raise UsageError(f"{where} is {value!r}: the least is more than the most.")
    return least, most


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise UsageError(f"{where} is {value!r}: give a number of 0 or more.")
    return float(value)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{where} is {value!r}: give a name.")
    return value
