"""Checks: whether Spark answers, or could be started.

Belongs here: looking at Spark. Starting it is `connect_server`'s.
"""

from urllib.parse import urlsplit

import psutil

from runtime import processes
from runtime.errors import UsageError
from runtime.findings import Check, Finding
from runtime.ports import is_port_open
from runtime.settings import Settings
from runtime.spark.spark_configuration import NAME, needed_memory_mb


def check_memory(settings: Settings) -> Finding:
    """Room for a Spark that is not running yet."""
    available_mb = psutil.virtual_memory().available // 2**20
    found = f"{available_mb} MB available, Spark may take {settings.spark_memory}"
    if settings.spark.startswith("sc://") or processes.find(settings, NAME) is not None:
        return Finding("memory", True, found)
    try:
        is_ok = available_mb >= needed_memory_mb(settings)
    except UsageError as error:
        return Finding("memory", False, str(error), "Correct LAKEHOUSE_SPARK_MEMORY.")
    return Finding("memory", is_ok, found, "" if is_ok else "Close programs, or set LAKEHOUSE_SPARK_MEMORY lower.")


def is_listening(address: str) -> bool:
    """Whether a port is open there: of standby masters, `spark://one:7077,other:7077`, that of any."""
    kind, netloc = urlsplit(address).scheme, urlsplit(address).netloc
    places = [urlsplit(f"{kind}://{each}") for each in netloc.split(",")]
    return any(is_port_open(each.hostname or "", each.port or (15002 if kind == "sc" else 7077)) for each in places)


def check_spark(settings: Settings) -> Finding:
    """The configured Spark accepts connections, or the embedded one if it runs."""
    address = settings.spark
    advice = "Start that Spark, or correct LAKEHOUSE_SPARK."
    if address.startswith("local"):
        record = processes.find(settings, NAME)
        if record is None:
            return Finding("spark", True, f"embedded ({address}), not running")
        address = record.address
        advice = f"Run `lakehouse down`, then look at {processes.log_path(settings, NAME)}."
    parts = urlsplit(address)
    shown = f"{parts.scheme}://{parts.netloc}"  # without the secrets of an address
    if is_listening(address):
        return Finding("spark", True, f"answers at {shown}")
    return Finding("spark", False, f"does not answer at {shown}", advice)


CHECKS: tuple[Check, ...] = (
    check_memory,
    check_spark,
)
