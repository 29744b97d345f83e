"""Stored: the tables that silver's steps read and write, as they stand.

Belongs here: what stands behind FROM for them, in which columns rows come to them, and which earlier readings new ones
may repeat. What is done with the rows belongs in `append` and `apart`.
"""

from collections.abc import Iterator, Mapping, Sequence

import duckdb
from deltalake import DeltaTable

from lake.slices import hours_by_date, predicate
from lake.sql_text import Query, Relation
from lake.storage.delta import open_table, require_table
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.tables.contracts import Table
from runtime.settings import Settings
from transforms.repeats import IDENTITY, OF_ONE_TABLE


def newest_rows(settings: Settings, table: str) -> Relation:
    """What stands behind FROM for a table as it is now, which must be there."""
    return scan(table_uri(settings, table), require_table(settings, table).version())


def columns_as_they_stand(connection: duckdb.DuckDBPyConnection, settings: Settings, table: Table) -> str:
    """What to select for the columns that a table has, those that only earlier models had as null."""
    opened = open_table(settings, table.name)
    names = table.column_names if opened is None else [field.name for field in opened.schema().fields]
    columns = {name: f'"{name}"' for name in names}
    if set(names) != set(table.column_names):
        stands = connection.sql(f"FROM {newest_rows(settings, table.name)}")
        types = dict(zip(stands.columns, stands.types, strict=True))
        columns |= {name: f'NULL::{types[name]} AS "{name}"' for name in set(names) - set(table.column_names)}
    return ", ".join(columns.values())


def earlier_readings(
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
                f"""SELECT '{name}' AS table_name, {OF_ONE_TABLE}
                FROM {source} SEMI JOIN (FROM judged WHERE {ours}) USING ({", ".join(IDENTITY)})
                WHERE {where} AND ingest_id <= {done}
                    AND measured_at BETWEEN make_timestamptz({first}) AND make_timestamptz({last})"""
            )
    return Query(" UNION ALL ".join(parts)) if parts else None


def in_slices(slices: Sequence[str]) -> Iterator[str]:
    """Predicates of scans that together read these slices; each compares with constants, to skip files."""
    for day, hours in hours_by_date(slices).items():
        listed = ", ".join(map(str, hours))
        within = f"event_hour BETWEEN {hours[0]} AND {hours[-1]} AND event_hour IN ({listed})"
        yield f"event_date = DATE '{day}' AND {within}"


def _near(slices: Sequence[str], has_parked: bool) -> Iterator[str]:
    """Predicates of scans that together read what may be repeated."""
    yield from in_slices(slices)
    for parked in ("clock_status < 'ok'", "clock_status > 'ok'") if has_parked else ():
        yield f"{parked} AND NOT ({predicate(slices)})"


def _has_parked(opened: DeltaTable) -> bool:
    """False when the log shows that no file has a reading with a wrong clock, which spares reading it twice more."""
    files = opened.get_add_actions(flatten=True)
    if not {"min.clock_status", "max.clock_status"} <= set(files.schema.names):
        return True
    limits = [*files["min.clock_status"].to_pylist(), *files["max.clock_status"].to_pylist()]
    return any(each != "ok" for each in limits)
