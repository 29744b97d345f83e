"""Apart: bronze judged on Spark's executors, portion by portion.

Belongs here: which records may repeat others, handing out the portions and gathering what tasks wrote. The portions are
in `bronze_portions`, the tasks in `executor_tasks`, the commits in `append`.

No record travels: tasks read the files of bronze and write those of silver. Only repeats need records together, and
they are few, so first the hashes of all identities are counted. Records whose hash comes once, here and in earlier
readings nearby, go to silver from the task that judged them; the others are handed to the driver, which refuses
repeats among them as it does among all records of a tick that it judges itself.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import duckdb
import pyarrow as pa
from deltalake.transaction import AddAction
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ingestion.executor_probe import check_python
from lake.code_version import versions
from lake.models.catalog import Model, silver_tables
from lake.sql_text import Query, Relation
from lake.storage.applications import App
from lake.storage.delta import require_table
from lake.storage.lake_files import LakeFiles
from lake.storage.spark_commits import progress_of
from lake.storage.staging import stage, staged
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED
from pipeline.engines import TASKS
from pipeline.silver.bronze_portions import Portions, hashes_of
from pipeline.silver.executor_tasks import (
    COUNTS,
    FILE,
    SUSPECTS,
    Place,
    Sink,
    Work,
    find_identities,
    judge_portions,
)
from pipeline.silver.judging import Count, judge_telemetry
from pipeline.silver.stored import columns_as_they_stand, newest_rows
from runtime.errors import StepError
from runtime.settings import Settings
from runtime.spark.connect_server import reason_of
from transforms.device_history import judging_facts

Task = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


@dataclass
class Written:
    """What tasks wrote: files by silver table, and their records."""

    files: dict[str, list[AddAction]] = field(default_factory=dict)
    counts: list[Count] = field(default_factory=list)


def judge_apart(
    spark: SparkSession,
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    models: Mapping[str, Model],
    portions: Portions,
) -> Written:
    """Judge portions of bronze by tasks of Spark. What may be repeats is left in `connection`, as `judged`, those of
    other slices among it. Raises StepError; PlatformError when the executors' Python is not fit for it.
    """
    check_python(spark, settings, TASKS)
    place = Place(public_settings(settings), versions())
    facts = judging_facts(newest_rows(settings, SILVER_DEVICES.name))
    scratch = [stage(settings, SILVER_REJECTED, connection.sql(facts).to_arrow_table())]
    repeated = _repeated(spark, place, portions)
    if repeated.num_rows:
        scratch.append(stage(settings, SILVER_REJECTED, repeated))
    work = Work(
        place, dict(models), scratch[0], scratch[1] if repeated.num_rows else None,
        _sinks(connection, settings, models, is_anew=portions.slices is not None), portions,
    )  # fmt: skip
    written, suspects = Written(), []
    found = _gathered(
        _spread(spark, work.tasks, partial(judge_portions, work), "kind string, name string, said string")
    )
    for kind, table, said in zip(*(column.to_pylist() for column in found.columns), strict=True):
        if kind == FILE:
            written.files.setdefault(table, []).append(AddAction(**json.loads(said)))
        elif kind == COUNTS:
            written.counts += [Count(**each) for each in json.loads(said)]
        elif kind == SUSPECTS:
            suspects.append(said)
    _leave(connection, settings, models, portions, suspects)
    LakeFiles(settings).delete([*scratch, *suspects])
    return written


def public_settings(settings: Settings) -> Settings:
    """What executors need to know, without any secret."""
    return Settings(
        home=settings.home,
        lake_uri=settings.lake_uri,
        foreign_types=settings.foreign_types,
        spark_credentials=settings.spark_credentials,
        aws_region=settings.aws_region,
        aws_endpoint_url=settings.aws_endpoint_url,
    )


def _repeated(spark: SparkSession, place: Place, portions: Portions) -> pa.Table:
    """The hashes of identities that come more than once in the portions and the readings that these may repeat."""
    queries = (*map(hashes_of, (*portions.judged, *portions.beside)), *portions.earlier)
    found = _spread(spark, len(queries), partial(find_identities, place, queries), "identity bigint")
    return _gathered(found.groupBy("identity").count().where(F.col("count") > 1).select("identity"))


def _spread(spark: SparkSession, tasks: int, task: Task, columns: str) -> DataFrame:
    """A frame of what so many tasks say, each of which is told its number."""
    return spark.range(0, tasks, 1, tasks).mapInArrow(task, columns)


def _sinks(
    connection: duckdb.DuckDBPyConnection, settings: Settings, models: Mapping[str, Model], *, is_anew: bool
) -> tuple[Sink, ...]:
    sinks = []
    for table in (*silver_tables(models.values()).values(), SILVER_REJECTED):
        opened = require_table(settings, table.name)
        schema = pa.schema(opened.schema().to_arrow())
        columns = columns_as_they_stand(connection, settings, table)
        reached = -1 if is_anew else progress_of(settings, table.name, App.TELEMETRY)
        sinks.append(Sink(table, columns, schema, tuple(opened.metadata().partition_columns), reached))
    return tuple(sinks)


def _leave(
    connection: duckdb.DuckDBPyConnection, settings: Settings, models: Mapping[str, Model], portions: Portions,
    suspects: Sequence[str],
) -> None:  # fmt: skip
    """Put what tasks have judged and may be repeats where `judge_telemetry` puts what it has judged."""
    none = Query(f"{portions.judged[0]} LIMIT 0")
    of_nobody = judging_facts(Relation(f"(FROM {newest_rows(settings, SILVER_DEVICES.name)} LIMIT 0)"))
    judge_telemetry(connection, settings, models, of_nobody, none)
    connection.execute("CREATE OR REPLACE TABLE suspects AS FROM judged")
    if suspects:
        connection.execute(f"INSERT INTO suspects BY NAME FROM {staged(settings, suspects)}")
    connection.execute("CREATE OR REPLACE VIEW judged AS FROM suspects")


def _gathered(frame: DataFrame) -> pa.Table:
    """The rows of a frame. Raises StepError, with what an executor said last."""
    try:
        return frame.toArrow()
    except PySparkException as error:
        said = [line for line in str(error).splitlines() if line.strip() and not line.lstrip().startswith("at ")]
        ours = [line for line in said if "Error: " in line] or [reason_of(error)]
        hint = "" if "ModuleNotFoundError" not in ours[-1] else " Install the lakehouse in the executors' Python."
        raise StepError(f"Spark could not judge silver, which is as it was: {ours[-1].strip()[:300]}.{hint}") from error
