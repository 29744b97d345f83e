"""Rooms: the one list of those that have programs or checks, from which the commands put together what there is.

Belongs here: the list, and asking each room's `programs` and `checks`. What stands in those is the room's own.
"""

from importlib import import_module
from importlib.util import find_spec

from runtime.findings import Check
from runtime.programs import Program

ROOMS = (
    "runtime",
    "runtime.java",
    "lake",
    "pipeline",
    "dagster_project",  # loads longest, so what of it uses nothing is started first
    "ingestion",
    "runtime.spark",
    "hub",
    "streams",
    "serving",
    "lakehouse.cli",
)


def all_programs() -> tuple[Program, ...]:
    """What `up` starts, watches and stops: `PROGRAMS` of each room's `programs`, where there is one."""
    return tuple(program for room in ROOMS for program in _declared(room, "programs", "PROGRAMS"))


def all_checks() -> tuple[Check, ...]:
    """What `doctor` looks at, in the order in which a problem should be mended: `CHECKS` of each room's `checks`."""
    return tuple(check for room in ROOMS for check in _declared(room, "checks", "CHECKS"))


def _declared(room: str, module: str, name: str) -> tuple:  # type: ignore[type-arg]
    if find_spec(f"{room}.{module}") is None:
        return ()
    return getattr(import_module(f"{room}.{module}"), name)  # type: ignore[no-any-return]
