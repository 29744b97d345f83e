"""Checks: whether the lake is in this program's format, and whether a cluster's executors can do their part.

Belongs here: looking at the tables' formats and asking executors. Bringing tables up is `lake_upgrade`'s; what
executors are asked is `ingestion.executor_probe`'s.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from ingestion.kafka_offsets import broker_offsets
from lake.checks import check_lake
from lake.models.catalog import known_models
from lake.storage.delta import version_of
from lake.storage.format_version import FORMAT
from lake.storage.lake_files import LakeFiles
from lake.storage.locations import spark_uri
from lake.tables.bronze import BRONZE_LIFECYCLE
from pipeline.engines import TASKS, Engine
from pipeline.lake_upgrade import tables_behind
from runtime import processes
from runtime.errors import LakehouseError, LandingZoneError
from runtime.findings import Check, Finding
from runtime.kafka import broker
from runtime.settings import Settings
from runtime.spark.checks import is_listening
from runtime.wording import counted
from wire.envelope import TELEMETRY_TOPIC


def check_format(settings: Settings) -> Finding:
    """Every table that there is can be opened, and is in the format that this program writes."""
    try:
        behind = tables_behind(settings, known_models(settings))
    except LakehouseError as error:
        return Finding("format", False, str(error), "Mend what is named, and ask again.")
    if behind:
        found = f"in an earlier format than {FORMAT}: {counted(len(behind), 'table')}"
        return Finding("format", False, found, "Run `lakehouse upgrade`; until then the lake is used as it is.")
    return Finding("format", True, f"format {FORMAT}")


def check_executors(settings: Settings) -> Finding:
    """Executors of a cluster run a task, import what judges silver if they are to, and read the lake and Kafka.

    Takes the driver of this home, or one that is started for the question.
    """
    if not settings.spark.startswith("spark://"):
        return Finding("executors", True, "none of a cluster's are used")
    if not is_listening(settings.spark):
        return Finding("executors", True, "not known while Spark does not answer")
    if not check_lake(settings).is_ok:
        return Finding("executors", True, "not known while this machine cannot use the lake")
    try:
        bootstrap = _landing_zone(settings)
        _ask_executors(settings, bootstrap)
    except LakehouseError as error:
        return Finding("executors", False, str(error), "Mend what is named, on the cluster's machines or here.")
    read = "the lake" if bootstrap is None else "the lake and Kafka"
    python = "" if settings.engine == Engine.HERE else ", and their Python can judge silver"
    asked = "" if bootstrap is not None else "; of Kafka they were not asked, as no topic of it answers here"
    return Finding("executors", True, f"one of {settings.spark} reads {read}{python}{asked}")


def _landing_zone(settings: Settings) -> str | None:
    """Kafka's address, if it answers and has telemetry."""
    record = processes.find(settings, broker.NAME)
    address = settings.kafka_address or (record.address if record else None)
    if address is None or not broker.answers(address, timeout_s=3.0):
        return None
    try:
        broker_offsets(address, TELEMETRY_TOPIC)
    except LandingZoneError:  # a first tick makes the topic
        return None
    return address


def _ask_executors(settings: Settings, bootstrap: str | None) -> None:
    from ingestion import executor_probe  # these load Spark, which few homes have elsewhere
    from runtime.spark.connect_server import connect, running_spark

    tasks = None if settings.engine == Engine.HERE else TASKS
    with _a_file(settings) as file, running_spark(settings) as server:
        executor_probe.check_executors(connect(server), settings, bootstrap, TELEMETRY_TOPIC, tasks, file)


@contextmanager
def _a_file(settings: Settings) -> Iterator[str]:
    """A file of the lake, as Spark spells it: bronze's newest commit, or in a new lake one for as long as the block."""
    from ingestion.executor_probe import newest_commit_file

    if version_of(settings, BRONZE_LIFECYCLE.name) is not None:
        yield newest_commit_file(settings)
        return
    # Spark takes no file whose name begins with a dot
    files, name = LakeFiles(settings), f"lakehouse-doctor-{uuid4().hex}"
    files.write(name, b"asked\n")
    try:
        yield spark_uri(settings, name)
    finally:
        files.delete([name])


CHECKS: tuple[Check, ...] = (check_format, check_executors)
