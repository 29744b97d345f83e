"""Programs: Spark as a process that `lakehouse up` keeps running.

Belongs here: that it is wanted, and where another one stands in. How it is configured is `connect_server`'s.
"""

from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Program
from runtime.settings import Settings


def _start(settings: Settings, chosen: Chosen) -> ProcessRecord:
    from runtime.spark import connect_server

    return connect_server.start(settings)


def _elsewhere(settings: Settings) -> str | None:
    return settings.spark if settings.spark.startswith("sc://") else None


PROGRAMS = (Program("spark", "Spark Connect", _start, elsewhere=_elsewhere),)
