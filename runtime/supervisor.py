"""The supervisor: the programs of `lakehouse up`, started together, watched, and stopped together.

Belongs here: starting, watching and leaving none behind, whatever the programs are: it knows none by name. What is
printed is the command's.

Programs outlive a supervisor that is killed: their records say so, and `stop_all` finds them and whatever they have
started.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from runtime import processes
from runtime.process_ids import ProcessId
from runtime.process_records import ProcessRecord
from runtime.programs import Chosen, Program, waves, waves_to_stop
from runtime.settings import Settings
from runtime.signals import asked_to_stop, undisturbed

SUPERVISOR = "up"

_READY_S = 180.0
_SUPERVISOR_STOP_S = 120.0
_WATCH_S = 1.0

Tell = Callable[[str], None]
"""Told what is being done, in words."""


def start_all(settings: Settings, programs: Sequence[Program], chosen: Chosen, tell: Tell) -> list[str]:
    """Start what does not run yet and wait until all of it answers; returns the names of what was started.

    When it fails, or is interrupted, what it has started is stopped again. Raises PlatformError, and UsageError for
    what was chosen and cannot be.
    """
    before = _running_names(settings)
    wanted = [program for program in programs if program.is_wanted(chosen)]
    for program in wanted:
        if program.name not in before:
            program.check(settings, chosen)  # what is wrong with it is said before anything is started
    is_done = False
    try:
        # who has to be asked for comes last: it may need any of the others
        _start(settings, [program for program in wanted if not program.chosen_by], chosen, tell)
        _start(settings, [program for program in wanted if program.chosen_by], chosen, tell)
        is_done = True
    finally:
        started = sorted(_running_names(settings) - before)
        # while another `up` starts the same programs they are not ours to stop
        if not is_done and not _is_supervised_by_another(settings):
            with undisturbed():
                _stop(settings, programs, started)
    return started


def watch(settings: Settings, tell: Tell) -> bool:
    """Wait for a signal, or until nothing is left to watch; tells of a program that ends by itself.

    Returns False when one did, and nobody started it again.
    """
    names = _running_names(settings)
    ended: set[str] = set()
    with asked_to_stop() as stop:
        while names - ended and not stop.wait(_WATCH_S):
            names |= _running_names(settings)  # another `up` may have started what was missing
            for name in sorted(names):
                if processes.find(settings, name) is not None:
                    ended.discard(name)
                elif not processes.record_path(settings, name).exists():
                    names.discard(name)  # stopped on purpose
                elif name not in ended:
                    ended.add(name)
                    log = processes.log_path(settings, name)
                    tell(f"The {name} has ended, the others go on. Its log is {log}: {processes.last_error(log)}")
    return not ended


@contextmanager
def supervising(settings: Settings) -> Iterator[bool]:
    """Be the supervisor of this home while the block runs; False when another process is."""
    with processes.exclusive(settings, SUPERVISOR):
        is_ours = processes.find(settings, SUPERVISOR) is None
        if is_ours:
            processes.keep(settings, ProcessRecord(SUPERVISOR, ProcessId.of(), ""))
    try:
        yield is_ours
    finally:
        if is_ours:
            processes.record_path(settings, SUPERVISOR).unlink(missing_ok=True)


def stop_all(settings: Settings, programs: Sequence[Program]) -> list[str]:
    """Stop every program of this home and what those have started, also after a crash; returns their names."""
    names = sorted(path.stem for path in settings.run_folder.glob("*.json") if path.stem != SUPERVISOR)
    with undisturbed():
        stopped = _stop(settings, programs, names)
    if processes.find(settings, SUPERVISOR) is None:
        processes.record_path(settings, SUPERVISOR).unlink(missing_ok=True)
    return stopped


def stop_supervisor(settings: Settings) -> bool:
    """Ask the `up` in the foreground to stop all, and wait until it has; False when there is none."""
    return processes.stop(settings, SUPERVISOR, _SUPERVISOR_STOP_S)


def _running_names(settings: Settings) -> set[str]:
    return {record.name for record in processes.running_processes(settings)} - {SUPERVISOR}


def _is_supervised_by_another(settings: Settings) -> bool:
    record = processes.find(settings, SUPERVISOR)
    return record is not None and record.pid != os.getpid()


def _start(settings: Settings, programs: Sequence[Program], chosen: Chosen, tell: Tell) -> None:
    started: list[tuple[Program, ProcessRecord]] = []
    for program in (program for wave in waves(programs) for program in wave):
        address = program.elsewhere(settings)
        if address is None:
            record = _start_one(settings, program, chosen, tell)
            started.append((program, record))
            address = record.address
        program.prepare(settings, address)
    for program, record in started:
        _wait(settings, program, record)


def _start_one(settings: Settings, program: Program, chosen: Chosen, tell: Tell) -> ProcessRecord:
    if processes.find(settings, program.name) is None:
        tell(program.title)
    return processes.start_kept(settings, program.name, lambda: program.start(settings, chosen))


def _wait(settings: Settings, program: Program, record: ProcessRecord) -> None:
    processes.wait_until_ready(settings, record, lambda: program.is_ready(settings, record), _READY_S)


def _stop(settings: Settings, programs: Sequence[Program], names: Sequence[str]) -> list[str]:
    ordered = [[program.name for program in wave if program.name in names] for wave in waves_to_stop(programs)]
    known = {program.name for program in programs}
    ordered.append([name for name in names if name not in known])
    stopped: list[str] = []
    for group in filter(None, ordered):
        with ThreadPoolExecutor(len(group)) as pool:
            results = pool.map(lambda name: _stop_one(settings, name), group)
            stopped += [name for name, was_there in zip(group, results, strict=True) if was_there]
    return stopped


def _stop_one(settings: Settings, name: str) -> bool:
    with processes.exclusive(settings, name):
        return processes.stop_family(settings, name)
