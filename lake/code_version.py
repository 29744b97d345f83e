"""The version of the code, as publications record it.

Belongs here: the release number and a digest of what decides a figure, so that a figure can be traced to the code that
made it also between releases.
"""

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

_PROJECT = Path(__file__).resolve().parent.parent
_DECIDING = {
    "runtime": "*.py",
    "wire": "*.py",
    "lake": "*.py",
    "ingestion": "*.py",
    "transforms": "*.py",
    "pipeline": "*.py",
    "dbt": "*.sql",
}


@cache
def code_version() -> str:
    """Release and digest of the code that decides figures, e.g. `0.1.0+3f9ad2c1b0e4`."""
    digest = hashlib.sha256()
    for folder, pattern in _DECIDING.items():
        for path in sorted((_PROJECT / folder).rglob(pattern)):
            digest.update(path.relative_to(_PROJECT).as_posix().encode() + b"\0" + path.read_bytes())
    try:
        release = metadata.version("iot-lakehouse")
    except metadata.PackageNotFoundError:
        release = "0"
    return f"{release}+{digest.hexdigest()[:12]}"
