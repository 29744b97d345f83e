"""What a quality file says of the values of single telemetry.

Belongs here: ranges and missing values on their way from the quality file to the columns, and the check that they name
telemetry that there is.
"""

import difflib
from collections.abc import Iterable
from dataclasses import replace

from lake.models.limits import Quality
from lake.models.telemetry import NUMERIC_TYPES, Telemetry
from runtime.errors import ModelError


def with_declared_values(telemetry: Iterable[Telemetry], quality: Quality, origin: str) -> tuple[Telemetry, ...]:
    """The same columns with their limits and missing values. Raises ModelError for a name that cannot have them."""
    columns = tuple(telemetry)
    numeric = {each.metric_name for each in columns if each.is_metric and each.type in NUMERIC_TYPES}
    _require(quality.ranges, numeric, origin, "a range", "numeric telemetry")
    _require(quality.missing, {each.metric_name for each in columns}, origin, "a missing value", "telemetry")
    return tuple(
        replace(each, minimum=low, maximum=high, missing=quality.missing.get(each.metric_name, ()))
        for each in columns
        for low, high in [quality.ranges.get(each.metric_name, (each.minimum, each.maximum))]
    )


def _require(named: Iterable[str], known: set[str], origin: str, what: str, kind: str) -> None:
    for name in named:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"{kind}: {', '.join(sorted(known)) or 'none'}."
            raise ModelError(f"{origin} has {what} for {name!r}, which is not a {kind} of the model: {hint}")
