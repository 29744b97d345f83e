"""Programs: the hot path as a process that `lakehouse up --streams` keeps running.

Belongs here: that it is one, and what it uses. What it does is in `loop`.
"""

from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Option, Program, spawn_python
from runtime.settings import Settings

STREAMS = "streams"


def _start(settings: Settings, chosen: Chosen) -> ProcessRecord:
    return spawn_python(settings, STREAMS, ["-m", "streams"])


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
)
