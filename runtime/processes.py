"""Processes: starting, finding and stopping the programs that run beside a command.

Belongs here: locks, logs, and what is done with the records of `process_records`. Which program runs with which
configuration belongs to its room.

A program that a command started for itself is stopped by the last command that uses it: each user holds a shared lock
on `run/<name>.users`, which the system drops however the user ends. One that `up` started is kept until `down`.
"""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from runtime.errors import PlatformError
from runtime.private_files import ensure_home
from runtime.process_family import ask_each, family, kill_all
from runtime.process_ids import ProcessId, has_ended
from runtime.process_records import ProcessRecord as ProcessRecord
from runtime.process_records import record_path as record_path
from runtime.process_records import recorded as recorded
from runtime.process_records import write as write
from runtime.settings import Settings, inherited_environment
from runtime.signals import interruptible_children, sigterm_as_exit

_STOP_S = 30.0
_KILL_S = 5.0
_NEEDED_DISK_MB = 200


# a child that ends stays a zombie until its parent asks for its exit status
_children: dict[int, subprocess.Popen[bytes]] = {}


def log_path(settings: Settings, name: str) -> Path:
    """Where a program's output goes; the output of the run before lies beside it as `.1`."""
    return settings.log_folder / f"{name}.log"


def find(settings: Settings, name: str) -> ProcessRecord | None:
    """The record of a program that is alive; None when there is none."""
    record = recorded(settings, name)
    return record if record is not None and is_alive(record) else None


def running_processes(settings: Settings) -> list[ProcessRecord]:
    """Every program that is alive for this home, by name."""
    names = sorted(path.stem for path in settings.run_folder.glob("*.json"))
    return [record for name in names if (record := find(settings, name)) is not None]


def is_alive(record: ProcessRecord) -> bool:
    """True when the recorded process, not another one with its pid, still runs."""
    child = _children.get(record.pid)
    if child is not None and child.poll() is not None:
        return False
    return record.process.is_alive()


def spawn(
    settings: Settings,
    name: str,
    command: Sequence[str],
    address: str = "",
    environment: Mapping[str, str] | None = None,
    is_kept: bool = False,
) -> ProcessRecord:
    """Start a program in a session of its own (Ctrl-C does not reach it), output to its log, and record it.

    Raises PlatformError when it cannot be started at all.
    """
    ensure_home(settings)
    for folder in (settings.run_folder, settings.log_folder, settings.work_folder):
        folder.mkdir(parents=True, exist_ok=True)
    free_mb = shutil.disk_usage(settings.home).free // 2**20
    if free_mb < _NEEDED_DISK_MB:
        raise PlatformError(
            f"The {name} is not started with {free_mb} MB free on the disk of {settings.home}: free some."
        )
    log = log_path(settings, name)
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))
    with log.open("wb") as output, interruptible_children():
        try:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=inherited_environment(environment or {}),
                cwd=settings.work_folder,
                start_new_session=True,
            )
        except OSError as error:
            raise PlatformError(
                f"The {name} cannot be started: {error}. `lakehouse doctor` says what is missing."
            ) from error
    _children[child.pid] = child
    record = ProcessRecord(name, ProcessId.of(child.pid), address, is_kept)
    return write(settings, record)


def wait_until_ready(settings: Settings, record: ProcessRecord, is_ready: Callable[[], bool], timeout_s: float) -> None:
    """Ask `is_ready` until it says so. Raises PlatformError when the program ends or `timeout_s` pass before that."""
    deadline = time.monotonic() + timeout_s
    while not is_ready():
        log = log_path(settings, record.name)
        if not is_alive(record):
            raise PlatformError(f"The {record.name} ended while starting: {last_error(log)} The whole log is {log}.")
        if time.monotonic() > deadline:
            raise PlatformError(f"The {record.name} did not answer within {timeout_s:.0f} s: its log is {log}.")
        time.sleep(0.1)


def last_error(log: Path) -> str:
    """The line of a log that most likely says why a program ended, shortened."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    marked = [line for line in lines if "Exception:" in line or "Error:" in line or "ERROR" in line or "FATAL" in line]
    text = (marked or lines or ["it wrote nothing."])[-1]
    return text if len(text) <= 300 else text[:297] + "..."


def stop(settings: Settings, name: str, timeout_s: float = _STOP_S) -> bool:
    """Stop a program and what it started: SIGTERM, then SIGKILL after `timeout_s`. False when it did not run."""
    record = find(settings, name)
    if record is not None:
        _end(record, timeout_s)
    record_path(settings, name).unlink(missing_ok=True)
    return record is not None


def stop_family(settings: Settings, name: str) -> bool:
    """Stop a program and all that it has started, also when it has crashed and they go on without it.

    False when there was nothing to stop.
    """
    session = _session_of(settings, name)
    was_running = stop(settings, name)
    orphans = [] if session is None else _members(session)
    for orphan in orphans:
        orphan.kill()
    _await_end(orphans, _KILL_S)
    return was_running or bool(orphans)


def keep(settings: Settings, record: ProcessRecord) -> ProcessRecord:
    """Mark a running program as kept: the command that started it leaves it to `down`."""
    return write(settings, replace(record, is_kept=True))


@contextmanager
def exclusive(settings: Settings, name: str) -> Iterator[None]:
    """Hold the right to start or stop a program of this home; waits for another command that holds it."""
    ensure_home(settings)
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    with (settings.run_folder / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start_kept(settings: Settings, name: str, start: Callable[[], ProcessRecord]) -> ProcessRecord:
    """For `up`: the running program, or a new one, kept until `down`."""
    with exclusive(settings, name):
        record = find(settings, name)
        if record is None:
            stop_family(settings, name)
        return keep(settings, record if record is not None else start())


@contextmanager
def running(settings: Settings, name: str, start: Callable[[], ProcessRecord]) -> Iterator[ProcessRecord]:
    """The running program, or a new one that ends with its last user. `start` stops what it began when it fails."""
    with sigterm_as_exit():
        ensure_home(settings)
        settings.run_folder.mkdir(parents=True, exist_ok=True)
        with (settings.run_folder / f"{name}.users").open("w") as users:
            with exclusive(settings, name):
                record = find(settings, name) or start()
                fcntl.flock(users, fcntl.LOCK_SH)
            try:
                yield record
            finally:
                with exclusive(settings, name):
                    _stop_if_last(settings, name, users.fileno())


def _stop_if_last(settings: Settings, name: str, users: int) -> None:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    record = find(settings, name)
    if record is not None and not record.is_kept:
        stop(settings, name)


@contextmanager
def stopped_on_failure(settings: Settings, name: str) -> Iterator[None]:
    """Stop a program when the block, which waits for it, does not end well (Ctrl-C included)."""
    is_ready = False
    try:
        yield
        is_ready = True
    finally:
        if not is_ready:
            stop(settings, name)


def _session_of(settings: Settings, name: str) -> int | None:
    """The session that a recorded program leads or led; None when its number belongs to another program by now.

    A program that was killed may be a zombie for as long as its new parent does not ask for it; its number is its own.
    """
    record = recorded(settings, name)
    if record is None or not record.process.is_here:
        return None
    is_its_own = record.process.find() is not None or not psutil.pid_exists(record.pid)
    return record.pid if is_its_own else None


def _members(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and not has_ended(process):
                found.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return found


def _end(record: ProcessRecord, timeout_s: float) -> None:
    members = family(record.pid)
    if not ask_each(members[:1], psutil.Process.terminate):
        return
    child = _children.pop(record.pid, None)
    _await_end(members[:1], timeout_s)
    kill_all(reversed(members))
    _await_end(members, _KILL_S)
    if child is not None:
        child.poll()


def _await_end(members: Sequence[psutil.Process], timeout_s: float) -> None:
    """As psutil.wait_procs, which waits for a zombie that is not its caller's child until the time is up."""
    deadline = time.monotonic() + timeout_s
    while not all(has_ended(member) for member in members) and time.monotonic() < deadline:
        time.sleep(0.05)
