"""What a person says of a recorded file: how it is to be read, and as what.

Belongs here: the options as plain data. What follows from them is in `playback`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ReplayOptions:
    """What to replay and as what. Either `device` or `device_column` is given.

    `columns` maps column (with `pivot`: name) to telemetry, besides those that have a telemetry's name. `pivot` are
    the columns of names and values of a long file. `time_column` None takes the first of the usual names; `time_unit`
    is one of `recorded_times.UNITS`, `time_format` one of strptime; times without a zone are of `time_zone`.
    Cells that say one of `missing` are left out, and so is all telemetry but `only`, where that names any.
    """

    path: Path
    model: str
    device: str | None = None
    device_column: str | None = None
    time_column: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = "UTC"
    site: str | None = None
    time_unit: str | None = None
    time_format: str | None = None
    decimal_mark: str = "."
    missing: tuple[str, ...] = ()
    pivot: tuple[str, str] | None = None
    only: tuple[str, ...] = ()
