"""The worker: a process that has loaded an app and calls one of its functions, again and again.

Belongs here: the app as `azure-functions` has it, the objects that a function is given, and what it gives back. Beside
`frames` it imports nothing of the project, since somebody else's modules are loaded into it; when to call, for how long
and what becomes of the results is for the host.

`python -m streams.functions.function_worker FD FOLDER [NAME]`: frames of JSON over the socket FD, four bytes of length
first. Without NAME it says what the app declares and ends.
"""

import asyncio
import base64
import importlib
import inspect
import json
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
from azure.functions import meta
from azure.functions.queue import QueueMessage
from azure.functions.timer import TimerRequest

from streams.functions.frames import read_frame, send_frame

_SHOWN = 4_000


class Output(func.Out[Any]):
    """What a function sets."""

    def __init__(self) -> None:
        self.value: Any = None

    def set(self, val: Any) -> None:
        """Set it."""
        self.value = val

    def get(self) -> Any:
        """What was set."""
        return self.value


class Retries:
    """Which attempt this is, as `context.retry_context` has it."""

    def __init__(self, retry_count: int, max_retry_count: int) -> None:
        self.retry_count, self.max_retry_count = retry_count, max_retry_count
        self.exception = None


class CallContext(func.Context):
    """What a function is given as `context`."""

    def __init__(self, call: Mapping[str, Any], name: str, folder: str) -> None:
        self._call, self._name, self._folder = call, name, folder
        self._local = threading.local()
        self._local.invocation_id = call["id"]

    invocation_id = property(lambda self: self._call["id"])
    function_name = property(lambda self: self._name)
    function_directory = property(lambda self: self._folder)
    thread_local_storage = property(lambda self: self._local)
    trace_context = property(lambda self: None)
    retry_context = property(lambda self: Retries(self._call["attempt"] - 1, self._call["most_attempts"] - 1))


def load(folder: str) -> list[Any]:
    """The functions of `function_app.py` in the folder, by the library's own account; to be asked once."""
    os.chdir(folder)
    sys.path[:0] = [folder, os.path.join(folder, ".python_packages", "lib", "site-packages")]
    module = importlib.import_module("function_app")
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionApp)]
    if len(apps) != 1:
        raise ValueError(f"function_app.py has {len(apps)} FunctionApp objects, and is to have one")
    return list(apps[0].get_functions())


def described(function: Any) -> dict[str, Any]:
    """A function as JSON has it: its bindings as in a function.json, and its policy of retries."""
    return {
        "name": function.get_function_name(),
        "bindings": json.loads(function.get_function_json())["bindings"],
        "retry": function.get_settings_dict("retry_policy"),
    }


class Caller:
    """Calls one function."""

    def __init__(self, function: Any, folder: str) -> None:
        told = described(function)
        self._name, self._folder = told["name"], folder
        self._function: Callable[..., Any] = function.get_user_function()
        self._trigger = function.get_trigger()
        self._trigger_told = next(b for b in told["bindings"] if b["name"] == self._trigger.name)
        self._outputs = [b["name"] for b in told["bindings"] if b["direction"] == "OUT"]
        self._is_http = self._trigger_told["type"] == "httpTrigger"
        self._wants_context = "context" in inspect.signature(self._function).parameters
        self._runner = asyncio.Runner()

    def __call__(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Call it once; what it raised is said in the answer."""
        outputs = {name: Output() for name in self._outputs if name != "$return"}
        arguments: dict[str, Any] = {self._trigger.name: self._given(call), **outputs}
        if self._wants_context:
            arguments["context"] = CallContext(call, self._name, self._folder)
        returned = self._function(**arguments)
        if inspect.iscoroutine(returned):
            returned = self._runner.run(returned)
        found = {name: messages_of(output.value) for name, output in outputs.items() if output.value is not None}
        if self._is_http:
            return {"outputs": found, "response": _response(returned)}
        if returned is not None and "$return" in self._outputs:
            found["$return"] = messages_of(returned)
        return {"outputs": found}

    def _given(self, call: Mapping[str, Any]) -> Any:
        kind, data = self._trigger_told["type"], call["data"]
        if kind == "timerTrigger":
            return TimerRequest(past_due=False, schedule=data)
        if kind == "httpTrigger":
            return func.HttpRequest(**{**data, "body": base64.b64decode(data["body"])})
        make = {"eventHubTrigger": _event, "kafkaTrigger": self._kafka_event, "queueTrigger": _queue_message}[kind]
        made = [make(record, call["attempt"]) for record in data]
        return made if self._trigger_told.get("cardinality") == "MANY" else made[0]

    def _kafka_event(self, record: Mapping[str, Any], _: int) -> Any:
        moment = _moment(record)
        headers = [{"Key": name, "Value": value} for name, value in record["headers"]]
        body = base64.b64decode(record["value"])
        whole = {
            "Offset": record["offset"], "Partition": record["partition"], "Topic": record["topic"],
            "Timestamp": moment, "Value": body.decode("utf-8", "replace"), "Key": record["key"], "Headers": headers,
        }  # fmt: skip
        if self._trigger_told.get("dataType") != "BINARY":
            # what the extension for Kafka gives where bytes were not asked for: the record with all that belongs to it
            body = json.dumps(whole).encode()
        return func.KafkaEvent(
            body=body, key=record["key"], offset=record["offset"], partition=record["partition"],
            topic=record["topic"], timestamp=moment, headers=headers,
            trigger_metadata={name: meta.Datum(whole[name], "string") for name in whole if name != "Value"},
        )  # fmt: skip


def _event(record: Mapping[str, Any], _: int) -> Any:
    properties = {name: base64.b64decode(value).decode("utf-8", "replace") for name, value in record["headers"]}
    system = {"SequenceNumber": record["offset"], "Offset": str(record["offset"]), "PartitionKey": record["key"],
              "EnqueuedTimeUtc": _moment(record)}  # fmt: skip
    devices = {"connection-device-id": record["key"]} if "ce_id" in properties and record["key"] else {}
    place = {"EventHubPath": record["topic"], "PartitionId": str(record["partition"])}
    texts = {"Properties": properties, "SystemProperties": system, "PartitionContext": place}
    return func.EventHubEvent(
        body=base64.b64decode(record["value"]),
        trigger_metadata={name: meta.Datum(json.dumps(value), "json") for name, value in texts.items()},
        enqueued_time=_datetime(record), partition_key=record["key"], sequence_number=record["offset"],
        offset=str(record["offset"]), iothub_metadata=devices,
    )  # fmt: skip


def _queue_message(record: Mapping[str, Any], attempt: int) -> Any:
    place = f"{record['topic']}:{record['partition']}:{record['offset']}"
    return QueueMessage(  # type: ignore[no-untyped-call]
        id=place, body=base64.b64decode(record["value"]), dequeue_count=attempt, insertion_time=_datetime(record),
        pop_receipt=place,
    )  # fmt: skip


def _datetime(record: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(record["timestamp_ms"] / 1000, UTC)


def _moment(record: Mapping[str, Any]) -> str:
    return _datetime(record).isoformat()


def messages_of(value: Any) -> list[str]:
    """The messages that an output is set to, in base64: one, or one an element of a list."""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping):
        return [part for each in value for part in messages_of(each)]
    if isinstance(value, func.QueueMessage):
        value = value.get_body()
    if isinstance(value, Mapping | int | float | bool):
        value = json.dumps(value)
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes | bytearray):
        raise TypeError(f"an output is set to {type(value).__name__}: give text, bytes, a mapping, or a list of these")
    return [base64.b64encode(value).decode()]


def _response(returned: Any) -> dict[str, Any]:
    if returned is None or isinstance(returned, str | bytes):
        returned = func.HttpResponse(returned)
    if not isinstance(returned, func.HttpResponse):
        raise TypeError(f"a function for HTTP gave {type(returned).__name__}: give an HttpResponse or text")
    headers = [*((name, value) for name, value in returned.headers.items())]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", f"{returned.mimetype}; charset={returned.charset}"))
    body = base64.b64encode(returned.get_body()).decode()
    return {"status": returned.status_code, "headers": headers, "body": body}


def _end_with(parent: int) -> None:
    """A host that was killed tells nobody, and a function may never come back."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main(fd: int, folder: str, name: str | None) -> None:
    """Answer until the host closes the socket."""
    connection = socket.socket(fileno=fd)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    logging.basicConfig(level=logging.INFO, format=f"%(levelname)s {name or 'app'}: %(message)s")
    try:
        functions = load(folder)
        caller = None
        for function in functions:
            if function.get_function_name() == name:
                caller = Caller(function, folder)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (somebody else's code)
        return send_frame(connection, {"error": _said(error)})
    send_frame(connection, {"functions": [described(function) for function in functions]})
    while caller is not None and (call := read_frame(connection)) is not None:
        try:
            answer = caller(call)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (somebody else's code)
            traceback.print_exc()
            answer = {"error": _said(error)}
        send_frame(connection, answer)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_SHOWN]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
