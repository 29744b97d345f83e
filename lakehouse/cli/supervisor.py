"""The supervisor: the programs of `lakehouse up`, started together, watched, and stopped together.

Belongs here: which programs these are, their order, and leaving none behind. How each is started is in `programs`,
`runtime.spark.connect_server` and `runtime.kafka.broker`; what is printed is the command's.

Programs outlive a supervisor that is killed: their records say so, and `stop_all` finds them and whatever they have
started.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from dagster_project import programs
from dagster_project.programs import CODE_SERVER, DAEMON, RUN_SERVER, SIMULATOR, WEBSERVER
from ingestion.landing_topics import ensure_topics
from runtime import processes
from runtime.kafka import broker
from runtime.processes import ProcessRecord
from runtime.settings import Settings
from runtime.signals import asked_to_stop, undisturbed
from runtime.spark import connect_server

SUPERVISOR = "up"

# who uses another stands before it
_STOP_ORDER = ((SIMULATOR, DAEMON, WEBSERVER), (CODE_SERVER, RUN_SERVER), (connect_server.NAME, broker.NAME))
_READY_S = 180.0
_SUPERVISOR_STOP_S = 120.0
_WATCH_S = 1.0

Tell = Callable[[str], None]
"""Told what is being done, in words."""


@dataclass(frozen=True)
class Wish:
    """What is to run besides the usual; `ui_port` None takes the usual port or, if that is taken, a free one."""

    ui_port: int | None = None
    simulated_devices: int = 0


def start_all(settings: Settings, wish: Wish, tell: Tell) -> list[str]:
    """Start what does not run yet and wait until all of it answers; returns the names of what was started.

    When it fails, or is interrupted, what it has started is stopped again. Raises PlatformError.
    """
    before = _running_names(settings)
    if WEBSERVER not in before:
        programs.choose_ui_port(settings, wish.ui_port)  # what is wrong with it is said before anything is started
    is_done = False
    try:
        _start(settings, wish, tell)
        is_done = True
    finally:
        started = sorted(_running_names(settings) - before)
        # while another `up` starts the same programs they are not ours to stop
        if not is_done and not _is_supervised_by_another(settings):
            with undisturbed():
                _stop(settings, started)
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
            process = psutil.Process()
            processes.keep(settings, ProcessRecord(SUPERVISOR, process.pid, process.create_time(), ""))
    try:
        yield is_ours
    finally:
        if is_ours:
            processes.record_path(settings, SUPERVISOR).unlink(missing_ok=True)


def stop_all(settings: Settings) -> list[str]:
    """Stop every program of this home and what those have started, also after a crash; returns their names."""
    names = sorted(path.stem for path in settings.run_folder.glob("*.json") if path.stem != SUPERVISOR)
    with undisturbed():
        stopped = _stop(settings, names)
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


def _start(settings: Settings, wish: Wish, tell: Tell) -> None:
    def announce(what: str, *names: str) -> None:
        if any(processes.find(settings, name) is None for name in names):
            tell(what)

    # it takes longest to load, and meanwhile the others start
    announce("Dagster's code", CODE_SERVER)
    code_server = programs.start_code_server(settings)
    if settings.kafka_bootstrap is None:
        announce("the Kafka broker", broker.NAME)
    embedded = broker.start_broker(settings)
    ensure_topics(settings.kafka_bootstrap or (embedded.address if embedded is not None else ""))
    if not settings.spark.startswith("sc://"):
        announce("Spark", connect_server.NAME)
    connect_server.start_spark(settings)
    announce("the process that runs are forked from", RUN_SERVER)
    run_server = programs.start_run_server(settings)
    announce("Dagster's webserver and daemon", WEBSERVER, DAEMON)
    webserver = programs.start_webserver(settings, wish.ui_port)
    daemon = programs.start_daemon(settings)
    state = programs.DagsterState(webserver.address)
    processes.wait_until_ready(settings, code_server, lambda: programs.accepts(code_server.address), _READY_S)
    processes.wait_until_ready(settings, run_server, lambda: programs.accepts(run_server.address), _READY_S)
    processes.wait_until_ready(settings, webserver, state.is_loaded, _READY_S)
    processes.wait_until_ready(settings, daemon, state.is_healthy, _READY_S)
    if wish.simulated_devices:
        announce("the simulator", SIMULATOR)
        programs.start_simulator(settings, wish.simulated_devices)


def _stop(settings: Settings, names: Sequence[str]) -> list[str]:
    ordered = [[name for name in group if name in names] for group in _STOP_ORDER]
    ordered.append([name for name in names if not any(name in group for group in _STOP_ORDER)])
    stopped: list[str] = []
    for group in filter(None, ordered):
        with ThreadPoolExecutor(len(group)) as pool:
            results = pool.map(lambda name: _stop_one(settings, name), group)
            stopped += [name for name, was_there in zip(group, results, strict=True) if was_there]
    return stopped


def _stop_one(settings: Settings, name: str) -> bool:
    with processes.exclusive(settings, name):
        return processes.stop_family(settings, name)
