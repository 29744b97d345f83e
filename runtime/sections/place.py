"""Where a lakehouse is: its home and its lake.

Belongs here: the two places, and what lies where in the home. Not what is kept there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from runtime.variables import Setting, lake_uri


@dataclass(frozen=True)
class Place:
    """A home and a lake. Both are always given: what is unset is worked out when settings are read."""

    home: Annotated[
        Path,
        Setting(
            "LAKEHOUSE_HOME", Path, "Home",
            "all state: broker data, lake, Dagster, logs. Two homes are two lakehouses, ports and all", "`.lakehouse`",
        ),
    ]  # fmt: skip
    lake_uri: Annotated[
        str, Setting("LAKEHOUSE_LAKE_URI", lake_uri, "Lake", "a folder, or `s3://bucket/prefix`", "`<home>/lake`")
    ]

    @property
    def hub_folder(self) -> Path:
        """The hub's registry (unless it has an address of its own), certificates and figures."""
        return self.home / "hub"

    @property
    def models_folder(self) -> Path:
        """Models that were added to this lakehouse, beside the ones that come with the project."""
        return self.home / "models"

    @property
    def run_folder(self) -> Path:
        """One JSON file for each process that runs for this home."""
        return self.home / "run"

    @property
    def log_folder(self) -> Path:
        """Output of the processes that run for this home."""
        return self.home / "logs"

    @property
    def ml_folder(self) -> Path:
        """Versions of scoring models."""
        return self.home / "ml"

    @property
    def work_folder(self) -> Path:
        """Scratch files that may be deleted whenever nothing runs."""
        return self.home / "work"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: runs, events, schedules."""
        return self.home / "dagster"

    @property
    def is_s3(self) -> bool:
        """True when the lake lies on S3 rather than in a folder."""
        return self.lake_uri.startswith("s3://")
