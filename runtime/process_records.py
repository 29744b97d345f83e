"""Records of processes: which programs run for a home, in `run/` under it.

Belongs here: what a record says, and which ones are this home's and this machine's. Starting and stopping programs
belongs in `processes`.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import psutil

from runtime.process_ids import place, started_s
from runtime.settings import Settings
from runtime.whole_files import write_whole

# the start times that two tools report for one process differ when the system clock is set in between
_CLOCK_SLACK_S = 2.0


@dataclass(frozen=True)
class ProcessRecord:
    """A program that runs for a home. When it started tells it from a later one with the same pid.

    What stands in a file also says where the number means something (`place`, see `process_ids`), for which home it
    runs, and when it started counted from the start of the machine, which a clock that is set does not move.
    """

    name: str
    pid: int
    create_time: float
    address: str
    is_kept: bool = False
    """True when `up` started it: only `down` stops it."""
    place: str = ""
    home: str = ""
    home_id: str = ""
    started_s: float | None = None


def record_path(settings: Settings, name: str) -> Path:
    """Where a program's record lies."""
    return settings.run_folder / f"{name}.json"


def recorded(settings: Settings, name: str) -> ProcessRecord | None:
    """The record of a program of this home, be it alive or not; None when there is none.

    The records of a home that was copied are in the copy, too, and speak of the original's programs: they count as
    none. One that says nothing of its home is from before they did.
    """
    try:
        values = json.loads(record_path(settings, name).read_text())
        known = {each.name for each in fields(ProcessRecord)}
        record = ProcessRecord(**{key: value for key, value in values.items() if key in known})
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None
    return record if record.home_id in ("", _home_id(settings)) else None


def is_same(record: ProcessRecord) -> bool:
    """True when the process with this number is the recorded one, be it a zombie by now."""
    if not is_here(record):
        return False
    try:
        process = psutil.Process(record.pid)
        if record.started_s is None:
            return abs(process.create_time() - record.create_time) < _CLOCK_SLACK_S
        return abs(started_s(process) - record.started_s) < _CLOCK_SLACK_S
    except psutil.NoSuchProcess:
        return False


def is_here(record: ProcessRecord) -> bool:
    """True when the record's number is one of this machine, since its start, and of this PID namespace."""
    return not record.home_id or record.place == place()


def _home_id(settings: Settings) -> str:
    """What a home keeps when it is moved, and a copy of it does not have."""
    try:
        found = settings.home.stat()
    except FileNotFoundError:
        return "none"
    return f"{found.st_dev}:{found.st_ino}"


def write(settings: Settings, record: ProcessRecord) -> ProcessRecord:
    """Store a record, with where and for which home it holds; returns it as it is stored."""
    if not record.home_id:
        record = replace(
            record,
            place=place(),
            home=str(settings.home),
            home_id=_home_id(settings),
            started_s=record.create_time - psutil.boot_time(),
        )
    write_whole(record_path(settings, record.name), json.dumps(asdict(record)))
    return record
