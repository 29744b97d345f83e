"""Declared functions: what an app's folder says, as the host uses it.

Belongs here: functions with their triggers, outputs and retries; names out of settings (`%NAME%`); `host.json` and
`local.settings.json`. Which connection a binding names does not matter: there is one Kafka, the lakehouse's.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import UsageError
from runtime.settings import inherited_environment
from streams.functions.function_calls import CallError, FunctionProcess, Limits
from streams.functions.ncrontab import period_of, schedule_of

_TOPIC_OF = {
    "eventHubTrigger": "eventHubName", "kafkaTrigger": "topic", "queueTrigger": "queueName",
    "eventHub": "eventHubName", "kafka": "topic", "queue": "queueName",
}  # fmt: skip
TRIGGERS = ("eventHubTrigger", "kafkaTrigger", "queueTrigger", "timerTrigger", "httpTrigger")
OUTPUTS = ("eventHub", "kafka", "queue", "http")
_QUEUE_ATTEMPTS = 5


@dataclass(frozen=True)
class Retries:
    """How often a function is tried again, None for ever, and after how many seconds: the same each time, or twice as
    many each time from `delay_s` to `most_s`."""

    count: int | None = 0
    delay_s: float = 0.0
    most_s: float | None = None

    def delay_after(self, attempt: int) -> float | None:
        """Seconds until the attempt after this one, the first being 1; None when there is none."""
        if self.count is not None and attempt > self.count:
            return None
        if self.most_s is None:
            return self.delay_s
        return float(min(self.most_s, self.delay_s * 2 ** min(attempt - 1, 60)))


@dataclass(frozen=True)
class Function:
    """One function: its trigger as in a function.json, the topics of its outputs by name, its retries."""

    name: str
    trigger: Mapping[str, Any]
    outputs: Mapping[str, str]
    retries: Retries

    @property
    def kind(self) -> str:
        """The type of its trigger, as in a function.json."""
        return str(self.trigger["type"])

    @property
    def topic(self) -> str | None:
        """The topic that it reads; None where no topic is read."""
        name = _TOPIC_OF.get(self.kind)
        return str(self.trigger[name]) if name else None


@dataclass(frozen=True)
class App:
    """An app: its folder, its settings for the functions' environment, its functions, and what host.json says."""

    folder: Path
    values: Mapping[str, str]
    functions: Sequence[Function]
    route_prefix: str = "api"

    @property
    def name(self) -> str:
        """The name under which it commits what it has read: that of its folder."""
        return re.sub(r"[^A-Za-z0-9._-]", "_", self.folder.name)


def load_app(folder: Path) -> App:
    """The app in a folder, asked by a process of its own. Raises UsageError for what cannot run."""
    folder = folder.absolute()
    if not (folder / "function_app.py").is_file():
        raise UsageError(f"{folder} has no function_app.py: give the folder of an app of the v2 programming model.")
    values = {str(k): str(v) for k, v in _json(folder / "local.settings.json").get("Values", {}).items()}
    host = _json(folder / "host.json")
    extensions = host.get("extensions", {})
    process = FunctionProcess(folder, None, values, Limits())
    try:
        told = process.declared()
    except CallError as error:
        if "No module named 'azure" in str(error):
            raise UsageError("Functions need a package: pip install 'iot-lakehouse[functions]'.") from error
        raise UsageError(f"{folder}: {error}.") from error
    finally:
        process.close()
    attempts = int(extensions.get("queues", {}).get("maxDequeueCount", _QUEUE_ATTEMPTS))
    functions = [_function(each, inherited_environment(values), attempts) for each in told]
    if not functions:
        raise UsageError(f"{folder}: function_app.py declares no function.")
    return App(folder, values, functions, str(extensions.get("http", {}).get("routePrefix", "api")))


def _function(told: Mapping[str, Any], settings: Mapping[str, str], queue_attempts: int) -> Function:
    name = told["name"]
    bindings = [{k: _resolved(v, settings, name) for k, v in binding.items()} for binding in told["bindings"]]
    inputs = [binding for binding in bindings if binding["direction"] == "IN"]
    for binding in bindings:
        known = OUTPUTS if binding["direction"] == "OUT" else TRIGGERS
        if binding["type"] not in known:
            raise UsageError(f"the function {name} has a {binding['type']} binding, known are {', '.join(known)}.")
    trigger = inputs[0]
    if trigger["type"] == "timerTrigger":
        schedule_of(trigger["schedule"])
    outputs = {b["name"]: b[_TOPIC_OF[b["type"]]] for b in bindings if b["direction"] == "OUT" and b["type"] != "http"}
    retries = _retries(told["retry"], name)
    if told["retry"] is None and trigger["type"] == "queueTrigger":
        retries = Retries(queue_attempts - 1)
    return Function(name, trigger, outputs, Retries() if trigger["type"] == "httpTrigger" else retries)


def _resolved(value: Any, settings: Mapping[str, str], function: str) -> Any:
    """`%NAME%` in a text stands for a setting of the app or a variable of the environment."""
    if not isinstance(value, str):
        return value

    def found(match: re.Match[str]) -> str:
        if match[1] not in settings:
            raise UsageError(f"the function {function} names %{match[1]}%, which is neither a value of "
                             "local.settings.json nor a variable.")  # fmt: skip
        return settings[match[1]]

    return re.sub(r"%([A-Za-z0-9_:.-]+)%", found, value)


def _retries(told: Mapping[str, Any] | None, function: str) -> Retries:
    if told is None:
        return Retries()
    count = int(told["max_retry_count"])
    names = {"fixed_delay": ("delay_interval",), "exponential_backoff": ("minimum_interval", "maximum_interval")}
    if told["strategy"] not in names:
        raise UsageError(f"the function {function} retries by {told['strategy']!r}, known are {', '.join(names)}.")
    seconds: list[float] = []
    for name in names[told["strategy"]]:
        period = period_of(str(told.get(name) or ""))
        if period is None:
            raise UsageError(f"{name} of the function {function} is {told.get(name)!r}: give hh:mm:ss.")
        seconds.append(period.total_seconds())
    return Retries(None if count < 0 else count, *seconds)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is to be a JSON object.")
    return found
