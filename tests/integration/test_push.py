"""Push over a real server, asked by SignalR's own client and by the protocol's messages."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Producer
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from runtime.kafka.broker import running_broker
from runtime.settings import load_settings
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes
from streams.output_topics import ALERTS, LATEST, WINDOWS, ensure_output_topics
from tests.support.awaiting import awaited
from tests.support.node_clients import run_script
from tests.support.pinned_clients import printed_lines
from tests.support.served_gold import publish, rows_of, served

_WAIT_S = 120
_SCRIPT = """
const signalr = require('@microsoft/signalr');
const [address, key] = process.argv.slice(1);
(async () => {
  for (const name of ['WebSockets', 'ServerSentEvents', 'LongPolling']) {
    const options = {transport: signalr.HttpTransportType[name], accessTokenFactory: () => key};
    const connection = new signalr.HubConnectionBuilder().withUrl(address + '/push', options)
      .configureLogging(signalr.LogLevel.Error).build();
    const news = new Promise(resolve => connection.on('publications', (number, body) => resolve(body.publication_id)));
    await connection.start();
    await connection.invoke('Subscribe', 'publications', {since: 0});
    const refusal = await connection.invoke('Nothing', 'latest').catch(error => error.message);
    console.log(JSON.stringify([name, await news, refusal.includes('there is no method')]));
    await connection.stop();
  }
})().catch(error => { console.error(error); process.exit(1); });
"""
_SIGNALRCORE = """
import json, os, sys, threading
from signalrcore.hub_connection_builder import HubConnectionBuilder
address, key, options = sys.argv[1:]
connection = HubConnectionBuilder().with_url(address + '/push', {'access_token_factory': lambda: key}).build()
opened, told = threading.Event(), threading.Event()
connection.on_open(opened.set)
connection.on_error(lambda error: print(json.dumps(['refused', error.error])))
connection.on('latest', lambda news: (print(json.dumps(news)), news[1].get('last') and told.set()))
connection.start()
assert opened.wait(100)
connection.invoke('Nothing', ['latest'])
connection.invoke('Subscribe', ['latest', json.loads(options)], lambda _: print(json.dumps(['subscribed', ''])))
assert told.wait(100)
os._exit(0)
"""


@pytest.fixture(scope="module")
def pushing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, dict[str, str]]]:
    """A server's address, its broker's, and keys: one for all sites, one for the north."""
    home = tmp_path_factory.mktemp("push")
    settings = load_settings({"LAKEHOUSE_HOME": str(home)})
    publish(settings, 1, rows_of(1, 1.0))
    keys = {
        name: ApiKeys(settings).create(name, parse_scopes([scope]), datetime.now(UTC))[1]
        for name, scope in (("all", "read"), ("north", "read:site=north"))
    }
    with running_broker(settings) as bootstrap:
        ensure_output_topics(bootstrap)
        with served(home, {"LAKEHOUSE_KAFKA_BOOTSTRAP": bootstrap}) as address:
            yield address, bootstrap, keys


class Listener:
    """A client of the protocol over a websocket, subscribed to a stream."""

    def __init__(self, address: str, key: str, stream: str, **options: Any) -> None:
        self._socket = connect(f"ws{address.removeprefix('http')}/push?access_token={key}")
        self._waiting: list[dict[str, Any]] = []
        self._send({"protocol": "json", "version": 1})
        assert self._next() == {}
        self.subscribe(stream, **options)

    def subscribe(self, stream: str, **options: Any) -> None:
        """Subscribe, and wait for the answer."""
        self._send({"type": 1, "invocationId": "1", "target": "Subscribe", "arguments": [stream, options]})
        answer = self._next()
        while answer.get("type") != 3:
            answer = self._next()

    def next(self) -> tuple[int, dict[str, Any]]:
        """Number and body of the next news."""
        message = self._next()
        while message.get("type") != 1:
            message = self._next()
        number, body = message["arguments"]
        return number, body

    def close(self) -> None:
        """Go."""
        self._socket.close()

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.send(json.dumps(message) + "\x1e")

    def _next(self) -> dict[str, Any]:
        while not self._waiting:
            texts = str(self._socket.recv(_WAIT_S)).split("\x1e")
            self._waiting += [json.loads(text) for text in texts if text]
        return self._waiting.pop(0)


def tell(bootstrap: str, topic: str, *bodies: dict[str, Any]) -> None:
    """Put messages of the hot path where it would."""
    refused: list[Any] = []
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for number, body in enumerate(bodies):
        # a compacted topic takes no message without a key
        producer.produce(
            topic, json.dumps(body), str(number), on_delivery=lambda error, _: refused.append(error) if error else None
        )
    assert producer.flush(_WAIT_S) == 0
    assert refused == []


def test_microsofts_client_is_served_by_three_transports(pushing: tuple[str, str, dict[str, str]]) -> None:
    """Unmodified @microsoft/signalr subscribes, gets what it missed and an error, by each of its transports."""
    address, _, keys = pushing
    printed = [json.loads(line) for line in run_script(_SCRIPT, address, keys["all"]).splitlines()]
    assert printed == [[name, 1, True] for name in ("WebSockets", "ServerSentEvents", "LongPolling")]


def test_news_of_the_hot_path_come_by_scope(pushing: tuple[str, str, dict[str, str]]) -> None:
    """Alarms come at once; a key of one site hears of that site only, whatever it asks for."""
    address, bootstrap, keys = pushing
    everything, north = (Listener(address, keys[name], "latest") for name in ("all", "north"))
    alerts = Listener(address, keys["all"], "alerts", device_id="d1")
    d1, d3 = {"device_id": "d1", "site_id": "north"}, {"device_id": "d3", "site_id": "south"}
    tell(bootstrap, LATEST, d3, d1)
    tell(bootstrap, ALERTS, *({"rule": "hot", "change": "fired", "device_id": name} for name in ("d2", "d1")))
    assert [everything.next()[1], everything.next()[1]] == [d3, d1]
    assert north.next()[1] == d1
    assert alerts.next()[1]["device_id"] == "d1"
    for listener in (everything, north, alerts):
        listener.close()


def test_signalrcore_hears_its_site_and_goes_on(pushing: tuple[str, str, dict[str, str]]) -> None:
    """Unmodified signalrcore gets an error and its site's news, and with their number what came while it was away."""
    address, bootstrap, keys = pushing
    north = [{"device_id": name, "site_id": "north", "last": name != "n2"} for name in ("n1", "n2", "n3")]
    south = {"device_id": "s1", "site_id": "south", "last": True}

    def said(**options: int) -> Iterator[tuple[Any, Any]]:
        lines = printed_lines("signalr", _SIGNALRCORE, address, keys["north"], json.dumps(options))
        for kind, body in map(json.loads, lines):
            if kind == "refused":
                assert "there is no method" in body
            yield kind, body

    first = said()
    assert [next(first)[0], next(first)[0]] == ["refused", "subscribed"]
    tell(bootstrap, LATEST, south, north[0])
    (number, body), *rest = first
    assert (body, rest) == (north[0], [])
    tell(bootstrap, LATEST, north[1], south, north[2])
    again = [body for kind, body in said(since=number) if isinstance(kind, int)]
    assert again == north[1:]


def get(address: str, key: str, path: str) -> dict[str, Any]:
    """The body of an answer of the API."""
    request = urllib.request.Request(f"{address}{path}", headers={"X-Api-Key": key})
    with urllib.request.urlopen(request, timeout=_WAIT_S) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        return dict(json.loads(answer.read()))


def test_hot_values_are_answered_by_revision_and_scope(pushing: tuple[str, str, dict[str, str]]) -> None:
    """The newest value and the minutes of a series are answered, marked as provisional, to who sees their site."""
    address, bootstrap, keys = pushing
    listener = Listener(address, keys["all"], "latest", device_id="hot-2")
    series = {"metric_name": "temperature", "unit": "degc"}
    minute = {"window": "device_minutes", "device_id": "hot-1", **series, "window_start": "2026-11-26T05:03:00Z",
              "revision": 2, "is_final": False, "value_mean": 1.5}  # fmt: skip
    tell(bootstrap, WINDOWS, minute)
    tell(bootstrap, LATEST, *({"device_id": device, "site_id": site, **series, "value": value, "event_at": at}
         for device, site, value, at in (("hot-1", "north", 1, "2026-11-26T05:03:04Z"),
                                         ("hot-1", "north", 2, "2026-11-26T05:03:05Z"),
                                         ("hot-2", "south", 7, "2026-11-26T05:03:05Z"))))  # fmt: skip
    number, _ = listener.next()
    listener.close()
    body = get(address, keys["all"], "/v1/hot/latest?metric_name=temperature&limit=1")
    assert (body["is_provisional"], body["revision"] >= number) == (True, True)
    assert [(row["device_id"], row["value"], row["is_provisional"]) for row in body["data"]] == [("hot-1", 2.0, True)]
    following = get(address, keys["all"], f"/v1/hot/latest?metric_name=temperature&cursor={body['next']}")
    assert [(row["device_id"], row["revision"]) for row in following["data"]] == [("hot-2", number)]
    north = get(address, keys["north"], "/v1/hot/latest?metric_name=temperature")["data"]
    assert [row["device_id"] for row in north] == ["hot-1"]
    path = "/v1/hot/minutes?device_id=hot-1&metric_name=temperature"
    found = awaited(lambda: get(address, keys["north"], path)["data"], "the minute")
    assert [(row["minute_at"][11:16], row["revision"], row["value_mean"]) for row in found] == [("05:03", 2, 1.5)]


def test_who_was_cut_off_goes_on(pushing: tuple[str, str, dict[str, str]]) -> None:
    """With the number of the last news a client gets what came meanwhile, and nothing twice."""
    address, bootstrap, keys = pushing
    first = Listener(address, keys["all"], "latest")
    bodies = [{"device_id": name, "site_id": "north"} for name in ("a", "b", "c")]
    tell(bootstrap, LATEST, bodies[0])
    number, _ = first.next()
    first.close()
    tell(bootstrap, LATEST, *bodies[1:])
    again = Listener(address, keys["all"], "latest", since=number)
    assert [again.next()[1], again.next()[1]] == bodies[1:]
    again.close()


def test_a_wrong_key_is_refused(pushing: tuple[str, str, dict[str, str]]) -> None:
    """Neither negotiation nor a websocket is open to who has no key."""
    with pytest.raises((ConnectionClosed, InvalidStatus)):
        Listener(pushing[0], "lh_0_x", "latest")
