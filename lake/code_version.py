"""The version of the code, as publications record it.

Belongs here: the release number and a digest of what decides a figure, so that a figure can be traced to the code that
made it also between releases.
"""

import hashlib
from functools import cache
from importlib import metadata

from lake.project_files import DBT_FOLDER, PROJECT_FOLDER
from runtime.errors import PlatformError

DISTRIBUTION = "iot-lakehouse"
_ROOMS = ("runtime", "wire", "lake", "ingestion", "transforms", "pipeline")


@cache
def code_version() -> str:
    """Release and digest of the code that decides figures, e.g. `0.1.0+3f9ad2c1b0e4`, installed or not."""
    digest = hashlib.sha256()
    deciding = [(room, PROJECT_FOLDER / room, "*.py") for room in _ROOMS]
    for name, folder, pattern in [*deciding, ("dbt", DBT_FOLDER, "*.sql")]:
        for path in sorted(folder.rglob(pattern)):
            place = f"{name}/{path.relative_to(folder).as_posix()}"
            digest.update(place.encode() + b"\0" + path.read_bytes())
    return f"{release()}+{digest.hexdigest()[:12]}"


def versions() -> str:
    """The code that decides figures here, and the DuckDB that runs it."""
    return f"{code_version()}, DuckDB {metadata.version('duckdb')}"


def check_versions(elsewhere: str) -> None:
    """The machine that asked an executor for something would do it alike. Raises PlatformError."""
    if versions() != elsewhere:
        raise PlatformError(
            f"An executor's Python has {versions()}, this machine {elsewhere}: install the same on both."
        )


def release() -> str:
    """The number of the release, from what is installed; `0` where nothing is."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "0"
