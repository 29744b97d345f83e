"""The executors of a cluster: whether they can do what a tick will ask of them, told before it asks.

Belongs here: one small task each for executors at all, the lake and Kafka, and what to mend when one does not end well.
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

from ingestion.kafka_offsets import broker_offsets
from lake.storage.locations import spark_uri
from lake.storage.spark_commits import ensure_table
from lake.tables.bronze import BRONZE_LIFECYCLE
from runtime.errors import PlatformError
from runtime.kafka.clients import java_client_config
from runtime.settings import Settings
from runtime.spark.connect_server import reason_of

LIMIT_S = 25.0
_TAG = "lakehouse-probe"
_able: weakref.WeakKeyDictionary[SparkSession, set[tuple[str, str]]] = weakref.WeakKeyDictionary()
"""Which lakes and Kafkas the executors of a session have read."""


def check_executors(spark: SparkSession, settings: Settings, bootstrap: str, topic: str) -> None:
    """Let an executor run a task and, the first time in a session, read a file of the lake and a record of `topic`.

    Raises PlatformError within `LIMIT_S`, with what to mend; does nothing where Spark is no cluster of ours.
    """
    if not settings.spark.startswith("spark://"):
        return
    deadline = time.monotonic() + LIMIT_S
    here = settings.spark_driver_host or "its own host name (LAKEHOUSE_SPARK_DRIVER_HOST sets another)"
    _ask(
        spark, deadline, lambda: spark.range(0, 1, 1, 1).count(),
        f"No executor of {settings.spark} runs a task: are workers registered there with memory to spare, and do they "
        f"reach this machine at {here}?",
    )  # fmt: skip
    able = _able.setdefault(spark, set())
    if (settings.lake_uri, bootstrap) in able:
        return
    ensure_table(lambda: spark, settings, BRONZE_LIFECYCLE)
    first_commit = f"{spark_uri(settings, BRONZE_LIFECYCLE.name)}/_delta_log/{0:020}.json"
    _ask(
        spark, deadline, lambda: spark.read.text(first_commit).count(),
        f"Executors of {settings.spark} cannot read the lake at {settings.lake_uri}: each machine needs a route to it, "
        "and keys in its environment, by its role, or in a file that LAKEHOUSE_SPARK_CREDENTIALS names. A lake in a "
        "folder must be mounted at the same path everywhere.",
    )  # fmt: skip
    _ask(
        spark, deadline, lambda: _read_newest(spark, bootstrap, topic),
        f"Executors of {settings.spark} cannot read Kafka at {bootstrap}: each machine must reach the addresses that "
        "the brokers advertise.",
    )  # fmt: skip
    able.add((settings.lake_uri, bootstrap))


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
    said: list[str] = []

    def run() -> None:
        spark.addTag(_TAG)
        try:
            task()
        except PySparkException as error:
            said.append(reason_of(error).splitlines()[0][:300])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if thread.is_alive():
        spark.interruptTag(_TAG)
        raise PlatformError(f"{otherwise} (No answer in {LIMIT_S:.0f} s.)")
    if said:
        raise PlatformError(f"{otherwise} (Spark says: {said[0]})")
