"""`lakehouse up` and `down` on real programs: all of it answers, and none of it is left behind, whatever is killed."""

import http.client
import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.support.awaiting import awaited
from tests.support.running_lakehouse import Lakehouse, ended_lakehouse

_START_S = 300
_END_S = 120


@pytest.fixture
def lakehouse(tmp_path: Path) -> Iterator[Lakehouse]:
    """A lakehouse that is stopped however the test ends."""
    with ended_lakehouse(tmp_path / "home") as lakehouse:
        yield lakehouse


def kill(process: psutil.Process) -> None:
    process.kill()
    # to those who are not its parent a killed program may be a zombie for a while
    awaited(
        lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, lambda: process, limit_s=_END_S
    )


def status_of(url: str, method: str = "GET", body: str | None = None, **headers: str) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=120)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"{parts.path or '/'}?{parts.query}", body, names)
    return connection.getresponse().status


def visit(url: str) -> str:
    """Open the address that is printed, as a browser does; returns the cookie that it sets."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=120)
    connection.request("GET", f"/?{parts.query}")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["location"]) == (303, "/")
    return answer.headers["set-cookie"].split(";")[0]


def hears(url: str, **headers: str) -> bool:
    """True when the UI's websocket, by which it is told of what changes, opens."""
    try:
        with connect(f"ws://{urlsplit(url).netloc}/graphql", subprotocols=[Subprotocol("graphql-ws")],
                     additional_headers=headers) as socket:  # fmt: skip
            socket.send('{"type": "connection_init", "payload": {}}')
            return "connection_ack" in str(socket.recv(timeout=120))
    except InvalidStatus:
        return False


def test_up_runs_all_of_it_until_ctrl_c(lakehouse: Lakehouse) -> None:
    """The addresses that it prints answer, a second one says so, `status` knows it; Ctrl-C leaves nothing behind."""
    # each device sends once a minute: of 60 something comes within seconds
    process = lakehouse.up("--simulate", "--devices", "60")
    [url] = re.findall(r"http://\S+", lakehouse.said())
    page, cookie = url.partition("?")[0], visit(url)
    question = {"cookie": cookie, "content_type": "application/json"}
    mutation = f"{page}graphql?query=mutation{{logTelemetry(action:%22x%22){{__typename}}}}"
    assert status_of(page, cookie=cookie) == 200
    assert status_of(f"{page}graphql", "POST", '{"query": "{version}"}', **question) == 200
    assert hears(url, cookie=cookie)
    assert hears(url, cookie=cookie, origin=page.rstrip("/"))
    # another user's program, a page of another site, a name that was made to lead here
    assert status_of(page) == 401
    assert status_of(mutation, cookie=cookie) == 403
    assert (
        status_of(f"{page}graphql", "POST", '{"query": "{version}"}', **question, origin="http://evil.example") == 403
    )
    assert status_of(page, cookie=cookie, host="evil.example") == 403
    assert not hears(url)
    assert not hears(url, cookie=cookie, origin="http://evil.example")

    again = lakehouse.run("up", "--simulate")
    assert again.returncode == 0
    assert again.stdout.startswith("It is running already.")
    assert url in again.stdout

    def sent() -> int:
        status = json.loads(lakehouse.run("status", "--json").stdout)
        names = {record["name"] for record in status["running"]}
        assert names == {"broker", "code-server", "daemon", "run-server", "simulator", "spark", "up", "webserver"}
        return sum(each["high"] for each in status["partitions"] if each["topic"] == "telemetry")

    awaited(lambda: sent() >= 3, lambda: "the simulator has sent nothing", limit_s=_START_S)

    process.send_signal(signal.SIGINT)
    assert process.wait(_END_S) == 0
    assert lakehouse.said().endswith("Stopping …\nStopped.\n")
    assert lakehouse.processes() == []
    assert lakehouse.run("down").stdout.startswith("Nothing runs")


def test_detached_and_taken_over(lakehouse: Lakehouse) -> None:
    """`--detach` leaves all of it running. An `up` that starts what is missing watches it: it names a program that ends
    with its log, and `down` in another terminal ends it too."""
    assert lakehouse.run("up", "--detach").returncode == 0
    kill(lakehouse.record("daemon"))
    process = lakehouse.up()
    assert lakehouse.said().startswith("Starting Dagster's daemon …\nAll of it answers")
    kill(lakehouse.record("daemon"))
    awaited(lambda: "The daemon has ended" in lakehouse.said(), lakehouse.said, limit_s=_END_S)
    assert str(lakehouse.home / "logs" / "daemon.log") in lakehouse.said()
    assert lakehouse.run("down").stdout == "Stopped.\n"
    assert process.wait(_END_S) == 1
    assert lakehouse.processes() == []


def test_down_stops_what_a_killed_up_has_left(lakehouse: Lakehouse) -> None:
    """When `up` and a program with children of its own are killed, `down` finds those children too."""
    process = lakehouse.starting("up", until="Starting Spark")
    code_server = lakehouse.record("code-server")
    awaited(lambda: bool(code_server.children()), lakehouse.processes, limit_s=_END_S)
    children = code_server.children(recursive=True)
    process.kill()
    process.wait()
    kill(code_server)
    assert any(child.is_running() for child in children)
    result = lakehouse.run("down")
    # the children may notice by themselves that their parent is gone, so what `down` names of them is chance
    assert result.returncode == 0
    assert lakehouse.processes() == []


def test_ctrl_c_while_it_starts_leaves_nothing(lakehouse: Lakehouse) -> None:
    """What was started before is stopped again when the start does not come to its end."""
    process = lakehouse.starting("up", until="Starting Spark")
    process.send_signal(signal.SIGINT)
    assert process.wait(_END_S) == 130
    assert lakehouse.said().endswith("Interrupted.\n")
    assert lakehouse.processes() == []


def test_a_taken_port_is_one_sentence(lakehouse: Lakehouse) -> None:
    """A port that was asked for and is taken is said before anything is started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = lakehouse.run("up", "--port", str(port))
    assert result.returncode == 1
    assert result.stderr == (
        f"Error: Port {port} is taken by another program: give another one with --port or LAKEHOUSE_UI_PORT, or none.\n"
    )
    assert lakehouse.processes() == []
