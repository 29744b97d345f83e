"""Timer triggers: a function when its schedule says so.

Belongs here: waiting and calling. What a schedule means is in `ncrontab`. A moment at which the host did not run, or at
which the call before was still under way, is passed over.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event

from confluent_kafka import KafkaException

from streams.functions.declared_functions import Function
from streams.functions.function_calls import Call, CallError, FunctionProcess
from streams.functions.function_outputs import FunctionProducer
from streams.functions.ncrontab import schedule_of

Tell = Callable[[str], None]


class TimerTrigger:
    """Calls one function by its schedule, with retries by its policy."""

    def __init__(self, function: Function, process: FunctionProcess, producer: FunctionProducer, tell: Tell) -> None:
        self._function, self._process, self._producer, self._tell = function, process, producer, tell
        self._schedule = schedule_of(str(function.trigger["schedule"]))

    def run(self, stop: Event) -> None:
        """Until `stop`."""
        if self._function.trigger.get("runOnStartup"):
            self._call(stop)
        while not stop.is_set():
            now = datetime.now(UTC)
            due = self._schedule.next_after(now)
            # a clock that is set meanwhile is noticed within a minute
            if not stop.wait(min(60.0, (due - now).total_seconds())) and datetime.now(UTC) >= due:
                self._call(stop)

    def _call(self, stop: Event) -> None:
        attempt, retries = 1, self._function.retries
        most = 2**31 if retries.count is None else retries.count + 1
        while not stop.is_set():
            try:
                answer = self._process.call(Call({"AdjustForDST": True}, attempt, most))
                self._producer.commit(self._producer.messages(answer.outputs))
                return
            except (CallError, KafkaException) as error:
                delay_s = retries.delay_after(attempt)
                if stop.is_set():
                    return
                then = "it is given up" if delay_s is None else f"again in {delay_s:g} s"
                self._tell(f"{self._function.name}: attempt {attempt} failed, {then}: {error}")
                if delay_s is None:
                    return
                stop.wait(delay_s)
                attempt += 1
