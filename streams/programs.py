"""Programs: the hot path, and what is done about its alarms, as processes that `lakehouse up --streams` keeps running.

Belongs here: that there are two, and what they use. What they do is in `loop` and in `dispatcher`.
"""

from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Option, Program, spawn_python
from runtime.settings import Settings

STREAMS, ACTIONS = "streams", "actions"
ON_SPARK = "streams_on_spark"


def _start(settings: Settings, chosen: Chosen) -> ProcessRecord:
    shared = ["0", str(chosen.get("streams_processes") or 1)]
    return spawn_python(settings, STREAMS, ["-m", "streams", *(["spark"] if chosen.get(ON_SPARK) else shared)])


def _start_actions(settings: Settings, chosen: Chosen) -> ProcessRecord:
    return spawn_python(settings, ACTIONS, ["-m", "streams", "actions"])


def _check(settings: Settings, chosen: Chosen) -> None:
    """Windows and rules are right before anything is started."""
    from runtime.errors import UsageError
    from streams.declarations import check_shared, load_declarations

    processes = int(chosen.get("streams_processes") or 1)
    if chosen.get(STREAMS) and chosen.get(ON_SPARK):
        if processes > 1:
            raise UsageError("On Spark there is a task a partition: leave out --streams-processes.")
        from streams.spark_limits import check_beforehand

        check_beforehand(settings, load_declarations(settings))
    elif chosen.get(STREAMS):
        check_shared(load_declarations(settings), processes)


PROGRAMS = (
    Program(
        STREAMS,
        "Hot path",
        _start,
        uses=("broker", "spark"),
        options=(
            Option(STREAMS, "Also compute windows, latest values and alarms within seconds."),
            Option("streams-processes", "Processes that share the devices of the hot path.", int, 1, 1, 64),
            Option("streams-on-spark", "Compute windows and alarms by tasks of Spark instead, one a partition."),
        ),
        chosen_by=STREAMS,
        check=_check,
    ),
    # of its own, so that a receiver that hangs holds up no window
    Program(ACTIONS, "Actions", _start_actions, uses=("broker",), chosen_by=STREAMS),
)
