"""A function's process: what it is called with, what it gives, and what ends it."""

import base64
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import UsageError
from streams.functions.declared_functions import Retries, load_app
from streams.functions.function_calls import Answer, Call, CallError, FunctionProcess, Limits

APP = """
import os, time
import azure.functions as func

app = func.FunctionApp()

@app.kafka_trigger(arg_name="event", topic="in", broker_list="B", data_type="binary")
@app.kafka_output(arg_name="out", topic="out", broker_list="B")
@app.retry(strategy="exponential_backoff", max_retry_count="3", minimum_interval="00:00:02",
           maximum_interval="00:00:05")
def work(event: func.KafkaEvent, out: func.Out[str], context: func.Context):
    what = event.get_body().decode()
    if what == "hang":
        while True:
            time.sleep(0.01)
    if what == "eat":
        kept = []
        while True:
            kept.append(b"x" * 10_000_000)
    if what == "leave":
        os._exit(3)
    if what == "raise":
        raise RuntimeError("no")
    out.set([what, f"{os.getpid()} {os.environ.get('LAKEHOUSE_ACTIONS_SECRET')} {os.environ.get('MINE')}"])

@app.event_hub_message_trigger("event", "C", "%MINE%")
@app.event_hub_output("$return", "C", "copies")
async def copy(event: func.EventHubEvent):
    return [event.get_body(), event.partition_key, event.iothub_metadata, event.metadata["Properties"], event.offset]

@app.kafka_trigger(arg_name="event", topic="in", broker_list="B")
@app.kafka_output(arg_name="$return", topic="out", broker_list="B")
def whole(event: func.KafkaEvent) -> str:
    return event.get_body().decode()

@app.route("hello/{name}")
def hello(req: func.HttpRequest) -> str:
    return f"{req.method} {req.route_params['name']} {req.params['q']}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    (folder / "function_app.py").write_text(APP)
    (folder / "local.settings.json").write_text('{"Values": {"MINE": "events"}}')
    return folder


def record(value: str, **more: Any) -> dict[str, Any]:
    return {"topic": "in", "partition": 0, "offset": 5, "timestamp_ms": 0, "key": "d1", "headers": [],
            "value": base64.b64encode(value.encode()).decode(), **more}  # fmt: skip


def test_what_fails_hangs_eats_memory_or_leaves_is_ended_and_the_next_call_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its sentence; the process that was ended is a new one afterwards, without settings of the lakehouse."""
    monkeypatch.setenv("LAKEHOUSE_ACTIONS_SECRET", "hidden")
    process = FunctionProcess(folder, "work", {"MINE": "events"}, Limits(3.0, 200))

    def said(what: str) -> str:
        with pytest.raises(CallError) as caught:
            process.call(Call([record(what)]))
        return str(caught.value)

    def given() -> list[bytes]:
        return list(process.call(Call([record("good")])).outputs["out"])

    try:
        first = given()
        assert first[0] == b"good"
        pid, secret, mine = first[1].split()
        assert (secret, mine) == (b"None", b"events")
        assert said("raise") == "RuntimeError: no"
        assert given()[1].split()[0] == pid
        assert said("hang") == "it took longer than 3 s and was ended"
        assert given()[1].split()[0] != pid
        assert said("eat") == "it took more than 200 MB of memory and was ended"
        assert said("leave") == "its process ended by itself, exit code 3"
        assert given()[0] == b"good"
    finally:
        process.close()


def test_a_function_is_given_what_azure_gives(folder: Path) -> None:
    """The body, the key, headers and the device of an event; the whole record of Kafka as JSON; a request."""

    def called(name: str, data: Any) -> Answer:
        process = FunctionProcess(folder, name, {}, Limits())
        try:
            return process.call(Call(data))
        finally:
            process.close()

    event = record("{}", headers=[("ce_id", base64.b64encode(b"m1").decode())])
    assert called("copy", [event]).outputs["$return"] == [
        b"{}", b"d1", b'{"connection-device-id": "d1"}', b'{"ce_id": "m1"}', b"5",
    ]  # fmt: skip
    (body,) = called("whole", [record("hot")]).outputs["$return"]
    assert b'"Value": "hot", "Key": "d1"' in body
    request = {"method": "get", "url": "http://h/hello/x", "headers": {}, "params": {"q": "1"},
               "route_params": {"name": "x"}, "body": ""}  # fmt: skip
    response = called("hello", request).response or {}
    assert (response["status"], base64.b64decode(response["body"])) == (200, b"GET x 1")


def test_an_app_is_asked_what_it_declares(folder: Path, tmp_path: Path) -> None:
    """Its triggers with names out of its settings, outputs and retries; what cannot run is said in a sentence."""
    app = load_app(folder)
    functions = {function.name: function for function in app.functions}
    assert functions["copy"].topic == "events"
    assert functions["work"].outputs == {"out": "out"}
    assert functions["work"].retries == Retries(3, 2.0, 5.0)
    assert (functions["hello"].kind, functions["hello"].topic) == ("httpTrigger", None)
    with pytest.raises(UsageError, match="no function_app"):
        load_app(tmp_path)
    for source, said in (
        ("import nothing_of_the_kind", "nothing_of_the_kind"),
        ("x = 1", "0 FunctionApp objects"),
        ("import azure.functions as f\napp = f.FunctionApp()\n@app.blob_trigger('b', 'p', 'C')\ndef x(b): pass",
         "blobTrigger"),
        ("import azure.functions as f\napp = f.FunctionApp()\n@app.timer_trigger('t', '61 * * * * *')\ndef x(t): pass",
         "61"),
        ("import azure.functions as f\napp = f.FunctionApp()\n@app.queue_trigger('m', '%NONE%', 'C')\ndef x(m): pass",
         "%NONE%"),
    ):  # fmt: skip
        (tmp_path / "function_app.py").write_text(source)
        with pytest.raises(UsageError, match=said):
            load_app(tmp_path)


def test_retries_wait_as_their_policy_says() -> None:
    """None without one, the same each time, or twice as long each time up to a bound."""
    assert Retries().delay_after(1) is None
    assert [Retries(2, 1.0).delay_after(n) for n in (1, 2, 3)] == [1.0, 1.0, None]
    assert [Retries(None, 2.0, 5.0).delay_after(n) for n in (1, 2, 3, 99)] == [2.0, 4.0, 5.0, 5.0]
