"""Executors: which of them a cluster has given this home's driver, as the driver's log says.

Belongs here: reading those lines; that they are written is `spark_configuration`'s. What executors can do they are
asked by `ingestion.executor_probe`.

Spark Connect has no question for it, and its driver serves no page: that an executor was started and has never come is
said in the log alone.
"""

import re
from dataclasses import dataclass

from runtime import processes
from runtime.settings import Settings
from runtime.spark.spark_configuration import NAME

_TAKEN = "Connected to Spark cluster with app ID"
_GIVEN = re.compile(r"Granted executor ID \S+/(\d+) on hostPort (\S+):\d+ ")
_CAME = re.compile(r"Registered executor .* with ID (\d+),")
_ENDED = re.compile(r"Executor \S+/(\d+) removed: Command exited")
_LOST = re.compile(r"Executor \S+/(\d+) removed:|Lost executor (\d+) on ")


@dataclass(frozen=True)
class Executors:
    """The machines of executors that have reached the driver and are there, and of others that were started; nothing is
    known before the master has taken the driver on."""

    is_known: bool = False
    reaching: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


def known_executors(settings: Settings) -> Executors:
    """What the log of this home's driver says; nothing where it has none."""
    log = processes.log_path(settings, NAME)
    return executors_in(log.read_text(errors="replace") if log.exists() else "")


def executors_in(log: str) -> Executors:
    """The executors that a driver's log tells of. One that ended by itself before it came counts as started, since the
    cluster starts another in its place, again and again; one that went with its worker does not."""
    started: dict[str, str] = {}
    came: set[str] = set()
    ended: set[str] = set()
    lost: set[str] = set()
    for line in log.splitlines():
        if found := _GIVEN.search(line):
            started[found[1]] = found[2]
        elif found := _CAME.search(line):
            came.add(found[1])
        elif found := _ENDED.search(line):
            ended.add(found[1])
        elif found := _LOST.search(line):
            lost.add(found[1] or found[2])
    reaching = [host for each, host in started.items() if each in came - ended - lost]
    silent = [host for each, host in started.items() if each not in came | lost]
    return Executors(_TAKEN in log, tuple(reaching), tuple(silent))
