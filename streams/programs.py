"""Programs: the hot path, and what is done about its alarms, as processes that `lakehouse up --streams` keeps running.

Belongs here: that there are two, and what they use. What they do is in `loop` and in `dispatcher`.
"""

from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Option, Program, spawn_python
from runtime.settings import Settings

STREAMS, ACTIONS = "streams", "actions"


def _start(settings: Settings, chosen: Chosen) -> ProcessRecord:
    return spawn_python(settings, STREAMS, ["-m", "streams"])


def _start_actions(settings: Settings, chosen: Chosen) -> ProcessRecord:
    return spawn_python(settings, ACTIONS, ["-m", "streams", "actions"])


def _check(settings: Settings, chosen: Chosen) -> None:
    """Windows and rules are right before anything is started."""
    from streams.declarations import load_declarations

    if chosen.get(STREAMS):
        load_declarations(settings)


PROGRAMS = (
    Program(
        STREAMS,
        "Hot path",
        _start,
        uses=("broker",),
        options=(Option(STREAMS, "Also compute windows, latest values and alarms within seconds."),),
        chosen_by=STREAMS,
        check=_check,
    ),
    # of its own, so that a receiver that hangs holds up no window
    Program(ACTIONS, "Actions", _start_actions, uses=("broker",), chosen_by=STREAMS),
)
