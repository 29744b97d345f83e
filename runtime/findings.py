"""Findings: what a look at the machine, the home or a room has come to, as a value.

Belongs here: what is said of any finding, and of folders. What is looked at stands in each room's `checks`; `lakehouse
doctor` puts them together.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtime.settings import Settings


@dataclass(frozen=True)
class Finding:
    """What a check found. `advice` says what to do and is empty when `is_ok`."""

    name: str
    is_ok: bool
    found: str
    advice: str = ""


Check = Callable[[Settings], Finding]
"""A look at one thing, which changes nothing that stays, and takes at most some seconds for what is silent."""


def folder_finding(name: str, folder: Path, advice: str) -> Finding:
    """Whether a folder can be written, or made."""
    existing = nearest_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding(name, False, f"{existing} cannot be written: {error.strerror}", advice)
    return Finding(name, True, f"{folder} can be written")


def nearest_folder(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())
