"""Records of processes: which programs run for a home, in `run/` under it.

Belongs here: what a record says, and which ones are this home's. Starting and stopping programs
belongs in `processes`.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from runtime.process_ids import ProcessId
from runtime.settings import Settings
from runtime.whole_files import write_whole


@dataclass(frozen=True)
class ProcessRecord:
    """A program that runs for a home; what stands in a file says for which."""

    name: str
    process: ProcessId
    address: str
    is_kept: bool = False
    """True when `up` started it: only `down` stops it."""
    home: str = ""
    home_id: str = ""

    @property
    def pid(self) -> int:
        """Its number, where it runs."""
        return self.process.pid

    def to_json(self) -> str:
        """The text of its file."""
        values = asdict(self)
        return json.dumps(values | values.pop("process"))


def record_path(settings: Settings, name: str) -> Path:
    """Where a program's record lies."""
    return settings.run_folder / f"{name}.json"


def recorded(settings: Settings, name: str) -> ProcessRecord | None:
    """The record of a program of this home, be it alive or not; None when there is none.

    The records of a home that was copied are in the copy, too, and speak of the original's programs: they count as
    none, and so do files that cannot be read.
    """
    try:
        record = _parse(json.loads(record_path(settings, name).read_text()))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return record if record.home_id == _home_id(settings) else None


def _parse(values: dict[str, Any]) -> ProcessRecord:
    """A record that says more than is known here is read."""
    process = ProcessId(values["pid"], values["started_s"], values["place"])
    kept = {name: values[name] for name in ("name", "address", "is_kept", "home", "home_id")}
    return ProcessRecord(process=process, **kept)


def _home_id(settings: Settings) -> str:
    """What a home keeps when it is moved, and a copy of it does not have."""
    try:
        found = settings.home.stat()
    except FileNotFoundError:
        return "none"
    return f"{found.st_dev}:{found.st_ino}"


def write(settings: Settings, record: ProcessRecord) -> ProcessRecord:
    """Store a record, with for which home it holds; returns it as it is stored."""
    if not record.home_id:
        record = replace(record, home=str(settings.home), home_id=_home_id(settings))
    write_whole(record_path(settings, record.name), record.to_json())
    return record
