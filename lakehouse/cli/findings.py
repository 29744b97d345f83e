"""Doctor: what is installed, reachable and configured, and what to do about what is not.

Belongs here: one check a function, each giving a `Finding`. A check looks and changes nothing that stays. Printing
belongs to the command.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import s3fs
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

from lake.models.catalog import known_models
from lake.storage import duckdb_connection
from lake.storage.locations import s3fs_options
from runtime import processes
from runtime.errors import LakehouseError, PlatformError, UsageError
from runtime.java.jars import Kind, is_complete
from runtime.java.jvm import find_java, java_version
from runtime.kafka import broker
from runtime.ports import is_port_open
from runtime.settings import Settings, unknown_variables
from runtime.spark import connect_server

NEEDED_DISK_MB = 1000
_PACKAGES = ("pyspark", "delta-spark", "deltalake", "duckdb", "dagster", "dbt-duckdb", "great-expectations")


@dataclass(frozen=True)
class Finding:
    """What a check found. `advice` says what to do and is empty when `is_ok`."""

    name: str
    is_ok: bool
    found: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Run every check, in the order in which a problem should be mended. Takes up to some 10 s for what is silent."""
    return [check(settings) for check in _CHECKS]


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
    return Finding("python", is_ok, found, "" if is_ok else "Run `make setup` with Python 3.11, 3.12 or 3.13.")


def check_packages(settings: Settings) -> Finding:
    """The packages that do the work are installed."""
    try:
        return Finding("packages", True, ", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    except PackageNotFoundError as error:
        return Finding("packages", False, f"{error.name} is not installed", "Run `make setup`.")


def check_java(settings: Settings) -> Finding:
    """A JVM that Spark and Kafka run on."""
    try:
        java = find_java(settings.java_home)
        return Finding("java", True, f"Java {java_version(java)} at {java}")
    except PlatformError as error:
        return Finding("java", False, str(error), "Install Java 17 or newer, or run `make setup` again.")


def check_jars(settings: Settings) -> Finding:
    """The jars of the parts that this home starts itself are there."""
    needed: list[Kind] = []
    if settings.kafka_bootstrap is None:
        needed.append("kafka")
    if not settings.spark.startswith("sc://"):
        needed += ["spark", "s3"] if settings.is_s3 else ["spark"]
    missing = [kind for kind in needed if not is_complete(kind)]
    if missing:
        command = f"python -m runtime.java.jars {' '.join(missing)}"
        advice = f"Run `{command}`, or let the first command that needs them fetch them."
        return Finding("jars", False, f"missing: {', '.join(missing)}", advice)
    return Finding("jars", True, ", ".join(needed) or "none needed")


def check_disk(settings: Settings) -> Finding:
    """Room for data, logs and Spark's scratch files."""
    folder = _existing(settings.home)
    free_mb = shutil.disk_usage(folder).free // 2**20
    is_ok = free_mb >= NEEDED_DISK_MB
    return Finding("disk", is_ok, f"{free_mb} MB free at {folder}", "" if is_ok else "Free some space.")


def check_memory(settings: Settings) -> Finding:
    """Room for a Spark that is not running yet."""
    available_mb = psutil.virtual_memory().available // 2**20
    found = f"{available_mb} MB available, Spark may take {settings.spark_memory}"
    if settings.spark.startswith("sc://") or processes.find(settings, connect_server.NAME) is not None:
        return Finding("memory", True, found)
    try:
        is_ok = available_mb >= connect_server.needed_memory_mb(settings)
    except UsageError as error:
        return Finding("memory", False, str(error), "Correct LAKEHOUSE_SPARK_MEMORY.")
    return Finding("memory", is_ok, found, "" if is_ok else "Close programs, or set LAKEHOUSE_SPARK_MEMORY lower.")


def check_home(settings: Settings) -> Finding:
    """The folder of state can be written."""
    return _folder_finding("home", settings.home, "Set LAKEHOUSE_HOME to a folder that you can write.")


def check_lake(settings: Settings) -> Finding:
    """The lake can be written, listed and deleted from."""
    if not settings.is_s3:
        return _folder_finding(
            "lake", Path(settings.lake_uri), "Set LAKEHOUSE_LAKE_URI to a folder that you can write."
        )
    probe = f"{settings.lake_uri}/.lakehouse-doctor"
    try:
        options = s3fs_options(settings)
        config = {"connect_timeout": 5, "read_timeout": 5, "retries": {"max_attempts": 1}}
        fs = s3fs.S3FileSystem(**options, config_kwargs=config, skip_instance_cache=True)
        fs.pipe(probe, b"")
        fs.rm(probe)
    except (OSError, BotoCoreError) as error:
        where = f" at {settings.aws_endpoint_url}" if settings.aws_endpoint_url else ""
        return Finding(
            "lake", False, f"{settings.lake_uri}{where}: {error or type(error).__name__}",
            "Check that the bucket exists, and AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION.",
        )  # fmt: skip
    return Finding("lake", True, f"{settings.lake_uri} can be written")


def check_duckdb(settings: Settings) -> Finding:
    """DuckDB reads Delta with the installed extension."""
    try:
        duckdb_connection.connect(settings).close()
    except PlatformError as error:
        return Finding("duckdb", False, str(error), "Run `make setup` again.")
    return Finding("duckdb", True, "the delta extension loads")


def check_models(settings: Settings) -> Finding:
    """Every declared device model and quality file can be used."""
    try:
        models = known_models(settings)
    except LakehouseError as error:
        return Finding("models", False, str(error), f"Mend or remove the file in {settings.models_folder}.")
    return Finding("models", True, f"{len(models)} device models")


def check_processes(settings: Settings) -> Finding:
    """What runs for this home; nothing has to."""
    running = processes.running_processes(settings)
    text = ", ".join(f"{r.name} (pid {r.pid}{', ' + r.address if r.address else ''})" for r in running)
    return Finding("processes", True, text or "nothing runs; a command starts what it needs, `lakehouse up` all")


def check_broker(settings: Settings) -> Finding:
    """The configured broker answers, or the embedded one if it runs."""
    address = settings.kafka_bootstrap
    advice = "Start that broker, or correct LAKEHOUSE_KAFKA_BOOTSTRAP."
    if address is None:
        record = processes.find(settings, broker.NAME)
        if record is None:
            return Finding("broker", True, "embedded, not running")
        address = record.address
        advice = f"Run `lakehouse down`, then look at {processes.log_path(settings, broker.NAME)}."
    if broker.answers(address, timeout_s=3.0):
        return Finding("broker", True, f"answers at {address}")
    return Finding("broker", False, f"does not answer at {address}", advice)


def check_spark(settings: Settings) -> Finding:
    """The configured Spark accepts connections, or the embedded one if it runs."""
    address = settings.spark
    advice = "Start that Spark, or correct LAKEHOUSE_SPARK."
    if address.startswith("local"):
        record = processes.find(settings, connect_server.NAME)
        if record is None:
            return Finding("spark", True, f"embedded ({address}), not running")
        address = record.address
        advice = f"Run `lakehouse down`, then look at {processes.log_path(settings, connect_server.NAME)}."
    parts = urlsplit(address)
    if is_port_open(parts.hostname or "", parts.port or (15002 if parts.scheme == "sc" else 7077)):
        return Finding("spark", True, f"answers at {address}")
    return Finding("spark", False, f"does not answer at {address}", advice)


def check_ui_port(settings: Settings) -> Finding:
    """A port that was asked for is free, or the webserver's own."""
    if settings.ui_port is None:
        return Finding("ui port", True, "chosen when it starts")
    if processes.find(settings, "webserver") is None and is_port_open("127.0.0.1", settings.ui_port, 1.0):
        return Finding("ui port", False, f"{settings.ui_port} is taken by another program", "Set LAKEHOUSE_UI_PORT.")
    return Finding("ui port", True, str(settings.ui_port))


def _folder_finding(name: str, folder: Path, advice: str) -> Finding:
    existing = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding(name, False, f"{existing} cannot be written: {error.strerror}", advice)
    return Finding(name, True, f"{folder} can be written")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


_CHECKS: tuple[Callable[[Settings], Finding], ...] = (
    check_variables,
    check_python,
    check_packages,
    check_java,
    check_jars,
    check_disk,
    check_memory,
    check_home,
    check_lake,
    check_duckdb,
    check_models,
    check_processes,
    check_broker,
    check_spark,
    check_ui_port,
)
