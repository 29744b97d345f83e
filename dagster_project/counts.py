"""Counts: how many rows each slice has, as shown beside its materialization.

Belongs here: reading them where they are cheap, from file statistics and the candidate database. Judging counts belongs
in the gate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagster_project.spans import Slice
from lake.storage.delta import open_table
from lake.storage.locations import candidate_path
from lake.storage.slice_files import records_of, slice_files
from lake.storage.spark_commits import commits_after
from lake.tables.gold import DAILY, GOLD_TABLES, HOURLY
from pipeline.gate.candidates import attached, read_plan
from pipeline.gate.suites import period_column
from runtime.settings import Settings


@dataclass(frozen=True)
class Written:
    """A silver table as it is now: rows by slice, its Delta version, and the slices that were touched.

    Of the slices in `about` the rows are not known but for the others in their files, over which they are spread.
    """

    rows: Mapping[Slice, int]
    version: int
    touched: tuple[Slice, ...]
    about: frozenset[Slice] = frozenset()


def written_since(settings: Settings, table: str, version: int) -> Written | None:
    """A silver table and what our commits after `version` touched of it; None when there is no such table.

    Rows of hours that share a file are told as if they were spread over them.
    """
    opened = open_table(settings, table)
    if opened is None:
        return None
    if opened.metadata().partition_columns:
        touched = {slice_ for commit in commits_after(settings, table, version) for slice_ in commit.slices}
        files = slice_files(settings, table, opened)
        rows: dict[Slice, int] = dict(records_of(files).items())
        about = frozenset[Slice](slice_ for file in files if len(file.slices) > 1 for slice_ in file.slices)
        return Written(rows, opened.version(), tuple(sorted(touched)), about)
    counts = opened.get_add_actions(flatten=True)
    total = sum(counts["num_records"].to_pylist()) if counts.num_rows else 0
    return Written({None: total}, opened.version(), (None,) if opened.version() > version else ())


def candidate_rows(settings: Settings) -> dict[str, dict[Slice, int]]:
    """Rows by slice of each table in the candidate database; a staging table's are not sliced."""
    slices = {t.short_name: f"strftime({period_column(t)}, '%Y-%m-%dT%H')" for t in HOURLY}
    slices |= {t.short_name: f"{period_column(t)}::VARCHAR" for t in DAILY}
    gold = {table.short_name: table for table in GOLD_TABLES}
    with attached(settings, candidate_path(settings)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        plan = read_plan(connection)
        names = connection.sql(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_catalog = 'candidate' AND table_schema IN ('gold', 'staging') ORDER BY ALL"
        ).fetchall()
        found: dict[str, dict[Slice, int]] = {}
        for schema, name in names:
            slice_ = slices.get(name, "NULL") if name in gold else "NULL"
            counts = dict(
                connection.sql(f"SELECT {slice_}, count(*) FROM candidate.{schema}.{name} GROUP BY ALL").fetchall()
            )
            wanted: Sequence[Slice] = plan.slices_of(gold[name]) if name in slices else [None]
            found[name] = {each: counts.get(each, 0) for each in wanted}
    return found
