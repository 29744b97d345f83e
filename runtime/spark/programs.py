"""Programs: Spark as a process that `lakehouse up` keeps running.

Belongs here: that it is wanted, and where another one stands in. How it is configured is `connect_server`'s.
"""

from runtime.private_files import home_key
from runtime.processes import ProcessRecord
from runtime.programs import Chosen, Program
from runtime.settings import Settings

NAME = "spark"


def _start(settings: Settings, chosen: Chosen) -> ProcessRecord:
    from runtime.spark import connect_server

    return connect_server.start(settings)


def _elsewhere(settings: Settings) -> str | None:
    return settings.spark if settings.spark.startswith("sc://") else None


def _addresses(settings: Settings, address: str) -> dict[str, str]:
    """With the key, since whoever may connect may run what he likes."""
    is_ours = _elsewhere(settings) is None
    return {NAME: f"{address}/;token={home_key(settings, NAME)}" if is_ours else address}


PROGRAMS = (Program(NAME, "Spark Connect", _start, elsewhere=_elsewhere, addresses=_addresses),)
