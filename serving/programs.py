"""Programs: the API and sharing as a process that `lakehouse up --serve` keeps running.

Belongs here: that it is one, its port and its addresses. What it answers is in `serving_app`.
"""

import http.client

from runtime.errors import PlatformError
from runtime.ports import free_port, is_port_open
from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Option, Program, spawn_python
from runtime.settings import Settings

SERVING = "serving"
DEFAULT_PORT = 8080


def _port(settings: Settings) -> int:
    """The port that was asked for, or the usual one, or a free one. Raises PlatformError when it is taken."""
    wished = settings.api_port
    if wished is None:
        return free_port() if is_port_open("127.0.0.1", DEFAULT_PORT) else DEFAULT_PORT
    if is_port_open("127.0.0.1", wished):
        raise PlatformError(f"Port {wished} is taken by another program: set LAKEHOUSE_API_PORT to another one.")
    return wished


def _start(settings: Settings, chosen: Chosen) -> ProcessRecord:
    port = _port(settings)
    return spawn_python(settings, SERVING, ["-m", "serving", str(port)], f"http://127.0.0.1:{port}")


def _is_ready(settings: Settings, record: ProcessRecord) -> bool:
    connection = http.client.HTTPConnection(record.address.removeprefix("http://"), timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


PROGRAMS = (
    Program(
        SERVING,
        "API and sharing",
        _start,
        _is_ready,
        options=(Option("serve", "Also serve published gold: the API and Delta Sharing."),),
        chosen_by="serve",
        addresses=lambda settings, address: {"api": address, "sharing": f"{address}/sharing"},
    ),
)
