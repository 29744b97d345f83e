"""Process identity: which run of which program a number stands for, and where that number means anything.

Belongs here: telling a process from a later one with its number, a dead one from a living one, and this machine and
PID namespace from any other. Records of processes belong in `processes`.
"""

import os
from pathlib import Path

import psutil

_MACHINE_ID = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def has_ended(process: psutil.Process) -> bool:
    """Also of a zombie: what is killed stays one when process 1 does not reap, as in many containers."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def started_s(process: psutil.Process) -> float:
    """When a process started, in seconds since the machine did: setting the clock moves the time of both."""
    return process.create_time() - psutil.boot_time()


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
