"""Executor tasks: what one of Spark's executors does with a portion of a tick.

Belongs here: the tasks, each of which reads files of the lake by itself, runs the SQL of `transforms` in a DuckDB of
its own and says in a few rows what it found or wrote. Which portions there are, and the commit of what was written,
belong in `apart`.

A task runs where neither the driver's variables nor its folders are: keys are those of its own machine. It may run
twice, or die in between: what it wrote counts only when its rows have reached the driver, and the commit names it.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from lake.code_version import check_versions
from lake.models.catalog import Model
from lake.slices import predicate
from lake.sql_text import Expression, Query, Relation
from lake.storage.parquet_files import write_files
from lake.storage.staging import stage, staged
from lake.tables.contracts import Table
from lake.tables.silver import SILVER_REJECTED
from pipeline.silver.bronze_portions import Portions
from pipeline.silver.judging import FINAL, arrow_rows, counts, judge_telemetry, judging_in, records_of
from runtime.errors import PlatformError
from runtime.settings import Settings
from transforms.readings import readings, rejected
from transforms.repeats import identity_hash

IDENTITIES = pa.schema([("identity", pa.int64())])
FOUND = pa.schema([("kind", pa.string()), ("name", pa.string()), ("said", pa.string())])
FILE, COUNTS, SUSPECTS = "file", "counts", "suspects"
"""What a row of FOUND is: a file that was written, records counted, the path of records that may be repeats."""


@dataclass(frozen=True)
class Place:
    """What tasks are told of the lake, and the versions that must judge alike; no secret is among it."""

    settings: Settings
    versions: str


@dataclass(frozen=True)
class Sink:
    """A silver table: what it is given, in which form, and the `ingest_id` up to which it has all rows."""

    table: Table
    columns: str
    schema: pa.Schema
    partition_by: tuple[str, ...]
    reached: int


@dataclass(frozen=True)
class Work:
    """What is to be judged. `facts` and `suspects` are staged; without suspects nothing is repeated."""

    place: Place
    models: Mapping[str, Model]
    facts: str
    suspects: str | None
    sinks: tuple[Sink, ...]
    portions: Portions

    @property
    def tasks(self) -> int:
        """How many portions there are to judge."""
        return len(self.portions.judged) + (0 if self.suspects is None else len(self.portions.beside))


def find_identities(
    place: Place, queries: tuple[Query, ...], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The results of the queries that the rows of `batches` number."""
    for number in _numbers(batches):
        with _working(place) as (connection, _):
            yield from connection.sql(queries[number]).to_arrow_reader(1_000_000).cast(IDENTITIES)


def judge_portions(work: Work, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Judge the portions that the rows of `batches` number, and write what is no repeat to files of silver's tables."""
    for number in _numbers(batches):
        with _working(work.place) as (connection, settings):
            rows = list(_judged(connection, settings, work, number))
        columns = [list(column) for column in zip(*rows, strict=True)]
        yield pa.RecordBatch.from_arrays([pa.array(each, pa.string()) for each in columns], schema=FOUND)


def _judged(
    connection: duckdb.DuckDBPyConnection, settings: Settings, work: Work, number: int
) -> Iterator[tuple[str, str, str]]:
    portions, may_repeat = work.portions, "false"
    bronze = (*portions.judged, *portions.beside)[number]
    if work.suspects is not None:
        connection.execute(f"CREATE TABLE suspects AS FROM {staged(settings, [work.suspects])}")
        may_repeat = f"(reason IS NULL AND {_is_suspect('source', 'message_id')})"
        if number >= len(portions.judged):
            bronze = Query(f"SELECT * FROM ({bronze}) WHERE {_is_suspect('ce_source', 'ce_id')}")
    facts = Query(f"FROM {staged(settings, [work.facts])}")
    judge_telemetry(connection, settings, work.models, facts, bronze)
    if work.suspects is not None:
        found = connection.sql(f"FROM judged WHERE {may_repeat}").to_arrow_table()
        if found.num_rows:
            yield SUSPECTS, SILVER_REJECTED.name, stage(settings, SILVER_REJECTED, found)
    wanted = "true" if portions.slices is None else predicate(portions.slices)
    connection.execute(
        f"CREATE VIEW {FINAL} AS SELECT *, NULL::VARCHAR AS repeats FROM judged WHERE ({wanted}) AND NOT {may_repeat}"
    )
    counted = counts(connection, FINAL)
    yield COUNTS, "", json.dumps([asdict(each) for each in counted])
    for sink in work.sinks:
        name = None if sink.table == SILVER_REJECTED else sink.table.name
        records = records_of(counted, name)
        if not records:
            continue
        rows = rejected(FINAL)
        if name is not None:
            ours = Relation(f"(FROM {FINAL} WHERE ingest_id > {sink.reached})")
            rows = Query(f"SELECT {sink.columns} FROM ({readings(ours, sink.table, work.models)})")
        reader = arrow_rows(connection, rows).cast(sink.schema)
        for action in write_files(settings, sink.table, reader, sink.partition_by, records):
            yield FILE, sink.table.name, json.dumps(asdict(action))


def _is_suspect(source: str, message_id: str) -> Expression:
    hashed = identity_hash(*map(Expression, (source, message_id, "measured_at")))
    return Expression(f"{hashed} IN (FROM suspects)")


def _numbers(batches: Iterable[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()


@contextmanager
def _working(place: Place) -> Iterator[tuple[duckdb.DuckDBPyConnection, Settings]]:
    """A connection with one thread, since Spark gives a task one core. Raises PlatformError."""
    check_versions(place.versions)
    settings = _with_own_keys(place.settings)
    with tempfile.TemporaryDirectory() as folder, judging_in(settings, Path(folder), threads=1) as connection:
        yield connection, settings


def _with_own_keys(settings: Settings) -> Settings:
    """With the keys of this machine: its environment's, its file's or its role's."""
    if not settings.is_s3:
        return settings
    import botocore.session  # type: ignore[import-untyped]  # which a lake in a folder does not need

    session = botocore.session.Session()
    if settings.spark_credentials:
        session.set_config_variable("credentials_file", settings.spark_credentials)
    found = session.get_credentials()
    if found is None:
        raise PlatformError(f"An executor has no keys for {settings.lake_uri}: see LAKEHOUSE_SPARK_CREDENTIALS.")
    keys = found.get_frozen_credentials()
    return replace(
        settings, aws_access_key_id=keys.access_key, aws_secret_access_key=keys.secret_key, aws_session_token=keys.token
    )
