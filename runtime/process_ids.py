"""Process identity: which run of which program a number stands for.

Belongs here: telling a process from a later one with its number, and a dead one from a living one. Records of processes
belong in `processes`.
"""

from pathlib import Path

import psutil


def has_ended(process: psutil.Process) -> bool:
    """Also of a zombie: what is killed stays one when process 1 does not reap, as in many containers."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def started_s(process: psutil.Process) -> float:
    """When a process started, in seconds since the machine did: setting the clock moves the time of both."""
    return process.create_time() - psutil.boot_time()


def boot_id() -> str:
    """What tells this run of the machine from the one before; empty where the system does not say."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""
