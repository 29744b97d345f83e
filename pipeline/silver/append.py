"""Bronze to silver: the tick that appends what is new, and the rebuild that replaces slices.

Belongs here: which bronze rows are at hand and which earlier readings they may repeat, and the commits. What a record
means belongs in `transforms`, running that in `judging`.

Progress is one transaction version a table, the newest `ingest_id` that it holds. A tick commits `silver.rejected`
last, so its progress is the tick's; a table that a killed tick had already committed is ahead of it, and the next tick
leaves out of that table what it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import duckdb

from lake.models.catalog import Model, silver_tables
from lake.slices import HOUR_MICROS, predicate, runs_of, slice_start
from lake.sql_text import Query, Relation
from lake.storage.applications import App
from lake.storage.delta import Rows
from lake.storage.open_logs import open_logs
from lake.storage.retention import final_before
from lake.storage.skipping import DataFile
from lake.storage.slice_commits import NewRows, append_once, replace_once
from lake.storage.spark_commits import ensure_table, progress_of
from lake.tables.bronze import BRONZE_TELEMETRY, OF_TELEMETRY
from lake.tables.contracts import Table
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, UNSLICED_SILVER
from pipeline.engines import Engine, engine_for
from pipeline.silver.apart import Written, judge_apart
from pipeline.silver.bronze_portions import hour_files, new_files, new_portions, slice_portions
from pipeline.silver.judging import (
    FINAL,
    Count,
    arrow_rows,
    counts,
    judge_telemetry,
    judging,
    records_of,
    refuse_repeats,
)
from pipeline.silver.stored import columns_as_they_stand, earlier_readings, in_slices, newest_rows
from pipeline.silver.unpacking import unpack
from runtime.settings import Settings
from runtime.spark.connect_server import SparkSource
from transforms.device_history import judging_facts
from transforms.readings import readings, rejected

Models = Mapping[str, Model]


@dataclass(frozen=True)
class SilverReport:
    """What a step wrote: rows a table, rejected records a reason, and the slices touched."""

    rows: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    slices: list[str] = field(default_factory=list)


def append_new(settings: Settings, models: Models, run_id: str, spark: SparkSource | None = None) -> SilverReport:
    """Judge all bronze telemetry that silver does not have yet and append it, each record to one table, once.

    The tables are there (see `ensure_silver`). Without `spark` it is judged here.
    """
    tables = silver_tables(models.values())
    done = progress_of(settings, SILVER_REJECTED.name, App.TELEMETRY)
    target = progress_of(settings, BRONZE_TELEMETRY.name, App.INGEST)
    if target <= done:
        return SilverReport()
    with judging(settings) as connection:
        unpack(connection, settings, BRONZE_TELEMETRY, done, target, run_id)
        engine = _engine(settings, spark, new_files(settings, done, target))
        written = Written()
        if spark is not None and engine is Engine.SPARK:
            portions = new_portions(connection, settings, tables, done, target)
            written = judge_apart(spark(), connection, settings, models, portions)
        else:
            every = newest_rows(settings, BRONZE_TELEMETRY.name)
            new = f"ingest_id > {done} AND ingest_id <= {target}"
            _judge(connection, settings, models, Query(f"SELECT * FROM {every} WHERE {new}"))
        here = counts(connection, Relation("judged"))
        refuse_repeats(connection, earlier_readings(connection, settings, tables, _slices_by_table(here), done))
        touched = _slices_by_table([*written.counts, *here])
        final = counts(connection, FINAL)
        report = _report([*written.counts, *final])
        metadata = {"step": "tick", "ingest_id": target, "run_id": run_id, "engine": engine}
        closing = (App.TELEMETRY, target)
        for table in tables.values():
            slices = touched.get(table.name, [])
            if slices:
                reached = progress_of(settings, table.name, App.TELEMETRY)
                ours = readings(Relation(f"(FROM {FINAL} WHERE ingest_id > {reached})"), table, models)
                said = metadata | {"slices": runs_of(slices)}
                rows = _as_it_stands(connection, settings, table, ours)
                files = written.files.get(table.name, [])
                append_once(settings, table, NewRows(rows, said, records_of(final, table.name), closing, files))
        # closes the tick, so it is written even when nothing was rejected
        refused_in = touched.get(None, []) if not report.rejected else report.slices
        said = metadata | {"slices": runs_of(refused_in)}
        rows = partial(arrow_rows, connection, rejected(FINAL))
        files = written.files.get(SILVER_REJECTED.name, [])
        append_once(settings, SILVER_REJECTED, NewRows(rows, said, records_of(final, None), closing, files))
    return report


def _engine(settings: Settings, spark: SparkSource | None, files: Sequence[DataFile]) -> Engine:
    """The engine for what files of bronze hold; here where there is nothing, or no Spark."""
    return engine_for(settings, sum(file.records for file in files)) if spark is not None and files else Engine.HERE


def _judge(connection: duckdb.DuckDBPyConnection, settings: Settings, models: Models, bronze: Query) -> None:
    facts = judging_facts(newest_rows(settings, SILVER_DEVICES.name))
    judge_telemetry(connection, settings, models, facts, bronze)


@open_logs()
def rebuild_slices(spark: SparkSource, settings: Settings, models: Models, slices: list[str], run_id: str,
                   closing: tuple[str, int] | None = None) -> SilverReport:  # fmt: skip
    """Judge the bronze telemetry of these slices anew and replace them in every silver table.

    `closing` is an application and transaction version to record with the last commit: the caller's own progress.
    Takes bronze up to where silver has come, so that what is not ticked yet is not counted twice later. Final slices,
    of which bronze no longer has all records, stay as they are.
    """
    final_until = final_before(settings)
    slices = [slice_ for slice_ in slices if slice_ >= final_until]
    if not slices:
        return SilverReport()
    tables = ensure_silver(spark, settings, models)
    done = progress_of(settings, SILVER_REJECTED.name, App.TELEMETRY)
    hours = _hours(slices)
    engine = _engine(settings, spark, hour_files(settings, hours, ("measured_hour", "received_hour")))
    with judging(settings) as connection:
        written = Written()
        if engine is Engine.SPARK:
            written = judge_apart(
                spark(), connection, settings, models, slice_portions(connection, settings, slices, done)
            )
        else:
            _judge_hours(connection, settings, models, slices, done)
        refuse_repeats(connection, None)
        final = counts(connection, FINAL, predicate(slices))
        report = _report([*written.counts, *final])
        ours = Relation(f"(FROM {FINAL} WHERE {predicate(slices)})")
        said = {"step": "rebuild", "slices": runs_of(slices), "run_id": run_id, "engine": engine}
        for table in tables.values():
            rows = _as_it_stands(connection, settings, table, readings(ours, table, models))
            files = written.files.get(table.name, [])
            new = NewRows(rows, said, records_of(final, table.name), files=files)
            replace_once(settings, table, new, slices)
        # lifecycle records are not judged by slices: theirs stay
        kept = " UNION ALL ".join(
            f"SELECT * FROM {newest_rows(settings, SILVER_REJECTED.name)} WHERE {where} AND NOT ({OF_TELEMETRY})"
            for where in in_slices(slices)
        )
        rows = _as_it_stands(connection, settings, SILVER_REJECTED, f"{rejected(ours)} UNION ALL BY NAME {kept}")
        files = written.files.get(SILVER_REJECTED.name, [])
        new = NewRows(rows, said, records_of(final, None), closing, files)
        replace_once(settings, SILVER_REJECTED, new, slices)
    return report


def ensure_silver(spark: SparkSource, settings: Settings, models: Models) -> dict[str, Table]:
    """Create or widen every silver table that the models declare; returns the reading tables by name."""
    tables = silver_tables(models.values())
    for table in (*tables.values(), SILVER_REJECTED, *UNSLICED_SILVER, BRONZE_TELEMETRY):
        ensure_table(spark, settings, table)
    return tables


def _as_it_stands(connection: duckdb.DuckDBPyConnection, settings: Settings, table: Table, rows: str) -> Rows:
    """The rows of a query in the columns that a table has."""
    return partial(arrow_rows, connection, f"SELECT {columns_as_they_stand(connection, settings, table)} FROM ({rows})")


def _hours(slices: Sequence[str]) -> list[int]:
    return [int(slice_start(slice_).timestamp()) // 3600 for slice_ in slices]


def _judge_hours(
    connection: duckdb.DuckDBPyConnection, settings: Settings, models: Models, slices: Sequence[str], done: int
) -> None:
    """Judge what was measured or received in slices, and what records there may repeat."""
    hours = _hours(slices)
    _judge(connection, settings, models, _of_hours(settings, hours, hours, done))
    # a wrong clock's reading counts where it was received, yet its first may have come in another hour
    elsewhere = connection.execute(
        f"""SELECT DISTINCT epoch_us(measured_at) // {HOUR_MICROS} FROM judged
        WHERE ({predicate(slices)}) AND clock_status <> 'ok' AND measured_at IS NOT NULL"""
    ).fetchall()
    others = sorted({row[0] for row in elsewhere} - set(hours))
    if others:
        _judge(connection, settings, models, _of_hours(settings, hours + others, hours, done))


def _of_hours(settings: Settings, measured: Sequence[int], received: Sequence[int], done: int) -> Query:
    """SQL for the bronze rows measured or received in hours since 1970; two scans, as an OR would skip no files."""
    table = newest_rows(settings, BRONZE_TELEMETRY.name)

    def within(column: str, hours: Sequence[int]) -> str:
        listed = ", ".join(map(str, sorted(hours)))
        return f"{column} BETWEEN {min(hours)} AND {max(hours)} AND {column} IN ({listed})"

    by_clock = within("measured_hour", measured)
    return Query(
        f"""SELECT * FROM {table} WHERE ingest_id <= {done} AND {by_clock}
        UNION ALL SELECT * FROM {table} WHERE ingest_id <= {done} AND {within("received_hour", received)}
            AND NOT coalesce({by_clock}, false)"""
    )


def _slices_by_table(found: list[Count]) -> dict[str | None, list[str]]:
    """Touched slices by reading table; under None those with records refused for their own fault."""
    touched: dict[str | None, set[str]] = {}
    for each in found:
        touched.setdefault(each.name, set()).add(each.slice)
    return {name: sorted(slices) for name, slices in touched.items()}


def _report(found: list[Count]) -> SilverReport:
    rows: dict[str, int] = {}
    refused: dict[str, int] = {}
    for each in found:
        if each.reason is not None:
            refused[each.reason] = refused.get(each.reason, 0) + each.records
        elif each.name is not None:
            rows[each.name] = rows.get(each.name, 0) + each.records
    return SilverReport(rows, refused, sorted({each.slice for each in found}))
