"""Bronze to silver: the tick that appends what is new, and the rebuild that replaces slices.

Belongs here: which bronze rows are at hand and which earlier readings they may repeat, and the commits. What a record
means belongs in `transforms`, running that in `judging`.

Progress is one transaction version a table, the newest `ingest_id` that it holds. A tick commits `silver.rejected`
last, so its progress is the tick's; a table that a killed tick had already committed is ahead of it, and the next tick
leaves out of that table what it has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import duckdb
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lake.models.catalog import Model, silver_tables
from lake.slices import HOUR_MICROS, hours_by_date, predicate, runs_of, slice_start
from lake.sql_text import Query, Relation, relation
from lake.storage.applications import App
from lake.storage.delta import Rows, open_table, require_table
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.storage.open_logs import open_logs
from lake.storage.retention import final_before
from lake.storage.slice_commits import NewRows, append_once, replace_once
from lake.storage.spark_commits import ensure_table, progress_of
from lake.tables.bronze import BRONZE_TELEMETRY, OF_TELEMETRY
from lake.tables.contracts import Table
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, UNSLICED_SILVER
from pipeline.silver.judging import FINAL, Count, arrow_rows, counts, judging, refuse_repeats, take
from pipeline.silver.unpacking import unpack
from runtime.settings import Settings
from transforms.device_history import judging_facts
from transforms.payload import payloads_of
from transforms.readings import judged_telemetry, readings, rejected
from transforms.repeats import COLUMNS, IDENTITY
from transforms.strict_payload import Judgement, judge

Models = Mapping[str, Model]


@dataclass(frozen=True)
class SilverReport:
    """What a step wrote: rows a table, rejected records a reason, and the slices touched."""

    rows: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    slices: list[str] = field(default_factory=list)


def append_new(settings: Settings, models: Models, run_id: str) -> SilverReport:
    """Judge all bronze telemetry that silver does not have yet and append it, each record to one table, once.

    The tables are there (see `ensure_silver`).
    """
    tables = silver_tables(models.values())
    done = progress_of(settings, SILVER_REJECTED.name, App.TELEMETRY)
    target = progress_of(settings, BRONZE_TELEMETRY.name, App.INGEST)
    if target <= done:
        return SilverReport()
    with judging(settings) as connection:
        unpack(connection, settings, done, target, run_id)
        every = newest_rows(settings, BRONZE_TELEMETRY.name)
        new = Query(f"SELECT * FROM {every} WHERE ingest_id > {done} AND ingest_id <= {target}")
        _judge(connection, settings, models, new)
        touched = _slices_by_table(counts(connection, Relation("judged")))
        refuse_repeats(connection, _earlier_readings(connection, settings, tables, touched, done))
        final = counts(connection, FINAL)
        report = _report(final)
        metadata = {"step": "tick", "ingest_id": target, "run_id": run_id}
        for table in tables.values():
            slices = touched.get(table.name, [])
            if slices:
                reached = progress_of(settings, table.name, App.TELEMETRY)
                ours = readings(Relation(f"(FROM {FINAL} WHERE ingest_id > {reached})"), table, models)
                said = metadata | {"slices": runs_of(slices)}
                rows = _as_it_stands(connection, settings, table, ours)
                append_once(settings, table, NewRows(rows, said, _records(final, table.name), (App.TELEMETRY, target)))
        # closes the tick, so it is written even when nothing was rejected
        refused_in = touched.get(None, []) if not report.rejected else report.slices
        said = metadata | {"slices": runs_of(refused_in)}
        rows = partial(arrow_rows, connection, rejected(FINAL))
        append_once(settings, SILVER_REJECTED, NewRows(rows, said, _records(final, None), (App.TELEMETRY, target)))
    return report


@open_logs()
def rebuild_slices(spark: SparkSession, settings: Settings, models: Models, slices: list[str], run_id: str,
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
    hours = [int(slice_start(slice_).timestamp()) // 3600 for slice_ in slices]
    with judging(settings) as connection:
        _judge(connection, settings, models, _of_hours(settings, hours, hours, done))
        # a wrong clock's reading counts where it was received, yet its first may have come in another hour
        elsewhere = connection.execute(
            f"""SELECT DISTINCT epoch_us(measured_at) // {HOUR_MICROS} FROM judged
            WHERE ({predicate(slices)}) AND clock_status <> 'ok' AND measured_at IS NOT NULL"""
        ).fetchall()
        others = sorted({row[0] for row in elsewhere} - set(hours))
        if others:
            _judge(connection, settings, models, _of_hours(settings, hours + others, hours, done))
        refuse_repeats(connection, None)
        final = counts(connection, FINAL, predicate(slices))
        report = _report(final)
        ours = Relation(f"(FROM {FINAL} WHERE {predicate(slices)})")
        said = {"step": "rebuild", "slices": runs_of(slices), "run_id": run_id}
        for table in tables.values():
            rows = _as_it_stands(connection, settings, table, readings(ours, table, models))
            replace_once(settings, table, NewRows(rows, said, _records(final, table.name)), slices)
        # lifecycle records are not judged by slices: theirs stay
        kept = " UNION ALL ".join(
            f"SELECT * FROM {newest_rows(settings, SILVER_REJECTED.name)} WHERE {where} AND NOT ({OF_TELEMETRY})"
            for where in _in_slices(slices)
        )
        rows = _as_it_stands(connection, settings, SILVER_REJECTED, f"{rejected(ours)} UNION ALL BY NAME {kept}")
        replace_once(settings, SILVER_REJECTED, NewRows(rows, said, _records(final, None), closing), slices)
    return report


def ensure_silver(spark: SparkSession, settings: Settings, models: Models) -> dict[str, Table]:
    """Create or widen every silver table that the models declare; returns the reading tables by name."""
    tables = silver_tables(models.values())
    for table in (*tables.values(), SILVER_REJECTED, *UNSLICED_SILVER, BRONZE_TELEMETRY):
        ensure_table(spark, settings, table)
    return tables


def newest_rows(settings: Settings, table: str) -> Relation:
    """What stands behind FROM for a table as it is now, which must be there."""
    return scan(table_uri(settings, table), require_table(settings, table).version())


def _judge(connection: duckdb.DuckDBPyConnection, settings: Settings, models: Models, bronze: Query) -> None:
    """Judge the bronze rows of a query."""
    shapes = payloads_of(models.values())

    def closely(value: bytes | None, shape: int | None) -> Judgement:
        return judge(value, None if shape is None else shapes[shape])

    connection.execute(f"CREATE OR REPLACE TABLE facts AS {judging_facts(newest_rows(settings, SILVER_DEVICES.name))}")
    types = settings.telemetry_types
    take(connection, judged_telemetry(relation(bronze), Relation("facts"), models, types), closely)


def _as_it_stands(connection: duckdb.DuckDBPyConnection, settings: Settings, table: Table, rows: str) -> Rows:
    """The rows of a query in the columns that a table has, those that only earlier models had as null."""
    opened = open_table(settings, table.name)
    names = table.column_names if opened is None else [field.name for field in opened.schema().fields]
    columns = {name: f'"{name}"' for name in names}
    if set(names) != set(table.column_names):
        stands = connection.sql(f"FROM {newest_rows(settings, table.name)}")
        types = dict(zip(stands.columns, stands.types, strict=True))
        columns |= {name: f'NULL::{types[name]} AS "{name}"' for name in set(names) - set(table.column_names)}
    return partial(arrow_rows, connection, f"SELECT {', '.join(columns.values())} FROM ({rows})")


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


def _earlier_readings(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    tables: Mapping[str, Table],
    touched: Mapping[str | None, list[str]],
    done: int,
) -> Query | None:
    """SQL for the readings of earlier ticks that the new ones may repeat: those of the touched slices, where a repeat
    with a good clock lies, and those with a wrong clock at the same times, which may be parked in any slice."""
    parts: list[str] = []
    for name in tables:
        opened = open_table(settings, name) if done >= 0 and name in touched else None
        if opened is None or opened.version() == 0:
            continue
        ours = f"table_name = '{name}' AND reason IS NULL"
        first, last = connection.execute(
            f"SELECT epoch_us(min(measured_at)), epoch_us(max(measured_at)) FROM judged WHERE {ours}"
        ).fetchall()[0]
        source = scan(table_uri(settings, name), opened.version())
        for where in _near(touched[name], _has_parked(opened)):
            parts.append(
                f"""SELECT {COLUMNS} FROM (SELECT *, '{name}' AS table_name FROM {source}
                    WHERE {where} AND ingest_id <= {done}
                        AND measured_at BETWEEN make_timestamptz({first}) AND make_timestamptz({last})) e
                SEMI JOIN (FROM judged WHERE {ours}) USING ({", ".join(IDENTITY)})"""
            )
    return Query(" UNION ALL ".join(parts)) if parts else None


def _near(slices: Sequence[str], has_parked: bool) -> Iterator[str]:
    """Predicates of scans that together read what may be repeated."""
    yield from _in_slices(slices)
    for parked in ("clock_status < 'ok'", "clock_status > 'ok'") if has_parked else ():
        yield f"{parked} AND NOT ({predicate(slices)})"


def _has_parked(opened: DeltaTable) -> bool:
    """False when the log shows that no file has a reading with a wrong clock, which spares reading it twice more."""
    files = opened.get_add_actions(flatten=True)
    if not {"min.clock_status", "max.clock_status"} <= set(files.schema.names):
        return True
    limits = [*files["min.clock_status"].to_pylist(), *files["max.clock_status"].to_pylist()]
    return any(each != "ok" for each in limits)


def _in_slices(slices: Sequence[str]) -> Iterator[str]:
    """Predicates of scans that together read these slices; each compares with constants, to skip files."""
    for day, hours in hours_by_date(slices).items():
        listed = ", ".join(map(str, hours))
        within = f"event_hour BETWEEN {hours[0]} AND {hours[-1]} AND event_hour IN ({listed})"
        yield f"event_date = DATE '{day}' AND {within}"


def _records(found: list[Count], name: str | None) -> dict[str, int]:
    """Rows of each slice that come to a reading table, or to `silver.rejected` (None)."""
    records: dict[str, int] = {}
    for each in found:
        if (each.name if each.reason is None else None) == name:
            records[each.slice] = records.get(each.slice, 0) + each.records
    return records


def _report(found: list[Count]) -> SilverReport:
    rows: dict[str, int] = {}
    refused: dict[str, int] = {}
    for each in found:
        if each.reason is not None:
            refused[each.reason] = refused.get(each.reason, 0) + each.records
        elif each.name is not None:
            rows[each.name] = rows.get(each.name, 0) + each.records
    return SilverReport(rows, refused, sorted({each.slice for each in found}))
