"""Programs: what a room has `lakehouse up` keep running, as a value.

Belongs here: what is said of any program, the order that follows from who uses whom, and starting one that is Python.
Which programs there are stands in each room's `programs`; running them is the supervisor's.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from runtime import processes
from runtime.processes import ProcessRecord
from runtime.settings import Settings, inherited_environment

_PROJECT = Path(__file__).resolve().parent.parent

Chosen = Mapping[str, Any]
"""What the user of `up` has said: an option's name with underscores, to its value."""


@dataclass(frozen=True)
class Option:
    """An option of `lakehouse up`: a flag, or with a `kind` a value of that kind, int from `least` to `most`."""

    name: str
    says: str
    kind: type[int] | type[str] | None = None
    default: int | str | None = None
    least: int | None = None
    most: int | None = None


def _nothing_to_check(settings: Settings, chosen: Chosen) -> None:
    """Most programs can be started whatever was asked for."""


def _nothing_to_prepare(settings: Settings, address: str) -> None:
    """Most programs are ready to use when they answer."""


@dataclass(frozen=True)
class Program:
    """A program that `up` starts, watches and stops. `start` starts a new one; `up` asks it only when none runs.

    With `chosen_by`, the name of a flag among its `options`, it is started only when that is given, after all others.
    """

    name: str
    title: str
    start: Callable[[Settings, Chosen], ProcessRecord]
    is_ready: Callable[[Settings, ProcessRecord], bool] = lambda settings, record: True
    uses: tuple[str, ...] = ()
    """Programs that are started before it and stopped after it, where they run."""
    options: tuple[Option, ...] = ()
    chosen_by: str = ""
    elsewhere: Callable[[Settings], str | None] = lambda settings: None
    """The address of one that is not ours, which takes its place."""
    addresses: Callable[[Settings, str], Mapping[str, str]] | None = None
    """Where it is found, by name, from its record's address (or that of the one elsewhere); else its name to that."""
    check: Callable[[Settings, Chosen], None] = _nothing_to_check
    """Raises UsageError or PlatformError for what cannot be, before anything is started."""
    prepare: Callable[[Settings, str], None] = _nothing_to_prepare
    """What each `up` sees to once it has started, found, or been told of it, by its address."""

    def is_wanted(self, chosen: Chosen) -> bool:
        """True when it is always started, or was asked for."""
        return not self.chosen_by or bool(chosen.get(self.chosen_by.replace("-", "_")))

    def found_at(self, settings: Settings, address: str) -> Mapping[str, str]:
        """Its addresses by name; empty when it has none."""
        if self.addresses is not None:
            return self.addresses(settings, address)
        return {self.name: address} if address else {}


PROGRAMS: tuple[Program, ...] = ()
"""The ground's own: none, since Kafka and Spark are programs of those who use them."""


def waves(programs: Sequence[Program]) -> Iterator[list[Program]]:
    """The programs so that each stands in a later wave than what it uses; within a wave in their own order."""
    return _waves(programs, {program.name: set(program.uses) for program in programs})


def waves_to_stop(programs: Sequence[Program]) -> Iterator[list[Program]]:
    """The programs so that each stands in a later wave than what uses it."""
    return _waves(programs, {p.name: {other.name for other in programs if p.name in other.uses} for p in programs})


def addresses(settings: Settings, programs: Sequence[Program]) -> dict[str, str]:
    """Where everything is found that runs for this home, or that it is told of."""
    found: dict[str, str] = {}
    for program in programs:
        address = program.elsewhere(settings)
        record = processes.find(settings, program.name) if address is None else None
        if address is not None or record is not None:
            found |= program.found_at(settings, record.address if record is not None else address or "")
    return found


def spawn_python(settings: Settings, name: str, arguments: Sequence[str], address: str = "") -> ProcessRecord:
    """Start this Python with `arguments`, the project's modules and these settings; see `processes.spawn`."""
    path = [str(_PROJECT), *filter(None, [inherited_environment({}).get("PYTHONPATH")])]
    environment = {**settings.child_environment(), "PYTHONPATH": os.pathsep.join(path)}
    return processes.spawn(settings, name, [sys.executable, *arguments], address, environment)


def _waves(programs: Sequence[Program], before: Mapping[str, set[str]]) -> Iterator[list[Program]]:
    names = set(before)
    sorter = TopologicalSorter({name: needed & names for name, needed in before.items()})
    sorter.prepare()
    while sorter.is_active():
        ready = set(sorter.get_ready())
        yield [program for program in programs if program.name in ready]
        sorter.done(*ready)
