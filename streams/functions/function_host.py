"""The host: an app's functions with their triggers, until told to end, and anew when the app changes.

Belongs here: starting and ending the parts. What each does stands in its own module. A function has a process and a
thread of its own, so one that hangs holds up no other.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from confluent_kafka import KafkaException

from runtime.errors import PlatformError, UsageError
from streams.functions.declared_functions import App, Function, load_app
from streams.functions.function_calls import FunctionProcess, Limits
from streams.functions.function_outputs import FunctionProducer, ensure_function_topics
from streams.functions.http_triggers import HOST, HttpTriggers, Parts
from streams.functions.timer_triggers import TimerTrigger
from streams.functions.topic_triggers import TopicTrigger

Tell = Callable[[str], None]
_LOOK_S = 0.25
_END_S = 5.0


@dataclass(frozen=True)
class HostOptions:
    """What a call may take, where HTTP is served, and whether changes of the app are taken up."""

    limits: Limits = field(default_factory=Limits)
    port: int = 7071
    reload: bool = False


def run_functions(bootstrap: str, folder: Path, options: HostOptions, stop: Event, tell: Tell) -> None:
    """Run until `stop`. Raises UsageError for an app that cannot run, PlatformError when another host takes over."""
    while not stop.is_set():
        before = _files(folder)
        ended = Event()
        try:
            app = load_app(folder)
            ensure_function_topics(bootstrap, app)
            with _running(bootstrap, app, options, ended, tell) as has_failed:
                while not (stop.wait(_LOOK_S) or has_failed() or (options.reload and _files(folder) != before)):
                    pass
        except UsageError as error:
            if not options.reload:
                raise
            tell(f"{error} Waiting for a change.")
            while not stop.wait(_LOOK_S) and _files(folder) == before:
                pass
        if not stop.is_set():
            tell("The app has changed: loading it anew.")


@contextmanager
def _running(bootstrap: str, app: App, options: HostOptions, stop: Event, tell: Tell) -> Iterator[Callable[[], bool]]:
    """The app's parts at work; what one of them raised is raised at the end."""
    processes = {f.name: FunctionProcess(app.folder, f.name, app.values, options.limits) for f in app.functions}
    runs: list[Callable[[Event], None]] = []
    http: list[Parts] = []
    for function in app.functions:
        process = processes[function.name]
        if function.topic is not None:
            runs.append(TopicTrigger(bootstrap, app, function, process, tell).run)
        elif function.kind == "timerTrigger":
            runs.append(TimerTrigger(function, process, _producer(bootstrap, app, function), tell).run)
        else:
            http.append((function, process, _producer(bootstrap, app, function)))
    if http:
        runs.append(HttpTriggers(app, http, options.port).run)
    for function in app.functions:
        if function.topic is None:
            tell(f"{function.name}: {_where(app, function, options)}")
    with ThreadPoolExecutor(len(runs), "function") as pool:
        futures = [pool.submit(run, stop) for run in runs]
        try:
            yield lambda: any(future.done() for future in futures)
        finally:
            stop.set()
            # a call that is under way may end; what it takes longer is done again by the next host
            for _ in range(int(_END_S / 0.05)):
                if all(future.done() for future in futures):
                    break
                Event().wait(0.05)
            for process in processes.values():
                process.close()
    for process in processes.values():
        # one that a call had started meanwhile
        process.close()
    for future in futures:
        future.result()


def _producer(bootstrap: str, app: App, function: Function) -> FunctionProducer:
    try:
        return FunctionProducer(bootstrap, app, function)
    except KafkaException as error:
        raise PlatformError(f"Kafka did not answer: {error.args[0]}. Is the broker running?") from error


def _where(app: App, function: Function, options: HostOptions) -> str:
    if function.kind == "timerTrigger":
        return f"by the schedule {function.trigger['schedule']}"
    route = str(function.trigger.get("route", function.name))
    return f"http://{HOST}:{options.port}/{'/'.join(p for p in (app.route_prefix.strip('/'), route.strip('/')) if p)}"


def _files(folder: Path) -> dict[Path, int]:
    """What an app is made of, with the moments of change."""
    found = {}
    for path in [*folder.rglob("*.py"), *folder.glob("*.json")]:
        try:
            found[path] = path.stat().st_mtime_ns
        except FileNotFoundError:
            continue
    return found
