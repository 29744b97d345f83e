"""Programs: commands of this project's own that `lakehouse up` keeps running.

Belongs here: programs that are a command. Programs of a room stand in that room; the list of all is `rooms`.
"""

from datetime import UTC, datetime

from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Option, Program, spawn_python
from runtime.settings import Settings

SIMULATOR = "simulator"
_YEAR_H = 8760


def start_simulator(settings: Settings, chosen: Chosen) -> ProcessRecord:
    """A fleet that sends in real time from now on."""
    start = datetime.now(UTC).replace(microsecond=0)
    arguments = ["-m", "lakehouse.cli", "simulate", "--speed", "1", "--devices", str(chosen["devices"])]
    arguments += ["--hours", str(_YEAR_H), "--start", start.isoformat()]
    return spawn_python(settings, SIMULATOR, arguments)


PROGRAMS = (
    Program(
        SIMULATOR,
        "Simulator",
        start_simulator,
        uses=("broker",),
        options=(
            Option("simulate", "Also simulate a fleet that sends in real time."),
            Option("devices", "Size of that fleet.", int, default=50, least=1),
        ),
        chosen_by="simulate",
    ),
)
