"""The executors of a cluster: whether they can do what a tick will ask of them, told before it asks.

Belongs here: one small task each for executors at all, their Python, the lake and Kafka, all under one limit, and what
to mend when one does not end well. What a Python lacks is found by `executor_python`.
A local Spark shares the driver's machine, keys and routes, and is not asked.

Spark itself tries a task four times and says FAILED_READ_FILE after minutes; who has forgotten the keys of the workers
learns it here within 30 seconds, or as many as LAKEHOUSE_SPARK_WAIT_S gives.
"""

import json
import threading
import time
import weakref
from collections.abc import Callable, Iterable

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
from runtime.spark.executors import known_executors

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
    PlatformError within `spark_wait_s`, with what to mend; does nothing where Spark is no cluster of ours.
    """
    if not settings.spark.startswith("spark://"):
        return
    question = _Question(spark, settings.spark_wait_s)
    if fault := question.fault(lambda: spark.range(0, 1, 1, 1).count()):
        raise PlatformError(f"{_why_no_task(settings)} ({fault})")
    if tasks is not None:
        _check_python(question, settings, tasks)
    able = _able.setdefault(spark, set())
    if (settings.lake_uri, bootstrap or "") in able:
        return
    if file is None:
        ensure_table(lambda: spark, settings, BRONZE_LIFECYCLE)
        file = newest_commit_file(settings)
    question.ask(
        lambda: spark.read.text(file).count(),
        f"Executors of {settings.spark} cannot read the lake at {settings.lake_uri}: each machine needs a route to it, "
        "and keys in its environment, by its role, or in a file that LAKEHOUSE_SPARK_CREDENTIALS names. A lake in a "
        "folder must be mounted at the same path everywhere.",
    )  # fmt: skip
    if bootstrap is not None:
        question.ask(
            lambda: _read_newest(spark, bootstrap, topic),
            f"Executors of {settings.spark} cannot read Kafka at {bootstrap}: each machine must reach the addresses "
            "that the brokers advertise.",
        )  # fmt: skip
    able.add((settings.lake_uri, bootstrap or ""))


def check_python(spark: SparkSession, settings: Settings, tasks: str) -> None:
    """As `check_executors`, of the Python alone: for who has read the lake and Kafka otherwise."""
    if settings.spark.startswith("spark://"):
        _check_python(_Question(spark, settings.spark_wait_s), settings, tasks)


def newest_commit_file(settings: Settings) -> str:
    """The newest commit of bronze's smaller table, as Spark spells it: upkeep drops older ones."""
    version = version_of(settings, BRONZE_LIFECYCLE.name) or 0
    return f"{spark_uri(settings, BRONZE_LIFECYCLE.name)}/_delta_log/{version:020}.json"


def _why_no_task(settings: Settings) -> str:
    """Why executors run no task: there is none, or none that reaches this machine, or they have other things to do."""
    found, here = known_executors(settings), settings.spark_driver_host or "its own host name"
    if found.reaching:
        return f"Executors of {settings.spark} on {_listed(found.reaching)} end no task: have they other work to do?"
    if found.silent:
        return (
            f"Executors of {settings.spark} are started on {_listed(found.silent)}, and none reaches this machine at "
            f"{here}: LAKEHOUSE_SPARK_DRIVER_HOST must be a name or address of it that they have a way to. What they "
            "said stands there, in `stderr` below their worker's folder."
        )
    if found.is_known:
        return (
            f"No executor of {settings.spark} is started for this lakehouse: is a worker registered there with a core "
            "and 1 GB of memory to spare?"
        )
    return (
        f"No executor of {settings.spark} runs a task, nor has its master taken this lakehouse on: does it reach this "
        f"machine at {here} (LAKEHOUSE_SPARK_DRIVER_HOST)?"
    )


def _listed(hosts: Iterable[str]) -> str:
    return ", ".join(sorted(set(hosts)))


def _check_python(question: "_Question", settings: Settings, tasks: str) -> None:
    spark = question.spark
    able = _able.setdefault(spark, set())
    if (tasks,) not in able:
        question.ask(
            lambda: ask_python(spark, settings, tasks),
            f"Executors of {settings.spark} run a task, but none in Python: LAKEHOUSE_SPARK_PYTHON names theirs.",
        )
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


class _Question:
    """What is asked of executors, one after the other, all of which must have answered in `limit_s`."""

    def __init__(self, spark: SparkSession, limit_s: float) -> None:
        self.spark = spark
        self._limit_s = limit_s
        self._deadline = time.monotonic() + limit_s

    def ask(self, task: Callable[[], object], otherwise: str) -> None:
        """Run `task`. Raises PlatformError with `otherwise` and its fault."""
        if fault := self.fault(task):
            raise PlatformError(f"{otherwise} ({fault})")

    def fault(self, task: Callable[[], object]) -> str | None:
        """Run `task`, and give it up when the time is over; what Spark says, or that it says nothing."""
        left_s = max(self._deadline - time.monotonic(), 0.0)
        said: list[str] = []
        ours: list[Exception] = []

        def run() -> None:
            self.spark.addTag(_TAG)
            try:
                task()
            except PySparkException as error:
                said.append(reason_of(error).splitlines()[0][:300])
            except Exception as error:  # noqa: BLE001  # an answer too, for whoever waits
                ours.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(left_s)
        if thread.is_alive():
            self.spark.interruptTag(_TAG)
            more = f"LAKEHOUSE_SPARK_WAIT_S gives a slow cluster more than {self._limit_s:.0f} s"
            return f"No answer in {left_s:.0f} s; {more}."
        if ours:
            raise ours[0]
        return f"Spark says: {said[0]}" if said else None
