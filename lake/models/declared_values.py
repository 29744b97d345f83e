"""What a quality file says of the values of single telemetry.

Belongs here: ranges, missing values and kinds on their way from the quality file to the columns, and the check that
they name telemetry that there is.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from lake.models.kinds import Kind
from lake.models.limits import Quality
from lake.models.telemetry import NUMERIC_TYPES, Telemetry
from runtime.errors import ModelError

_DISCRETE_TYPES = ("boolean", "string", "int", "bigint")


def with_declared_values(telemetry: Iterable[Telemetry], quality: Quality, origin: str) -> tuple[Telemetry, ...]:
    """The columns with their limits, missing values and kinds. Raises ModelError for a name that cannot have them."""
    columns = tuple(telemetry)
    numeric = {each.metric_name for each in columns if each.is_metric and each.type in NUMERIC_TYPES}
    _require(quality.ranges, numeric, origin, "a range", "numeric telemetry")
    _require(quality.missing, {each.metric_name for each in columns}, origin, "a missing value", "telemetry")
    _require_kinds(quality.kinds, columns, numeric, origin)
    return tuple(
        replace(
            each,
            minimum=low,
            maximum=high,
            missing=quality.missing.get(each.metric_name, ()),
            kind=quality.kinds.get(each.metric_name, each.kind),
        )
        for each in columns
        for low, high in [quality.ranges.get(each.metric_name, (each.minimum, each.maximum))]
    )


def _require_kinds(kinds: Mapping[str, Kind], columns: Iterable[Telemetry], numeric: set[str], origin: str) -> None:
    """What is counted or measured is a number; a state is anything but a fraction."""
    discrete = {each.metric_name for each in columns if each.type in _DISCRETE_TYPES}
    for name in ("gauge", "counter"):
        _require([each for each, kind in kinds.items() if kind.name == name], numeric, origin, f"the kind {name}",
                 "numeric telemetry")  # fmt: skip
    _require([each for each, kind in kinds.items() if kind.name == "state"], discrete, origin, "the kind state",
             "telemetry of booleans, texts, enumerations or whole numbers")  # fmt: skip


def _require(named: Iterable[str], known: set[str], origin: str, what: str, kind: str) -> None:
    for name in named:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"{kind}: {', '.join(sorted(known)) or 'none'}."
            raise ModelError(f"{origin} has {what} for {name!r}, which is not a {kind} of the model: {hint}")
