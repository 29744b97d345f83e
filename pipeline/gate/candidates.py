"""Candidates: the DuckDB file with gold rows that are built but not judged or published.

Belongs here: opening that file beside the lake, reading the plan that it was built to, and checking that its tables are
as declared. The pipeline writes the plan and dbt the tables.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lake.local_days import UTC_ZONE
from lake.sql_text import quoted
from lake.storage.duckdb_connection import connect
from lake.tables.contracts import Table
from lake.tables.gold import DAILY, GOLD_TABLES, HOURLY, UNSLICED
from runtime.errors import StepError
from runtime.settings import Settings

SCHEMA = "candidate.gold"
"""Where the candidate tables are for an `attached` connection."""


@dataclass(frozen=True)
class Plan:
    """What a candidate was built for: hours, whole days, and the version of every input table.

    `inputs` are the silver tables, `published` the gold tables of the publication that it was built upon. Of `gone`
    hours gold is to have no row any more. `zones` are those by which days may be cut.
    """

    hours: tuple[str, ...]
    days: tuple[str, ...]
    inputs: Mapping[str, int]
    published: Mapping[str, int]
    gone: tuple[str, ...] = ()
    zones: tuple[str, ...] = (UTC_ZONE,)

    def slices_of(self, table: Table) -> tuple[str, ...]:
        """The slices of a gold table that the candidate holds."""
        return self.hours if table in HOURLY else self.days if table in DAILY else (UNSLICED,)


@contextmanager
def attached(settings: Settings, candidates: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that reads the candidate file as `candidate`. Raises StepError when there is none."""
    if not candidates.is_file():
        raise StepError(f"There is no gold candidate at {candidates}: build gold first (lakehouse refresh).")
    connection = connect(settings)
    try:
        _attach(connection, candidates)
        yield connection
    except duckdb.IOException as error:
        raise unreadable(candidates, error) from error
    finally:
        connection.close()


def _attach(connection: duckdb.DuckDBPyConnection, candidates: Path) -> None:
    try:
        connection.execute(f"ATTACH {quoted(str(candidates))} AS candidate (READ_ONLY)")
    except duckdb.Error as error:  # such as for a log that was left by a disk that was full in the end
        raise unreadable(candidates, error) from error


def unreadable(candidates: Path, error: duckdb.Error) -> StepError:
    """What is said of a candidate database that DuckDB does not open."""
    return StepError(f"The gold candidate {candidates} cannot be read: {error}. Build gold again.")


def read_plan(connection: duckdb.DuckDBPyConnection) -> Plan:
    """The plan of the attached candidate."""
    hours = connection.sql("SELECT DISTINCT strftime(slice_at, '%Y-%m-%dT%H') FROM candidate.plan.slices").fetchall()
    days = connection.sql("SELECT DISTINCT day_date::VARCHAR FROM candidate.plan.days").fetchall()
    gone = connection.sql("SELECT strftime(slice_at, '%Y-%m-%dT%H') FROM candidate.plan.gone").fetchall()
    zones = connection.sql("SELECT zone FROM candidate.plan.zones").fetchall()
    versions = dict(connection.sql("SELECT table_name, version FROM candidate.plan.tables").fetchall())
    return Plan(
        tuple(sorted(hour for (hour,) in hours)),
        tuple(sorted(day for (day,) in days)),
        {name: version for name, version in versions.items() if name.startswith("silver.")},
        {name: version for name, version in versions.items() if name.startswith("gold.")},
        tuple(sorted(hour for (hour,) in gone)),
        tuple(sorted(zone for (zone,) in zones)),
    )


def check_tables(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """Raises StepError when a gold table of the plan is missing or has other columns than declared."""
    rows = connection.sql(
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = 'candidate' AND schema_name = 'gold' ORDER BY table_name, column_index"
    ).fetchall()
    for table in GOLD_TABLES:
        found = tuple(column for name, column in rows if name == table.short_name)
        if plan.slices_of(table) and found != table.column_names:
            raise StepError(
                f"The candidate for {table.name} has the columns {', '.join(found) or 'of no table'}; declared are "
                f"{', '.join(table.column_names)}. Build gold again."
            )
