"""Programs: Dagster and the simulator as processes that `lakehouse up` keeps running.

Belongs here: their commands, and when they are ready. In which order they are started and stopped is the supervisor's;
Kafka and Spark start as their own modules say.

Dagster's webserver and daemon share one code server, so the definitions are loaded once.
"""

import http.client
import json
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runtime import processes
from runtime.errors import PlatformError
from runtime.ports import free_port, is_port_open
from runtime.processes import ProcessRecord
from runtime.settings import Settings, inherited_environment

CODE_SERVER, WEBSERVER, DAEMON, SIMULATOR = "code-server", "webserver", "daemon", "simulator"
RUN_SERVER = "run-server"
DEFAULT_UI_PORT = 3000

_PROJECT = Path(__file__).resolve().parent.parent
_DEFINITIONS = "dagster_project.definitions"
_YEAR_H = 8760
# the server that has the definitions ends when its proxy is silent for so long, 30 s by default, and nobody starts it
# again: a machine that sleeps or is very busy must not end it
_YEAR_S = str(_YEAR_H * 3600)
_QUERY = """{
  workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
    __typename ... on PythonError { className message } } } } }
  instance { daemonHealth { allDaemonStatuses { required healthy } } }
}"""


def start_code_server(settings: Settings) -> ProcessRecord:
    """The code server that runs, or a new one; what was told the address of the one before is stopped."""

    def start() -> ProcessRecord:
        from dagster_project.runs.instance import open_instance

        # makes the databases of a new home: of programs that start together and each make them, one fails
        open_instance(settings).dispose()
        for name in (DAEMON, WEBSERVER):
            processes.stop(settings, name)
        port = free_port()
        arguments = ["-m", "dagster", "code-server", "start", "-m", _DEFINITIONS, "-d", str(_PROJECT)]
        arguments += ["--host", "127.0.0.1", "--port", str(port), "--location-name", _DEFINITIONS]
        arguments += ["--use-python-environment-entry-point", "--heartbeat-ttl", _YEAR_S]
        server = {"host": "127.0.0.1", "port": port, "location_name": _DEFINITIONS}
        _workspace(settings).write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        return _spawn(settings, CODE_SERVER, arguments, f"127.0.0.1:{port}")

    return processes.start_kept(settings, CODE_SERVER, start)[0]


def start_webserver(settings: Settings, wished_port: int | None) -> ProcessRecord:
    """The webserver that runs, or a new one. Raises PlatformError when the port that it is to have is taken."""

    def start() -> ProcessRecord:
        port = choose_ui_port(settings, wished_port)
        arguments = ["-m", "dagster_webserver", "--host", "127.0.0.1", "--port", str(port)]
        arguments += ["-w", str(_workspace(settings))]
        return _spawn(settings, WEBSERVER, arguments, f"http://127.0.0.1:{port}")

    return processes.start_kept(settings, WEBSERVER, start)[0]


def start_daemon(settings: Settings) -> ProcessRecord:
    """The daemon that runs, or a new one: it evaluates schedules and sensors and starts runs."""
    return _kept(settings, DAEMON, ["-m", "dagster._daemon", "run", "-w", str(_workspace(settings))])


def start_run_server(settings: Settings) -> ProcessRecord:
    """The run server that runs, or a new one: every run of the daemon begins as its fork."""

    def start() -> ProcessRecord:
        port = free_port()
        return _spawn(settings, RUN_SERVER, ["-m", "dagster_project.runs.fork_server", str(port)], f"127.0.0.1:{port}")

    return processes.start_kept(settings, RUN_SERVER, start)[0]


def start_simulator(settings: Settings, devices: int) -> None:
    """A fleet that sends in real time from now on, unless one does."""
    start = datetime.now(UTC).replace(microsecond=0)
    arguments = ["-c", "from lakehouse.cli import main; main()", "simulate", "--speed", "1"]
    arguments += ["--devices", str(devices), "--hours", str(_YEAR_H), "--start", start.isoformat()]
    _kept(settings, SIMULATOR, arguments)


def choose_ui_port(settings: Settings, wished: int | None) -> int:
    """A port for the UI. Raises PlatformError when one was asked for and is taken."""
    port = wished or settings.ui_port
    if port is None:
        return DEFAULT_UI_PORT if _can_bind(DEFAULT_UI_PORT) else free_port()
    if not _can_bind(port):
        raise PlatformError(
            f"Port {port} is taken by another program: give another one with --port or LAKEHOUSE_UI_PORT, or none."
        )
    return port


def accepts(address: str) -> bool:
    """True when `host:port` takes connections."""
    host, port = address.rsplit(":", 1)
    return is_port_open(host, int(port))


@dataclass(frozen=True)
class DagsterState:
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


def _workspace(settings: Settings) -> Path:
    """Where webserver and daemon read the code server's address; JSON is YAML."""
    return settings.dagster_home / "workspace.yaml"


def _kept(settings: Settings, name: str, arguments: Sequence[str], address: str = "") -> ProcessRecord:
    return processes.start_kept(settings, name, lambda: _spawn(settings, name, arguments, address))[0]


def _spawn(settings: Settings, name: str, arguments: Sequence[str], address: str) -> ProcessRecord:
    path = [str(_PROJECT), *filter(None, [inherited_environment({}).get("PYTHONPATH")])]
    environment = {**settings.child_environment(), "PYTHONPATH": os.pathsep.join(path)}
    return processes.spawn(settings, name, [sys.executable, *arguments], address, environment)


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        # as the webserver does: a port that was closed a moment ago is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
