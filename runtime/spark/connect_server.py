"""Spark: the embedded Spark Connect server and sessions on it.

Belongs here: the server's start and stop, and what a session is told. How the server is configured belongs in
`spark_configuration`, what is computed with a session in `ingestion` and `transforms`.

Spark runs as a process of its own so that every command, and every Dagster run, meets a warm JVM.
"""

import logging
import re
import shutil
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pyspark
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.connect.client.retries import DefaultPolicy

from runtime import processes
from runtime.errors import PlatformError
from runtime.java.jars import ensure
from runtime.ports import free_port, is_port_open
from runtime.private_files import home_key
from runtime.processes import ProcessRecord
from runtime.settings import Settings
from runtime.spark.spark_configuration import (
    NAME,
    needed_memory_mb,
    spark_configuration,
    spark_environment,
    write_files,
)

SparkSource = Callable[[], SparkSession]
"""Gives a session, always the same one, which is opened when it is first asked for: most ticks need none."""
SCRATCH = ("blockmgr-", "spark-")
"""How the folders begin that Spark makes in the work folder, and deletes when it ends by itself."""
_READY_S = 180.0
_START_ATTEMPTS = 3
_WORTH_COMPILING = 30_000
_NEARLY_UNIQUE = ("value", "ce_id", "ce_time", "offset", "measured_at")
_SESSION: dict[str, bool | float | int | str | None] = {
    "spark.sql.session.timeZone": "UTC",
    # a Kafka header may come twice, and the record must land all the same
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    # Kafka is left out of this list: its old source makes a Java object of every header of every record
    "spark.sql.sources.useV1SourceList": "avro,csv,json,orc,parquet,text",
    # rows of few partitions are written as they come rather than sorted first
    "spark.sql.maxConcurrentOutputFileWriters": "8",
    # Parquet's second version writes what a number or text adds to the one before: bronze is smaller,
    # written sooner and read as fast (docs/decisions/011)
    "parquet.writer.version": "v2",
    "spark.sql.parquet.compression.codec": "lz4_raw",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # nearly every value of these is another one, so their dictionaries would be built and thrown away
    **{f"parquet.enable.dictionary#{column}": "false" for column in _NEARLY_UNIQUE},
}

# a session still open when its server ends makes its client wait for the server as the program exits
# its value is where the server listens
_sessions: weakref.WeakKeyDictionary[SparkSession, str] = weakref.WeakKeyDictionary()


@contextmanager
def running_spark(settings: Settings) -> Iterator[str]:
    """An `sc://` address: the configured server's, the running embedded one's, or that of one started for the block.

    Raises PlatformError when a server that must be started does not start.
    """
    if settings.spark.startswith("sc://"):
        yield settings.spark
        return
    with processes.running(settings, NAME, lambda: start(settings)) as record:
        opened_before = set(_sessions)
        try:
            yield address_with_key(settings, record.address)
        finally:
            for session in set(_sessions) - opened_before:
                session.stop()


@contextmanager
def spark_on_demand(settings: Settings, tell: Callable[[str], None]) -> Iterator[SparkSource]:
    """A session that is opened, on a server that is started unless one runs, when the block first asks for it; told
    then, and given back with the block. Who asks may meet PlatformError."""
    opened: list[SparkSession] = []
    with ExitStack() as running:

        def session() -> SparkSession:
            if not opened:
                tell("Spark")
                opened.append(connect(running.enter_context(running_spark(settings))))
                running.callback(opened[0].stop)
                interpret_small(opened[0], 0)
            return opened[0]

        yield session


def address_with_key(settings: Settings, address: str) -> str:
    """The address of the home's own server, with the key that it asks for."""
    return f"{address}/;token={home_key(settings, NAME)}"


def connect(address: str) -> SparkSession:
    """A new session on a Spark Connect server, in UTC; its user stops it. Raises PlatformError when none answers."""
    parts = urlsplit(address)
    server = f"{parts.scheme}://{parts.hostname}:{parts.port or 15002}"  # without the secrets of an address
    if not is_port_open(parts.hostname or "", parts.port or 15002):
        raise PlatformError(f"Spark does not answer at {server}: `lakehouse doctor` says what runs and what does not.")
    # errors reach the caller as exceptions; this logger repeats them on stderr as JSON
    logging.getLogger("pyspark.sql.connect.logging").setLevel(logging.CRITICAL)
    session = SparkSession.builder.remote(address).create()  # asks nothing of the server yet
    # the default keeps asking a server that is gone for ten minutes, also when the program ends
    session.client.set_retry_policies([DefaultPolicy(max_retries=5, max_backoff=2000)])
    try:
        # as the builder does; there is no public way to set several at once
        session.conf._set_all(_SESSION, silent=True)  # type: ignore[attr-defined]  # Spark Connect's
    except PySparkException as error:
        session.client.close()  # else it asks once more when the program ends
        raise PlatformError(f"Spark at {server} gives no session: {reason_of(error)}.") from error
    _sessions[session] = server
    return session


def reason_of(error: PySparkException) -> str:
    """What a server says, where the client's error is a description of a remote call."""
    said = re.search(r'details = "(.*?)"', str(error))
    return said.group(1) if said is not None else str(error)


def open_sessions() -> list[tuple[SparkSession, str]]:
    """The sessions of this process that have not been stopped, each with its server's address."""
    return [(session, address) for session, address in _sessions.items() if not session.client.is_closed]


def start(settings: Settings) -> ProcessRecord:
    """Start it, when none runs, on a port that is free now.

    Another program may take it before Spark does, hence the attempts.
    """
    needed, available = needed_memory_mb(settings), psutil.virtual_memory().available // 2**20
    if available < needed:
        raise PlatformError(
            f"Spark may take {needed} MB of memory and {available} MB are available: close programs, or set "
            "LAKEHOUSE_SPARK_MEMORY lower (1g is enough for small lakes)."
        )
    sweep_scratch(settings)
    kinds = [ensure("spark")] + ([ensure("s3")] if settings.is_s3 else [])
    jars = [jar for folder in kinds for jar in sorted(folder.glob("*.jar"))]
    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            return _start_once(settings, jars)
        except PlatformError as error:
            if attempt == _START_ATTEMPTS or "bind" not in str(error).lower():
                raise
    raise AssertionError("unreachable")


def sweep_scratch(settings: Settings) -> None:
    """Delete what a Spark that was killed has left, which may be gigabytes; none may be running for this home."""
    for path in settings.work_folder.glob("*-*"):
        if path.name.startswith(SCRATCH) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _start_once(settings: Settings, jars: list[Path]) -> ProcessRecord:
    port = free_port()
    configuration = write_files(settings, spark_configuration(settings, jars, port))
    spark_home = Path(pyspark.__path__[0])
    command = [
        str(spark_home / "bin" / "spark-submit"),
        "--properties-file", str(configuration),
        "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
        "--name", "lakehouse",
        "spark-internal",
    ]  # fmt: skip
    # its client sends a key in clear to this name of loopback alone
    address = f"sc://localhost:{port}"
    record = processes.spawn(settings, NAME, command, address, spark_environment(settings, spark_home))
    with processes.stopped_on_failure(settings, NAME):
        processes.wait_until_ready(settings, record, lambda: is_port_open("127.0.0.1", port), _READY_S)
        _warm_up(address_with_key(settings, address), is_cluster=settings.spark.startswith("spark://"))
    return record


def _warm_up(address: str, *, is_cluster: bool) -> None:
    session = connect(address)
    try:
        # a query would wait for ever for a cluster's first worker
        session.version if is_cluster else session.sql("select 1").collect()
    except PySparkException as error:
        raise PlatformError(f"Spark started but cannot run a query: {error}.") from error
    finally:
        session.stop()


def interpret_small(spark: SparkSession, records: int) -> None:
    """Let the session interpret its plans when there is little to compute, and compile them when there is much.

    Compiling a plan's Java costs seconds, whatever the rows: interpreted, the first ticks of a server are the quicker.
    """
    is_small = records < _WORTH_COMPILING
    spark.conf.set("spark.sql.codegen.wholeStage", str(not is_small).lower())
    spark.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN" if is_small else "FALLBACK")
