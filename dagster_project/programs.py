"""Programs: Dagster's as processes that `lakehouse up` keeps running.

Belongs here: their commands, and when they are ready. Starting and stopping them in order is the supervisor's.

Dagster's webserver and daemon share one code server, so the definitions are loaded once.
"""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_project.ui_guard import KEY, PARAMETER
from lake.project_files import PROJECT_FOLDER
from runtime import processes
from runtime.errors import PlatformError
from runtime.ports import accepts, can_bind, free_port
from runtime.private_files import home_key, socket_path
from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Option, Program, spawn_python
from runtime.settings import Settings
from runtime.whole_files import write_whole

CODE_SERVER, WEBSERVER, DAEMON, RUN_SERVER = "code-server", "webserver", "daemon", "run-server"
DEFAULT_UI_PORT = 3000

_DEFINITIONS = "dagster_project.definitions"
# the server that has the definitions ends when its proxy is silent for so long, 30 s by default, and nobody starts it
# again: a machine that sleeps or is very busy must not end it
_YEAR_S = str(8760 * 3600)
_QUERY = """{
  workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
    __typename ... on PythonError { className message } } } } }
  instance { daemonHealth { allDaemonStatuses { required healthy } } }
}"""


def start_code_server(settings: Settings, chosen: Chosen) -> ProcessRecord:
    """A new code server; what was told the address of the one before is stopped."""
    from dagster_project.runs.instance import open_instance

    # makes the databases of a new home: of programs that start together and each make them, one fails
    open_instance(settings).dispose()
    for name in (DAEMON, WEBSERVER):
        processes.stop(settings, name)
    # what it is told it does, so nobody else may reach it
    place = str(socket_path(settings, CODE_SERVER))
    Path(place).unlink(missing_ok=True)
    arguments = ["-m", "dagster", "code-server", "start", "-m", _DEFINITIONS, "-d", str(PROJECT_FOLDER)]
    arguments += ["--socket", place, "--location-name", _DEFINITIONS]
    arguments += ["--use-python-environment-entry-point", "--heartbeat-ttl", _YEAR_S]
    server = {"host": "localhost", "socket": place, "location_name": _DEFINITIONS}
    write_whole(_workspace(settings), json.dumps({"load_from": [{"grpc_server": server}]}))
    return spawn_python(settings, CODE_SERVER, arguments, place)


def start_webserver(settings: Settings, chosen: Chosen) -> ProcessRecord:
    """A new webserver. Raises PlatformError when the port that it is to have is taken."""
    port = choose_ui_port(settings, chosen.get("port"))
    arguments = ["-m", "dagster_project.runs.webserver", str(port), str(_workspace(settings))]
    return spawn_python(settings, WEBSERVER, arguments, f"http://127.0.0.1:{port}")


def start_daemon(settings: Settings, chosen: Chosen) -> ProcessRecord:
    """A new daemon: it evaluates schedules and sensors and starts runs."""
    return spawn_python(settings, DAEMON, ["-m", "dagster_project.runs.daemon", "run", "-w", str(_workspace(settings))])


def start_run_server(settings: Settings, chosen: Chosen) -> ProcessRecord:
    """A new run server: every run of the daemon begins as its fork."""
    place = str(socket_path(settings, RUN_SERVER))
    Path(place).unlink(missing_ok=True)
    return spawn_python(settings, RUN_SERVER, ["-m", "dagster_project.runs.fork_server", place], place)


def address_with_key(settings: Settings, address: str) -> str:
    """The address to open in a browser, which then keeps the key."""
    return f"{address}/?{PARAMETER}={home_key(settings, KEY)}"


def choose_ui_port(settings: Settings, wished: int | None) -> int:
    """A port for the UI. Raises PlatformError when one was asked for and is taken."""
    port = wished or settings.ui_port
    if port is None:
        return DEFAULT_UI_PORT if can_bind(DEFAULT_UI_PORT) else free_port()
    if not can_bind(port):
        raise PlatformError(
            f"Port {port} is taken by another program: give another one with --port or LAKEHOUSE_UI_PORT, or none."
        )
    return port


@dataclass(frozen=True)
class DagsterState:
    """What the webserver at `address`, which asks for `key`, says of the code that it shows and of the daemon."""

    address: str
    key: str

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
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
            connection.request("POST", "/graphql", body, headers)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            connection.close()
        return answer.get("data") or {}


def _workspace(settings: Settings) -> Path:
    """Where webserver and daemon read the code server's address; JSON is YAML."""
    return settings.dagster_home / "workspace.yaml"


def _check_ui_port(settings: Settings, chosen: Chosen) -> None:
    choose_ui_port(settings, chosen.get("port"))


def _listens(settings: Settings, record: ProcessRecord) -> bool:
    return accepts(record.address)


def _is_loaded(settings: Settings, record: ProcessRecord) -> bool:
    return DagsterState(record.address, home_key(settings, KEY)).is_loaded()


def _is_healthy(settings: Settings, record: ProcessRecord) -> bool:
    webserver = processes.find(settings, WEBSERVER)
    return webserver is not None and DagsterState(webserver.address, home_key(settings, KEY)).is_healthy()


def _no_addresses(settings: Settings, address: str) -> dict[str, str]:
    """Nobody but Dagster itself calls there."""
    return {}


_PORT = Option("port", "Port of Dagster's UI. By default LAKEHOUSE_UI_PORT, 3000 or a free one.", int, None, 1, 65535)

PROGRAMS = (
    Program(
        WEBSERVER,
        "Dagster's UI",
        start_webserver,
        _is_loaded,
        uses=(CODE_SERVER,),
        options=(_PORT,),
        addresses=lambda settings, address: {"dagster": address_with_key(settings, address)},
        check=_check_ui_port,
    ),
    Program(DAEMON, "Dagster's daemon", start_daemon, _is_healthy, uses=(CODE_SERVER, RUN_SERVER, "broker", "spark")),
    Program(CODE_SERVER, "Dagster's code", start_code_server, _listens, addresses=_no_addresses),
    Program(
        RUN_SERVER, "Dagster's runs", start_run_server, _listens, uses=("broker", "spark"), addresses=_no_addresses
    ),
)
