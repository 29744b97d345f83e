"""Process identity: which run of which program a number stands for, and where that number means anything.

Belongs here: telling a process from a later one with its number, a dead one from a living one, and this machine and
PID namespace from any other. Records of programs belong in `process_records`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

_MACHINE_ID = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# the machine's start is told in whole seconds, rounded anew each time
_START_SLACK_S = 2.0


@dataclass(frozen=True)
class ProcessId:
    """One run of one program, told from a later one with its number.

    `started_s` counts from the start of the machine, which a clock that is set does not move; `place` is where the
    number means something (see `place()`).
    """

    pid: int
    started_s: float
    place: str

    @classmethod
    def of(cls, pid: int | None = None) -> Self:
        """A process that runs here, by default this one. Raises psutil.NoSuchProcess."""
        process = psutil.Process(pid)
        # setting the clock moves the time of both
        return cls(process.pid, process.create_time() - psutil.boot_time(), place())

    @classmethod
    def parse(cls, text: str) -> Self:
        """One from its text. Raises ValueError."""
        pid, started_s, where = text.split(" ", 2)
        return cls(int(pid), float(started_s), where)

    def __str__(self) -> str:
        return f"{self.pid} {self.started_s:.2f} {self.place}"

    @property
    def is_here(self) -> bool:
        """True when its number is one of those that this process sees; two places that are not known count as one."""
        return self.place == place()

    def find(self) -> psutil.Process | None:
        """The very process, be it a zombie by now; None when it is gone, or not here."""
        if not self.is_here:
            return None
        try:
            process = psutil.Process(self.pid)
            started_s = process.create_time() - psutil.boot_time()
        except psutil.NoSuchProcess:
            return None
        return process if abs(started_s - self.started_s) < _START_SLACK_S else None

    def is_alive(self) -> bool:
        """True when it runs, here."""
        process = self.find()
        return process is not None and not has_ended(process)


def has_ended(process: psutil.Process) -> bool:
    """Also of a zombie: what is killed stays one when process 1 does not reap, as in many containers."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def place() -> str:
    """Where this process's number means something: the machine, its run since the boot, its PID and time namespace.

    Two processes with the same place see each other. The name of a machine is no part of it, since containers and
    copied machines share names. Empty where the system does not say, or shows the processes of another namespace
    (`/proc` of the host in a container): then nobody can tell by its number whether a process lives.
    """
    boot_id = _read(_BOOT_ID)
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return ""
        # a kernel from before time namespaces has one time, and no file that names it
        kinds = [kind for kind in ("pid", "time") if os.path.lexists(f"/proc/self/ns/{kind}")]
        namespaces = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    except OSError:
        return ""
    machine_id = next(filter(None, map(_read, _MACHINE_ID)), "")
    return " ".join([machine_id, boot_id, *namespaces]) if boot_id and namespaces else ""


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
