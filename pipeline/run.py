"""A run: what every step of the line is told, whoever calls it.

Belongs here: the values that travel together, and nothing that acts. What a step does with them is the step's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lake.models.catalog import Model
from runtime.settings import Settings

Progress = Callable[[str], None]
"""Told what is being done, in words."""


def silent(_: str) -> None:
    """The progress of a caller that does not want any."""


@dataclass(frozen=True)
class Run:
    """One run over a lake. Its id stands in the lake's commits, verdicts and publications.

    `now` is when it judges and publishes, for ages and for what is recorded; `wait_s` is how long it waits for its turn
    to write before it raises LeaseError.
    """

    settings: Settings
    models: Mapping[str, Model]
    run_id: str
    now: datetime
    progress: Progress = silent
    wait_s: float = 0.0
