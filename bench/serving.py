"""Serving under load: CPU a request of the server's process, latency, and what a client that listens takes.

Belongs here: requests over loopback from this process to the server in another one, whose CPU and memory are taken.
Seconds of `serving-cpu` are the server's CPU a request, since the asking has its share of the same cores; those of
`serving-latest` are what one caller waits, those of `serving-push` how long after a publication a client hears of it.
"""

import asyncio
import http.client
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import psutil
from websockets.asyncio.client import ClientConnection, connect

from bench.harness import DifferenceError, Result, Times
from bench.made import SteadyFleet
from bench.made_gold import publish_made
from lake.records import publications
from lake.records.publications import Publication
from runtime.ports import free_port, is_port_open
from runtime.settings import Settings, inherited_environment
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes

_ARROW = "application/vnd.apache.arrow.stream"
_START_S = 60
_DEVICES = 72
_ROUNDS = 5


@dataclass(frozen=True)
class Size:
    """How many requests a round, days of gold, and clients that listen."""

    requests: int
    days: int
    listeners: int


_FULL, _QUICK = Size(5_000, 7, 500), Size(500, 2, 50)


def run(folder: Path, is_quick: bool) -> list[Result]:
    """A week of 72 devices at 60 s; quick two days, a tenth of the requests and of the clients."""
    size = _QUICK if is_quick else _FULL
    settings = Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake"))
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=size.days + 1)
    publication = publish_made(settings, SteadyFleet(start, _DEVICES, 60), size.days)
    keys = ApiKeys(settings)
    _, key = keys.create(secrets.token_hex(4), parse_scopes(["read"]), datetime.now(UTC), requests_a_second=1e6)
    with _served(settings) as (process, port):
        asker = _Asker(port, key, process)
        return [*_requests(asker, size, start), _push(settings, publication, asker, size.listeners)]


class _Asker:
    """One connection that stays open, and the server's process."""

    def __init__(self, port: int, key: str, process: psutil.Process) -> None:
        self.port, self.key, self.process = port, key, process
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, path: str, wanted: int = 200, **headers: str) -> str:
        """Ask, and have the ETag. Raises DifferenceError for another status than the one that is wanted."""
        given = {"Authorization": f"Bearer {self.key}"} | {name.replace("_", "-"): v for name, v in headers.items()}
        self._connection.request("GET", path, headers=given)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != wanted:
            raise DifferenceError(f"{path} is answered {answer.status}, not {wanted}")
        return answer.headers.get("ETag", "")

    def cpu_s(self) -> float:
        """What the server has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def _requests(asker: _Asker, size: Size, start: datetime) -> Iterator[Result]:
    latest = "/v1/latest?device_id=d-00042"
    etag = asker.ask(latest)
    days = [
        "/v1/series?" + urlencode({"device_id": f"d-{device:05d}", "metric_name": "temperature", "every": "1m",
                                   "start": f"{at.isoformat()}", "end": f"{(at + timedelta(days=1)).isoformat()}"})
        for at in (start + timedelta(days=day) for day in range(size.days)) for device in range(_DEVICES)
    ]  # fmt: skip
    waits: list[float] = []
    sides: dict[str, list[float]] = {"304": [], "latest, kept": [], "a device's day, Arrow": []}
    share = len(days) // _ROUNDS
    for number in range(_ROUNDS):
        began = asker.cpu_s()
        for _ in range(size.requests):
            asker.ask(latest, 304, If_None_Match=etag)
        sides["304"].append((asker.cpu_s() - began) / size.requests)
        began = asker.cpu_s()
        for _ in range(size.requests):
            at = time.perf_counter()
            asker.ask(latest)
            waits.append(time.perf_counter() - at)
        sides["latest, kept"].append((asker.cpu_s() - began) / size.requests)
        began = asker.cpu_s()
        for path in days[number * share : (number + 1) * share]:  # each once: none of them is kept
            asker.ask(path, Accept=_ARROW)
        sides["a device's day, Arrow"].append((asker.cpu_s() - began) / share)
    times = tuple(Times(name, tuple(seconds)) for name, seconds in sides.items())
    goal = "CPU: 304 143 us, latest 250 us, a day 5 ms"
    yield Result("serving-cpu", "the server's CPU a request", 1, "requests", times, goal, is_alone=True)
    yield Result("serving-latest", "the newest values of a device, one caller", 1, "requests",
                 (Times("latest, kept", tuple(waits)),), "p99 10 ms", is_alone=True)  # fmt: skip


def _push(settings: Settings, publication: Publication, asker: _Asker, listeners: int) -> Result:
    before = asker.process.memory_info().rss
    heard, after = asyncio.run(_listen(settings, publication, asker, listeners))
    grown = f"{(after - before) / 2**20:.0f} MB for {listeners} clients"
    return Result("serving-push", f"hearing of a publication; {grown}", 1, "clients",
                  (Times("websocket", tuple(heard)),), "within 100 MB, p95 1 s", is_alone=True)  # fmt: skip


async def _listen(
    settings: Settings, publication: Publication, asker: _Asker, listeners: int
) -> tuple[list[float], int]:
    """Seconds until each client heard of a new publication, and the server's memory with all of them there."""
    address = f"ws://127.0.0.1:{asker.port}/push?access_token={asker.key}"
    sockets: list[ClientConnection] = []
    try:
        for _ in range(listeners):
            socket = await connect(address)
            sockets.append(socket)
            call = {"type": 1, "target": "Subscribe", "arguments": ["publications", {}]}
            for each in ({"protocol": "json", "version": 1}, call):
                await socket.send(json.dumps(each) + "\x1e")
            await socket.recv()
        after = asker.process.memory_info().rss
        number = publication.publication_id + 1
        await asyncio.to_thread(publications.record, settings, replace(publication, publication_id=number))
        began = time.perf_counter()
        return list(await asyncio.gather(*(_heard(socket, began) for socket in sockets))), after
    finally:
        await asyncio.gather(*(socket.close() for socket in sockets))


async def _heard(socket: ClientConnection, began: float) -> float:
    while '"publication_id"' not in str(await asyncio.wait_for(socket.recv(), 60)):
        pass
    return time.perf_counter() - began


@contextmanager
def _served(settings: Settings) -> Iterator[tuple[psutil.Process, int]]:
    """The server's process and port, until the block ends."""
    port = free_port()
    command: Sequence[str] = [sys.executable, "-m", "serving", str(port)]
    process = subprocess.Popen(command, env=inherited_environment(settings.child_environment()))
    try:
        deadline = time.monotonic() + _START_S
        while not is_port_open("127.0.0.1", port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise DifferenceError("the server does not start")
            time.sleep(0.05)
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait(30)
