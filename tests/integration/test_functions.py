"""Unmodified apps of Azure Functions on a real broker: triggers, outputs, retries, limits, dead letters."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from runtime.errors import PlatformError
from runtime.ports import free_port
from streams import kafka_places
from streams.functions.function_calls import Limits
from streams.functions.function_host import HostOptions, run_functions
from streams.functions.function_outputs import read_dead_letters
from tests.support.awaiting import awaited
from tests.support.committed import committed_records, let_go
from tests.support.landing import reading, send
from wire.envelope import Message

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "functions.md"
_WAIT_S = 60.0
APP = """
import logging, os, time
import azure.functions as func

app = func.FunctionApp()
tried = 0

@app.kafka_trigger(arg_name="event", topic="fn-trouble", broker_list="B", data_type="binary")
@app.kafka_output(arg_name="out", topic="fn-done", broker_list="B")
@app.retry(strategy="fixed_delay", max_retry_count="1", delay_interval="00:00:00")
def trouble(event: func.KafkaEvent, out: func.Out[str], context: func.Context):
    global tried
    tried += 1
    what = event.get_body().decode()
    if what == "fail":
        raise RuntimeError("no")
    if what == "second" and context.retry_context.retry_count == 0:
        raise RuntimeError("not yet")
    while what == "hang":
        time.sleep(0.01)
    if what == "eat":
        kept = []
        while True:
            kept.append(b"x" * 10_000_000)
    if what == "leave":
        os._exit(3)
    out.set(f"{what} {context.retry_context.retry_count} {os.environ.get('LAKEHOUSE_ACTIONS_SECRET')}")

@app.event_hub_message_trigger("events", "C", "%MANY%", cardinality="many")
@app.queue_output("$return", "fn-queue", "C")
def gather(events: list[func.EventHubEvent]):
    return [event.get_body().decode() for event in events]

@app.queue_trigger("message", "fn-queue", "C")
@app.event_hub_output("$return", "C", "fn-done")
async def take(message: func.QueueMessage) -> str:
    if message.get_body() == b"bad":
        raise ValueError(f"dequeued {message.dequeue_count}")
    return f"took {message.get_body().decode()}"

@app.timer_trigger("timer", "*/1 * * * * *")
@app.event_hub_output("$return", "C", "fn-ticks")
def tick(timer: func.TimerRequest) -> str:
    return "tick"

@app.route("things/{id:int}", methods=["POST"])
@app.queue_output("put", "fn-put", "C")
def put(req: func.HttpRequest, put: func.Out[str]) -> func.HttpResponse:
    if req.params.get("fail"):
        raise ValueError("no")
    put.set(f"{req.route_params['id']} {req.get_json()['x']}")
    return func.HttpResponse("made", status_code=201, headers={"X-Seen": req.headers["x-sent"]})
"""


@contextmanager
def running(bootstrap: str, folder: Path, **options: Any) -> Iterator[list[str]]:
    """A host in a thread; what it tells."""
    stop = Event()
    told: list[str] = []
    failures: list[str] = []

    def run() -> None:
        try:
            run_functions(bootstrap, folder, HostOptions(**options), stop, told.append)
        except PlatformError as error:
            failures.append(str(error))

    thread = Thread(target=run)
    thread.start()
    try:
        yield told
    except AssertionError:
        print(*told, sep="\n")
        raise
    finally:
        stop.set()
        thread.join(_WAIT_S)
        assert not thread.is_alive()
        assert failures == []


def values(bootstrap: str, topic: str) -> list[str]:
    """The values of the committed records of a topic; none when there is no topic."""
    if topic not in AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=60).topics:
        return []
    return [(record.value() or b"").decode() for record in committed_records(bootstrap, topic)]


def put(bootstrap: str, topic: str, *bodies: str) -> None:
    send(bootstrap, [Message(topic, b"", [], body.encode()) for body in bodies])


def app_in(folder: Path, source: str) -> Path:
    folder.mkdir()
    (folder / "function_app.py").write_text(source)
    (folder / "local.settings.json").write_text('{"Values": {"MANY": "fn-many"}}')
    return folder


def test_the_app_of_the_page_runs(tmp_path: Path, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten lines of docs/guide/functions.md pick the hot devices, and take up a change of themselves; what Kafka let
    go of meanwhile is said, and partitions that are added are read."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in source.splitlines() if line.strip()]) <= 10
    folder = app_in(tmp_path / "page", source.replace("telemetry", "fn-telemetry"))
    monkeypatch.setattr(kafka_places, "_LOOK_S", 0.5)
    now = datetime.now(UTC)

    def told(device: str, celsius: float) -> Message:
        message = reading(device, device, now, celsius)
        return Message("fn-telemetry", message.key, list(message.headers), message.value)

    with running(broker, folder, reload=True) as said:
        awaited(lambda: "pick_hot: reads fn-telemetry" in said, lambda: said)
        send(broker, [told("p1", 31.0), told("p2", 29.0), told("p3", 32.0)])
        assert awaited(lambda: len(found := values(broker, "hot-devices")) > 1 and found, "two") == ["p1", "p3"]
        changed = (folder / "function_app.py").read_text().replace("> 30", "> 20")
        (folder / "function_app.py").write_text(changed)
        awaited(lambda: said.count("pick_hot: reads fn-telemetry") == 2, lambda: said)
        send(broker, [told("p4", 25.0)])
        assert awaited(lambda: values(broker, "hot-devices")[2:], "one more") == ["p4"]
    send(broker, [told("p5", 33.0)])
    let_go(broker, "fn-telemetry")
    with running(broker, folder) as said:
        awaited(lambda: "pick_hot: reads fn-telemetry" in said, lambda: said)
        assert "the offsets 4 to 4 of fn-telemetry" in said[0]
        admin = AdminClient({"bootstrap.servers": broker})
        admin.create_partitions([NewPartitions("fn-telemetry", 2)])["fn-telemetry"].result(60)
        awaited(lambda: said.count("pick_hot: reads fn-telemetry") == 2, lambda: said)
        names = [f"q{number}" for number in range(8)]
        send(broker, [told(name, 30.0) for name in names])
        awaited(lambda: len(values(broker, "hot-devices")) == 11, lambda: values(broker, "hot-devices"))
    assert sorted(values(broker, "hot-devices")[3:]) == names
    assert {record.partition() for record in committed_records(broker, "fn-telemetry")} == {0, 1}


def test_triggers_outputs_retries_and_limits(tmp_path: Path, broker: str) -> None:
    """A function that fails, hangs, eats memory or ends its process is tried by its policy and given up, and the next
    record is taken; batches, queues, timers and requests come in and go out."""
    folder, port = app_in(tmp_path / "app", APP), free_port()
    with running(broker, folder, limits=Limits(8.0, 300), port=port) as said:
        awaited(lambda: any(each.startswith("put: http") for each in said), lambda: said)
        put(broker, "fn-many", "one", "bad", "two")
        put(broker, "fn-trouble", "fail", "second", "hang", "eat", "leave", "good")
        awaited(lambda: values(broker, "fn-ticks"), "a tick")
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/things/7", b'{"x": 1}', {"x-sent": "s"})
        with urllib.request.urlopen(request) as answer:
            assert (answer.status, answer.read(), answer.headers["X-Seen"]) == (201, b"made", "s")
        assert values(broker, "fn-put") == ["7 1"]
        request.full_url += "?fail=1"
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(request)
        awaited(lambda: len(values(broker, "fn-done")) == 4, lambda: values(broker, "fn-done"))
    assert sorted(values(broker, "fn-done")) == ["good 0 None", "second 1 None", "took one", "took two"]
    letters = {value.decode(): letter for letter, value in read_dead_letters(broker)}
    assert sorted(letters) == ["bad", "eat", "fail", "hang", "leave"]
    assert letters["bad"].error == "ValueError: dequeued 5"
    assert [letters[each].attempts for each in ("fail", "hang", "eat", "leave")] == [2] * 4
    assert letters["hang"].error == "it took longer than 8 s and was ended"
    assert letters["eat"].error == "it took more than 300 MB of memory and was ended"
    assert letters["leave"].error == "its process ended by itself, exit code 3"
    assert values(broker, "fn-queue-poison") == ["bad"]
