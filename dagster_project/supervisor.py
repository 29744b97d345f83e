"""The supervisor: the programs of `lakehouse up`, started together, watched, and stopped together.

Belongs here: which programs these are, their order, when each is ready, and leaving none behind. How Kafka and Spark
are started is theirs; what is printed is the command's.

Dagster's webserver and daemon share one code server, so the definitions are loaded once. Programs outlive a supervisor
that is killed: their records say so, and `stop_all` finds them and whatever they have started.
"""

import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import psutil

from ingestion import broker
from ingestion.topics import ensure_topics
from lake import processes, spark
from lake.errors import PlatformError
from lake.processes import ProcessRecord
from lake.settings import Settings, inherited_environment

SUPERVISOR = "up"
CODE_SERVER, WEBSERVER, DAEMON, SIMULATOR = "code-server", "webserver", "daemon", "simulator"
DEFAULT_UI_PORT = 3000

_PROJECT = Path(__file__).resolve().parent.parent
_DEFINITIONS = "dagster_project.definitions"
# who uses another stands before it
_STOP_ORDER = ((SIMULATOR, DAEMON, WEBSERVER), (CODE_SERVER,), (spark.NAME, broker.NAME))
_READY_S = 180.0
_SUPERVISOR_STOP_S = 120.0
_WATCH_S = 1.0
_YEAR_H = 8760
_QUERY = """{
  workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
    __typename ... on PythonError { className message } } } } }
  instance { daemonHealth { allDaemonStatuses { required healthy } } }
}"""

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
    before = {record.name for record in processes.running_processes(settings)}
    if WEBSERVER not in before:
        _ui_port(settings, wish.ui_port)  # what is wrong with it is said before anything is started
    is_done = False
    try:
        _start(settings, wish, tell)
        is_done = True
    finally:
        started = [r.name for r in processes.running_processes(settings) if r.name not in before | {SUPERVISOR}]
        # while another `up` starts the same programs they are not ours to stop
        if not is_done and not _is_supervised_by_another(settings):
            with _undisturbed():
                _stop(settings, started)
    return started


def watch(settings: Settings, tell: Tell) -> bool:
    """Wait for a signal, or until nothing is left to watch; tells of a program that ends by itself.

    Returns False when one did, and nobody started it again.
    """
    names = {record.name for record in processes.running_processes(settings)} - {SUPERVISOR}
    ended: set[str] = set()
    with _asked_to_stop() as stop:
        while names - ended and not stop.wait(_WATCH_S):
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
    with _undisturbed():
        stopped = _stop(settings, names)
    if processes.find(settings, SUPERVISOR) is None:
        processes.record_path(settings, SUPERVISOR).unlink(missing_ok=True)
    return stopped


def stop_supervisor(settings: Settings) -> bool:
    """Ask the `up` in the foreground to stop all, and wait until it has; False when there is none."""
    return processes.stop(settings, SUPERVISOR, _SUPERVISOR_STOP_S)


def _is_supervised_by_another(settings: Settings) -> bool:
    record = processes.find(settings, SUPERVISOR)
    return record is not None and record.pid != os.getpid()


def _start(settings: Settings, wish: Wish, tell: Tell) -> None:
    def announce(what: str, *names: str) -> None:
        if any(processes.find(settings, name) is None for name in names):
            tell(what)

    # it takes longest to load, and meanwhile the others start
    announce("Dagster's code", CODE_SERVER)
    code_server = _code_server(settings)
    if settings.kafka_bootstrap is None:
        announce("the Kafka broker", broker.NAME)
    embedded = broker.start_broker(settings)
    ensure_topics(settings.kafka_bootstrap or (embedded.address if embedded is not None else ""))
    if not settings.spark.startswith("sc://"):
        announce("Spark", spark.NAME)
    spark.start_spark(settings)
    announce("Dagster's webserver and daemon", WEBSERVER, DAEMON)
    webserver = _webserver(settings, wish.ui_port)
    daemon = _kept(settings, DAEMON, ["-m", "dagster._daemon", "run", "-w", str(_workspace(settings))])
    state = _DagsterState(webserver.address)
    processes.wait_until_ready(settings, code_server, lambda: _accepts(code_server.address), _READY_S)
    processes.wait_until_ready(settings, webserver, state.is_loaded, _READY_S)
    processes.wait_until_ready(settings, daemon, state.is_healthy, _READY_S)
    if wish.simulated_devices:
        announce("the simulator", SIMULATOR)
        _simulator(settings, wish.simulated_devices)


def _code_server(settings: Settings) -> ProcessRecord:
    def start() -> ProcessRecord:
        from dagster_project.instance import prepare_instance

        prepare_instance(settings)
        # these were told the address of the one before
        for name in (DAEMON, WEBSERVER):
            processes.stop(settings, name)
        port = processes.free_port()
        arguments = ["-m", "dagster", "code-server", "start", "-m", _DEFINITIONS, "-d", str(_PROJECT)]
        arguments += ["--host", "127.0.0.1", "--port", str(port), "--location-name", _DEFINITIONS]
        arguments += ["--use-python-environment-entry-point"]
        server = {"host": "127.0.0.1", "port": port, "location_name": _DEFINITIONS}
        _workspace(settings).write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        return _spawn(settings, CODE_SERVER, arguments, f"127.0.0.1:{port}")

    return processes.start_kept(settings, CODE_SERVER, start)[0]


def _workspace(settings: Settings) -> Path:
    """Where webserver and daemon read the code server's address; JSON is YAML."""
    return settings.dagster_home / "workspace.yaml"


def _webserver(settings: Settings, wished_port: int | None) -> ProcessRecord:
    def start() -> ProcessRecord:
        port = _ui_port(settings, wished_port)
        arguments = ["-m", "dagster_webserver", "--host", "127.0.0.1", "--port", str(port)]
        arguments += ["-w", str(_workspace(settings))]
        return _spawn(settings, WEBSERVER, arguments, f"http://127.0.0.1:{port}")

    return processes.start_kept(settings, WEBSERVER, start)[0]


def _simulator(settings: Settings, devices: int) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    arguments = ["-c", "from dagster_project.cli import main; main()", "simulate", "--speed", "1"]
    arguments += ["--devices", str(devices), "--hours", str(_YEAR_H), "--start", start.isoformat()]
    _kept(settings, SIMULATOR, arguments)


def _kept(settings: Settings, name: str, arguments: Sequence[str], address: str = "") -> ProcessRecord:
    return processes.start_kept(settings, name, lambda: _spawn(settings, name, arguments, address))[0]


def _spawn(settings: Settings, name: str, arguments: Sequence[str], address: str) -> ProcessRecord:
    path = [str(_PROJECT), *filter(None, [inherited_environment({}).get("PYTHONPATH")])]
    environment = {**settings.child_environment(), "PYTHONPATH": os.pathsep.join(path)}
    return processes.spawn(settings, name, [sys.executable, *arguments], address, environment)


def _ui_port(settings: Settings, wished: int | None) -> int:
    """A port for the UI. Raises PlatformError when one was asked for and is taken."""
    port = wished or settings.ui_port
    if port is None:
        return DEFAULT_UI_PORT if _can_bind(DEFAULT_UI_PORT) else processes.free_port()
    if not _can_bind(port):
        raise PlatformError(
            f"Port {port} is taken by another program: give another one with --port or LAKEHOUSE_UI_PORT, or none."
        )
    return port


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        # as the webserver does: a port that was closed a moment ago is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _accepts(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    return processes.is_port_open(host, int(port))


@dataclass(frozen=True)
class _DagsterState:
    """What the webserver at `address` says of the code that it shows and of the daemon."""

    address: str

    def is_loaded(self) -> bool:
        """True when the definitions are loaded. Raises PlatformError when they cannot be."""
        answer = self._ask()
        entries = (answer.get("workspaceOrError") or {}).get("locationEntries") or []
        found = [entry["locationOrLoadError"] for entry in entries if entry["locationOrLoadError"]]
        for each in found:
            # until the code server has loaded the definitions it cannot be reached
            if each["__typename"] == "PythonError" and each["className"] != "DagsterUserCodeUnreachableError":
                text = " ".join(each["message"].split())[:300]
                raise PlatformError(
                    f"Dagster cannot load the definitions: {text} Mend that and run `lakehouse up` again."
                )
        return bool(found) and all(each["__typename"] != "PythonError" for each in found)

    def is_healthy(self) -> bool:
        """True when every part of the daemon that is needed has reported."""
        statuses = self._ask().get("instance", {}).get("daemonHealth", {}).get("allDaemonStatuses", [])
        return bool(statuses) and all(status["healthy"] for status in statuses if status["required"])

    def _ask(self) -> dict[str, Any]:
        """The answer to our question; empty while there is none."""
        host = self.address.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=10)
        try:
            body = json.dumps({"query": _QUERY})
            connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            connection.close()
        return answer.get("data") or {}


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
        session = _session_of(settings, name)
        was_running = processes.stop(settings, name)
        # what a program that crashed had started goes on without it
        orphans = [] if session is None else _members(session)
        for orphan in orphans:
            orphan.kill()
        psutil.wait_procs(orphans, timeout=5)
    return was_running or bool(orphans)


def _session_of(settings: Settings, name: str) -> int | None:
    """The session that a recorded program leads or led; None when its number belongs to another program by now."""
    try:
        record = ProcessRecord(**json.loads(processes.record_path(settings, name).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record.pid if processes.is_alive(record) or not psutil.pid_exists(record.pid) else None


def _members(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return found


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _asked_to_stop() -> Iterator[Event]:
    """An event that Ctrl-C, a termination or the end of the terminal sets inside the block."""
    stop = Event()
    ignored = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_IGN]  # nohup
    with _handled(lambda *_: stop.set(), ignored):
        yield stop


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no signal end the block half way; stopping takes a bounded time."""
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def _handled(handler: Any, except_for: Sequence[int] = ()) -> Iterator[None]:
    former = {number: signal.signal(number, handler) for number in _SIGNALS if number not in except_for}
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)
