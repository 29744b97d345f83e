"""Profiles: one row a slice with counts of what is wrong, computed by DuckDB where the rows are.

Belongs here: what silver and gold profiles share: the slices at hand, scans that skip files, and the part of a profile
that follows from a table's declaration. The rest is in `silver_profiles` and `gold_profiles`, the limits in `suites`.

Every scan names the partitions in comparisons with constants: delta_scan skips files by those alone, not by `IN`, `OR`,
joins or timestamps.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

import duckdb
import numpy as np
import pandas as pd

from lake.slices import day_of, runs_of, slice_start
from lake.sql_text import Expression, Query, quoted, quoted_names, relation
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.tables.contracts import Table
from runtime.settings import Settings

# A branch of the scan costs some 10 ms, whatever it reads; more gaps than this between the slices are read over.
_MAX_RUNS = 24
_HASHES_AT_ONCE = 50_000_000  # 0.4 GB, and as much again while they are fetched


def create_slices(connection: duckdb.DuckDBPyConnection, slices: Iterable[str]) -> None:
    """Create the table `judged_slices` (slice, event_date, event_hour, hour_number since 1970) of hours.

    Slices are an enumeration: each row of the lake gets its slice, and to group by texts takes longer.
    """
    known = sorted(set(slices))
    rows = [(slice_, day_of(slice_), int(slice_[11:]), hour_number(slice_)) for slice_ in known]
    frame = pd.DataFrame(rows, columns=["slice", "event_date", "event_hour", "hour_number"])
    connection.register("judged_frame", frame)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE judged_slices AS "
        f"SELECT slice::ENUM({', '.join(map(quoted, known or ['']))}) AS slice, event_date::DATE AS event_date, "
        "event_hour::INTEGER AS event_hour, hour_number::BIGINT AS hour_number FROM judged_frame"
    )
    connection.unregister("judged_frame")


def hour_number(slice_: str) -> int:
    """Hours since 1970 of a slice."""
    return int(slice_start(slice_).timestamp()) // 3600


def covering_runs(slices: Iterable[str]) -> list[tuple[int, int]]:
    """Runs (first, last hour since 1970, both included) that cover the slices; the smallest gaps are filled."""
    runs = [(hour_number(first), hour_number(first) + count - 1) for first, count in runs_of(slices)]
    gaps = sorted(range(1, len(runs)), key=lambda i: runs[i][0] - runs[i - 1][1])
    filled = set(gaps[: max(0, len(runs) - _MAX_RUNS)])
    covering: list[tuple[int, int]] = []
    for i, (first, last) in enumerate(runs):
        if i in filled:
            covering[-1] = (covering[-1][0], last)
        else:
            covering.append((first, last))
    return covering


def partition_boxes(first: int, last: int) -> list[str]:
    """Predicates on event_date and event_hour that together select the hours from `first` to `last`, none twice."""
    first_day, last_day = first // 24, last // 24
    if first_day == last_day:
        return [_box(first_day, last_day, first % 24, last % 24)]
    boxes = []
    if first % 24:
        boxes.append(_box(first_day, first_day, first % 24, 23))
        first_day += 1
    if last % 24 < 23:
        boxes.append(_box(last_day, last_day, 0, last % 24))
        last_day -= 1
    return boxes + ([_box(first_day, last_day, 0, 23)] if first_day <= last_day else [])


def window_scan(
    settings: Settings, table: str, version: int, runs: Iterable[tuple[int, int]], columns: Iterable[str]
) -> Query:
    """SQL for `columns` of the rows in runs of hours (see `covering_runs`) of a table partitioned by event_date, and by
    event_hour unless the runs are whole days."""
    source = scan(table_uri(settings, table), version)
    names = quoted_names(dict.fromkeys([*columns, "event_date", "event_hour"]))
    boxes = [box for first, last in runs for box in partition_boxes(first, last)]
    return Query(" UNION ALL ".join(f"SELECT {names} FROM {source} WHERE {box}" for box in boxes))


def sliced_scan(settings: Settings, table: str, version: int, slices: Iterable[str], columns: Iterable[str]) -> Query:
    """SQL for `columns`, `slice` and `hour_number` of the rows that lie in `judged_slices`, which holds `slices`."""
    rows = window_scan(settings, table, version, covering_runs(slices), columns)
    return Query(f"SELECT * FROM {relation(rows)} JOIN judged_slices USING (event_date, event_hour)")


def columns_of(connection: duckdb.DuckDBPyConnection, settings: Settings, table: str, version: int) -> set[str]:
    """The columns that a table has at a version: one pinned before a model grew lacks the model's new columns."""
    rows = connection.sql(f"DESCRIBE SELECT * FROM {scan(table_uri(settings, table), version)}").fetchall()
    return {row[0] for row in rows}


def declared_profile(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: Query, aggregates: Mapping[str, str]
) -> str:
    """CTEs `rows`, `counts` and `repeats` (all by `slice`) of a profile: row count, nulls in required columns, repeated
    keys, and more `aggregates` (name to SQL)."""
    required = [column.name for column in table.columns if not column.nullable]
    more = "".join(f", {sql} AS {name}" for name, sql in aggregates.items())
    # several read `rows`, each a few columns; held in memory they are all there at once (docs/decisions/006)
    return f"""rows AS NOT MATERIALIZED ({rows}),
        counts AS (
            SELECT slice, count(*) AS rows,
                {" + ".join(f'count(*) - count("{name}")' for name in required)} AS nulls,
                {words((f'count("{name}") < count(*)', name) for name in required)} AS nulls_detail{more}
            FROM rows GROUP BY slice
        ),
        repeats AS ({repeats(connection, rows, table.key, "repeated_keys")})"""


def repeats(connection: duckdb.DuckDBPyConnection, rows: Query, key: Sequence[str], name: str) -> Query:
    """SQL that counts by slice the rows of the CTE `rows` that repeat the key of an earlier one; `rows` is its SQL too.

    Keys are grouped only where some hash comes twice, as without a repeat none does. Sorted hashes tell that sooner
    than groups of hashes or of keys (docs/decisions/006).
    """
    columns = quoted_names(key)
    having = (
        "HAVING count(*) > 1"
        if _has_repeats(connection, rows, Expression(f"hash(slice, {columns})"))
        else "HAVING false"
    )
    groups = f"SELECT slice, count(*) AS n FROM rows GROUP BY slice, {columns} {having}"
    return Query(f"WITH repeated AS ({groups}) SELECT slice, sum(n - 1) AS {name} FROM repeated GROUP BY slice")


def _has_repeats(connection: duckdb.DuckDBPyConnection, rows: Query, hashed: Expression) -> bool:
    count: int = connection.sql(f"SELECT count(*) FROM {relation(rows)}").fetchall()[0][0]
    parts = 1 + count // _HASHES_AT_ONCE
    for part in range(parts):
        where = f"WHERE key_hash % {parts} = {part}" if parts > 1 else ""
        query = f"SELECT {hashed} AS key_hash FROM {relation(rows)} {where}"
        hashes = np.sort(np.asarray(connection.sql(query).fetchnumpy()["key_hash"]))
        if np.any(hashes[1:] == hashes[:-1]):
            return True
    return False


def fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> pd.DataFrame:
    """A profile frame. A slice that a part of the profile knows nothing of counts 0 there, or has no words.

    Great Expectations passes over nulls, so none may be left.
    """
    frame = connection.sql(sql).df()
    enumerated = [name for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    frame = frame.astype(dict.fromkeys(enumerated, object))
    return frame.fillna({name: "" if frame[name].dtype == object else 0 for name in frame.columns})


def words(pairs: Iterable[tuple[str, str]]) -> str:
    """SQL for the words, of pairs (aggregate condition, word), whose condition holds, joined by commas."""
    cases = ", ".join(f"CASE WHEN {condition} THEN {quoted(word)} END" for condition, word in pairs)
    return f"concat_ws(', ', {cases})" if cases else "''"


def _box(first_day: int, last_day: int, first_hour: int, last_hour: int) -> str:
    def between(name: str, low: str, high: str) -> str:
        return f"{name} = {low}" if low == high else f"{name} >= {low} AND {name} <= {high}"

    dates = between("event_date", _date(first_day), _date(last_day))
    is_whole_day = (first_hour, last_hour) == (0, 23)
    return dates if is_whole_day else f"{dates} AND {between('event_hour', str(first_hour), str(last_hour))}"


def _date(day: int) -> str:
    return f"DATE '{date(1970, 1, 1) + timedelta(days=day)}'"
