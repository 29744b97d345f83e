"""Checks: the machine, the installation and the home.

Belongs here: what every part needs. A check looks and changes nothing that stays.
"""

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

from runtime import processes
from runtime.findings import Check, Finding, folder_finding, nearest_folder
from runtime.private_files import is_private
from runtime.settings import Settings, unknown_variables

NEEDED_DISK_MB = 1000
_PACKAGES = ("pyspark", "delta-spark", "deltalake", "duckdb", "dagster", "dbt-duckdb", "great-expectations")


def check_variables(settings: Settings) -> Finding:
    """Every LAKEHOUSE_* variable is one that is read."""
    unknown = unknown_variables()
    if unknown:
        return Finding("settings", False, f"not a setting: {', '.join(unknown)}", "Correct the name, or unset it.")
    return Finding("settings", True, f"home {settings.home}, lake {settings.lake_uri}")


def check_python(settings: Settings) -> Finding:
    """A Python that the pinned packages support."""
    found = f"{sys.version.split()[0]} at {sys.executable}"
    is_ok = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Finding("python", is_ok, found, "" if is_ok else "Install with Python 3.11, 3.12 or 3.13.")


def check_packages(settings: Settings) -> Finding:
    """The packages that do the work are installed."""
    try:
        return Finding("packages", True, ", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    except PackageNotFoundError as error:
        return Finding(
            "packages", False, f"{error.name} is not installed", "Run `make setup`, or install the package again."
        )


def check_disk(settings: Settings) -> Finding:
    """Room for data, logs and Spark's scratch files."""
    folder = nearest_folder(settings.home)
    free_mb = shutil.disk_usage(folder).free // 2**20
    is_ok = free_mb >= NEEDED_DISK_MB
    return Finding("disk", is_ok, f"{free_mb} MB free at {folder}", "" if is_ok else "Free some space.")


def check_home(settings: Settings) -> Finding:
    """The folder of state can be written; who made it open to others hears so."""
    if not is_private(settings.home) and os.access(settings.home, os.W_OK):
        return Finding("home", True, f"{settings.home}, which other users may enter: `chmod 700` it to keep them out")
    return folder_finding("home", settings.home, "Set LAKEHOUSE_HOME to a folder that you can write.")


def check_processes(settings: Settings) -> Finding:
    """What runs for this home; nothing has to."""
    running = processes.running_processes(settings)
    text = ", ".join(f"{r.name} (pid {r.pid}{', ' + r.address if r.address else ''})" for r in running)
    return Finding("processes", True, text or "nothing runs; a command starts what it needs, `lakehouse up` all")


CHECKS: tuple[Check, ...] = (
    check_variables,
    check_python,
    check_packages,
    check_disk,
    check_home,
    check_processes,
)
