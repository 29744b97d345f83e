"""Counts: how many rows each slice has, as shown beside its materialization.

Belongs here: reading them where they are cheap, from file statistics and the candidate database. Judging counts belongs
in the gate.
"""

from dataclasses import dataclass

import pyarrow as pa

from lake.candidates import DAILY, HOURLY, attached
from lake.commits import commits_after, open_table
from lake.settings import Settings
from lake.tables import GOLD_TABLES
from pipeline.gold import candidate_path

Slice = str | None
"""An hour, a day, or None for what is not sliced."""


@dataclass(frozen=True)
class Written:
    """Rows by slice of a table, and its Delta version; a slice that was emptied has 0."""

    rows: dict[Slice, int]
    version: int


def written_since(settings: Settings, table: str, version: int) -> Written | None:
    """What our commits after `version` touched of a silver table, counted as it is now; None when there are none."""
    opened = open_table(settings, table)
    if opened is None or opened.version() <= version:
        return None
    files = pa.table(opened.get_add_actions(flatten=True)).to_pylist()
    counts: dict[Slice, int] = {}
    for file in files:
        slice_ = f"{file['partition.event_date']}T{file['partition.event_hour']:02d}" if _is_sliced(file) else None
        counts[slice_] = counts.get(slice_, 0) + file["num_records"]
    if not files or _is_sliced(files[0]):
        touched = {slice_ for commit in commits_after(settings, table, version) for slice_ in commit.slices}
        return Written({slice_: counts.get(slice_, 0) for slice_ in sorted(touched)}, opened.version())
    return Written(counts, opened.version())


def candidate_rows(settings: Settings) -> dict[str, dict[Slice, int]]:
    """Rows by slice of each table in the candidate database; a staging table's are not sliced."""
    slices = {table.short_name: "strftime(hour_at, '%Y-%m-%dT%H')" for table in HOURLY}
    slices["device_minutes"] = "strftime(minute_at, '%Y-%m-%dT%H')"
    slices |= {table.short_name: "day_date::VARCHAR" for table in DAILY}
    planned = dict.fromkeys((t.short_name for t in HOURLY), "strftime(slice_at, '%Y-%m-%dT%H') FROM candidate.plan.slices")
    planned |= dict.fromkeys((t.short_name for t in DAILY), "day_date::VARCHAR FROM candidate.plan.days")
    gold = {table.short_name for table in GOLD_TABLES}
    with attached(settings, candidate_path(settings)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        names = connection.sql(
            "SELECT schema_name, table_name FROM duckdb_tables() "
            "WHERE database_name = 'candidate' AND schema_name IN ('gold', 'staging') ORDER BY ALL"
        ).fetchall()
        found: dict[str, dict[Slice, int]] = {}
        for schema, name in names:
            slice_ = slices.get(name, "NULL") if name in gold else "NULL"
            counts = dict(
                connection.sql(f"SELECT {slice_}, count(*) FROM candidate.{schema}.{name} GROUP BY ALL").fetchall()
            )
            wanted = [row[0] for row in connection.sql(f"SELECT {planned[name]}").fetchall()] if name in planned else [None]
            found[name] = {each: counts.get(each, 0) for each in wanted}
    return found


def _is_sliced(file: dict[str, object]) -> bool:
    return "partition.event_hour" in file
