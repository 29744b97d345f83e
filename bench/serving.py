"""Serving under load, beside PostgreSQL: CPU a request of who answers, latency, and what a client that listens takes.

Belongs here: requests over loopback from this process to the server in another one, whose CPU and memory are taken.
Seconds of `serving-cpu` are the server's CPU a request, since the asking has its share of the same cores, and those of
`serving-day` beside that of PostgreSQL's process; those of `serving-latest` are what one caller waits, those of
`serving-push` how long after a publication a client hears of it.
"""

import asyncio
import http.client
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pyarrow as pa
from websockets.asyncio.client import ClientConnection, connect

from bench.harness import DifferenceError, Result, Times
from bench.made import SteadyFleet
from bench.made_gold import publish_made
from bench.serving_postgres import PostgresReader, postgres_reader
from lake.records import publications
from lake.records.publications import Publication
from runtime.ports import free_port, is_port_open
from runtime.settings import Settings, inherited_environment
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes

_ARROW = "application/vnd.apache.arrow.stream"
_START_S = 60
_DEVICES = 72
_DEVICE = "d-00042"
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
    key_id, key = keys.create(secrets.token_hex(4), parse_scopes(["read"]), datetime.now(UTC), requests_a_second=1e6)
    with _served(settings) as (process, port), postgres_reader(settings, key_id, key) as reader:
        asker = _Asker(port, key, process)
        return [*_requests(asker, reader, size, start), _push(settings, publication, asker, size.listeners)]


class _Asker:
    """One connection that stays open, and the server's process."""

    def __init__(self, port: int, key: str, process: psutil.Process) -> None:
        self.port, self.key, self.process = port, key, process
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, path: str, wanted: int = 200, **headers: str) -> tuple[str, bytes]:
        """Ask, and have the ETag and the body. Raises DifferenceError for another status than the one wanted."""
        given = {"Authorization": f"Bearer {self.key}"} | {name.replace("_", "-"): v for name, v in headers.items()}
        self._connection.request("GET", path, headers=given)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != wanted:
            raise DifferenceError(f"{path} is answered {answer.status}, not {wanted}")
        return answer.headers.get("ETag", ""), body

    def cpu_s(self) -> float:
        """What the server has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def _requests(asker: _Asker, reader: PostgresReader, size: Size, start: datetime) -> Iterator[Result]:
    latest = f"/v1/latest?device_id={_DEVICE}"
    etag, body = asker.ask(latest)
    days = [(f"d-{device:05d}", start + timedelta(days=day)) for day in range(size.days) for device in range(_DEVICES)]
    _check(reader, body, asker.ask(_series(*days[0]), Accept=_ARROW)[1], days[0])
    cpu: dict[str, list[float]] = {"304": [], "latest, kept": [], "a device's day, Arrow": [], "a day, PostgreSQL": []}
    waits: dict[str, list[float]] = {"latest, kept": [], "PostgreSQL": []}
    share = len(days) // _ROUNDS
    for number in range(_ROUNDS):
        of_round = days[number * share : (number + 1) * share]  # each once: none of them is kept
        cpu["304"].append(_cpu_each(asker, lambda _: asker.ask(latest, 304, If_None_Match=etag), range(size.requests)))
        taken = _timed(waits["latest, kept"], lambda _: asker.ask(latest))
        cpu["latest, kept"].append(_cpu_each(asker, taken, range(size.requests)))
        cpu["a device's day, Arrow"].append(_cpu_each(asker, lambda d: asker.ask(_series(*d), Accept=_ARROW), of_round))
        _cpu_each(reader, _timed(waits["PostgreSQL"], lambda _: reader.latest(_DEVICE)), range(size.requests))
        cpu["a day, PostgreSQL"].append(_cpu_each(reader, lambda d: reader.day(*d), of_round))
    times = {name: Times(name, tuple(seconds)) for name, seconds in cpu.items()}
    day = (times["a device's day, Arrow"], times["a day, PostgreSQL"])
    goal = "CPU: 304 143 us, latest 250 us, a day 5 ms"
    yield Result("serving-cpu", "the server's CPU a request", 1, "requests", tuple(times.values())[:3], goal,
                 is_alone=True)  # fmt: skip
    yield Result("serving-day", "CPU for a device's day by minutes", 1, "requests", day)
    yield Result("serving-latest", "the newest values of a device, one caller", 1, "requests",
                 tuple(Times(name, tuple(seconds)) for name, seconds in waits.items()), "p99 10 ms")  # fmt: skip


def _series(device_id: str, start: datetime) -> str:
    given = {"device_id": device_id, "metric_name": "temperature", "every": "1m"}
    end = start + timedelta(days=1)
    return "/v1/series?" + urlencode(given | {"start": start.isoformat(), "end": end.isoformat()})


def _check(reader: PostgresReader, latest: bytes, arrow: bytes, day: tuple[str, datetime]) -> None:
    """Raises DifferenceError where the two do not have the same rows."""
    points = [each for each in pa.ipc.open_stream(arrow).read_all()["value"].to_pylist() if each is not None]
    ours, theirs = (len(json.loads(latest)["data"]), points), (reader.latest(_DEVICE), reader.day(*day))
    if ours != theirs or not points:
        raise DifferenceError(f"PostgreSQL answers {str(theirs)[:200]}, the API {str(ours)[:200]}")


def _cpu_each(who: _Asker | PostgresReader, ask: Callable[[Any], object], asked: Sequence[Any]) -> float:
    """CPU of who answers, for one of these requests."""
    began = who.cpu_s()
    for each in asked:
        ask(each)
    return (who.cpu_s() - began) / len(asked)


def _timed(waits: list[float], ask: Callable[[Any], object]) -> Callable[[Any], object]:
    """`ask`, and how long it took is added to `waits`."""

    def timed(each: Any) -> None:
        began = time.perf_counter()
        ask(each)
        waits.append(time.perf_counter() - began)

    return timed


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
