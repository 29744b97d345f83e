"""The executors of a cluster: whether they can do what a tick will ask of them, told before it asks.

Belongs here: one small task each for executors at all, their Python, the lake and Kafka, all under one limit, and what
to mend when one does not end well. What a Python lacks is found by `executor_python`.
A local Spark shares the driver's machine, keys and routes, and is not asked.

Spark itself tries a task four times and says FAILED_READ_FILE after minutes; who has forgotten the keys of the workers
learns it here within 30 seconds.
"""

import json
import threading
import time
import weakref
from collections.abc import Callable

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ingestion.executor_python import ask_python
from ingestion.kafka_offsets import broker_offsets
from lake.storage.delta import version_of
from lake.storage.locations import spark_uri
from lake.storage.spark_commits import ensure_table
from lake.tables.bronze import BRONZE_LIFECYCLE
from runtime.errors import PlatformError
from runtime.kafka.clients import java_client_config
from runtime.settings import Settings
from runtime.spark.connect_server import reason_of

LIMIT_S = 25.0
_TAG = "lakehouse-probe"
_able: weakref.WeakKeyDictionary[SparkSession, set[tuple[str, ...]]] = weakref.WeakKeyDictionary()
"""Which lakes and Kafkas the executors of a session have read, and which modules their Python has imported."""


def check_executors(
    spark: SparkSession, settings: Settings, bootstrap: str | None, topic: str, tasks: str | None = None,
    file: str | None = None,
) -> None:  # fmt: skip
    """Let an executor run a task and, the first time in a session, import `tasks`, if Python is to do something, and
    read a file of the lake and a record of `topic`, if there is a Kafka.

    The file is `file`, as Spark spells it, or the newest commit of a table that is made unless it is there. Raises
    PlatformError within `LIMIT_S`, with what to mend; does nothing where Spark is no cluster of ours.
    """
    if not settings.spark.startswith("spark://"):
        return
    deadline = time.monotonic() + LIMIT_S
    here = settings.spark_driver_host or "its own host name (LAKEHOUSE_SPARK_DRIVER_HOST sets another)"
    _ask(
        spark, deadline, lambda: spark.range(0, 1, 1, 1).count(),
        f"No executor of {settings.spark} runs a task: are workers registered there with a core and memory to spare, "
        f"and do they reach this machine at {here}?",
    )  # fmt: skip
    if tasks is not None:
        _check_python(spark, settings, tasks, deadline)
    able = _able.setdefault(spark, set())
    if (settings.lake_uri, bootstrap or "") in able:
        return
    if file is None:
        ensure_table(lambda: spark, settings, BRONZE_LIFECYCLE)
        file = newest_commit_file(settings)
    _ask(
        spark, deadline, lambda: spark.read.text(file).count(),
        f"Executors of {settings.spark} cannot read the lake at {settings.lake_uri}: each machine needs a route to it, "
        "and keys in its environment, by its role, or in a file that LAKEHOUSE_SPARK_CREDENTIALS names. A lake in a "
        "folder must be mounted at the same path everywhere.",
    )  # fmt: skip
    if bootstrap is not None:
        _ask(
            spark, deadline, lambda: _read_newest(spark, bootstrap, topic),
            f"Executors of {settings.spark} cannot read Kafka at {bootstrap}: each machine must reach the addresses "
            "that the brokers advertise.",
        )  # fmt: skip
    able.add((settings.lake_uri, bootstrap or ""))


def check_python(spark: SparkSession, settings: Settings, tasks: str) -> None:
    """As `check_executors`, of the Python alone: for who has read the lake and Kafka otherwise."""
    if settings.spark.startswith("spark://"):
        _check_python(spark, settings, tasks, time.monotonic() + LIMIT_S)


def newest_commit_file(settings: Settings) -> str:
    """The newest commit of bronze's smaller table, as Spark spells it: upkeep drops older ones."""
    version = version_of(settings, BRONZE_LIFECYCLE.name) or 0
    return f"{spark_uri(settings, BRONZE_LIFECYCLE.name)}/_delta_log/{version:020}.json"


def _check_python(spark: SparkSession, settings: Settings, tasks: str, deadline: float) -> None:
    able = _able.setdefault(spark, set())
    if (tasks,) not in able:
        _ask(
            spark, deadline, lambda: ask_python(spark, settings, tasks),
            f"Executors of {settings.spark} run a task, but none in Python: LAKEHOUSE_SPARK_PYTHON names theirs.",
        )  # fmt: skip
        able.add((tasks,))


def _read_newest(spark: SparkSession, bootstrap: str, topic: str) -> None:
    """The newest record of each partition; of an empty topic nothing is read."""
    offsets = {p: span for p, span in broker_offsets(bootstrap, topic).items() if span[1] > span[0]}
    if not offsets:
        return
    starts = {topic: {str(p): end - 1 for p, (_, end) in offsets.items()}}
    ends = {topic: {str(p): end for p, (_, end) in offsets.items()}}
    kafka = {f"kafka.{name}": value for name, value in java_client_config(bootstrap).items()}
    places = {"assign": json.dumps({topic: sorted(offsets)}), "startingOffsets": json.dumps(starts)}
    spark.read.format("kafka").options(**kafka, **places, endingOffsets=json.dumps(ends)).load().count()


def _ask(spark: SparkSession, deadline: float, task: Callable[[], object], otherwise: str) -> None:
    """Run `task`, and give it up at `deadline`. Raises PlatformError with `otherwise` and what Spark says."""
    left_s = max(deadline - time.monotonic(), 0.0)
    said: list[str] = []
    ours: list[Exception] = []

    def run() -> None:
        spark.addTag(_TAG)
        try:
            task()
        except PySparkException as error:
            said.append(reason_of(error).splitlines()[0][:300])
        except Exception as error:  # noqa: BLE001  # an answer too, for whoever waits
            ours.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if thread.is_alive():
        spark.interruptTag(_TAG)
        raise PlatformError(f"{otherwise} (No answer in {left_s:.0f} s.)")
    if ours:
        raise ours[0]
    if said:
        raise PlatformError(f"{otherwise} (Spark says: {said[0]})")
