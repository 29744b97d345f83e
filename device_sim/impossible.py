"""The impossible hour: one slice of which an exact share of the readings lies outside its range.

Belongs here: which slice and models a fault file's `impossible` means in a simulation, and the draw. The readings
themselves are broken in `messages`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from device_sim.faults import Impossible
from device_sim.fleet import model_named
from device_sim.noise import Floats
from device_sim.schedule import HOUR_MS
from lake.models.catalog import Model
from lake.slices import slice_start
from runtime.errors import UsageError


@dataclass(frozen=True)
class ImpossibleHour:
    """One UTC hour from `start_ms`, the models it touches, and the share of their readings."""

    start_ms: int
    model_ids: frozenset[str]
    share: float

    @property
    def end_ms(self) -> int:
        """First moment after the hour."""
        return self.start_ms + HOUR_MS

    def threshold(self, lots: Floats) -> float:
        """The lot that parts the impossible: exactly the share of `lots`, rounded, lies below."""
        count = round(self.share * len(lots))
        if count >= len(lots):
            return 1.0
        return float(np.partition(lots, count)[count])


def impossible_hour(fault: Impossible, models: Sequence[Model], span_ms: tuple[int, int]) -> ImpossibleHour:
    """The hour that `fault` means in a simulation of `models` from and to `span_ms`.

    Raises UsageError for an hour outside of it, or a model that is not simulated.
    """
    if isinstance(fault.slice, int):
        start_ms = span_ms[0] // HOUR_MS * HOUR_MS + fault.slice * HOUR_MS
    else:
        start_ms = int(slice_start(fault.slice).timestamp()) * 1000
    if start_ms + HOUR_MS <= span_ms[0] or span_ms[1] <= start_ms:
        raise UsageError(f"The slice {fault.slice} of the fault 'impossible' is outside of the simulated hours.")
    by_id = {model.model_id: model for model in models}
    touched = [model_named(by_id, fault.model)] if fault.model else models
    return ImpossibleHour(start_ms, frozenset(model.model_id for model in touched), fault.share)
