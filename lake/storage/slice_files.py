"""Slice files: which slices the files of a table hold, and into which files slices are written.

Belongs here: a table of slices is partitioned by date (an earlier lake has tables that are partitioned by hour too).
An hour of many records has a file of its own, which reading and replacing that hour alone pays for; the other hours of
a date share one, so that years of an hourly reading are not as many files as readings. Which hours a file holds is a
part of its path (`hours=000005/`: a bit an hour, the lowest for midnight), so a log alone tells which slices there are.
Of a file that somebody else wrote, as Spark does when it compacts, the limits in the log tell it, else the file.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from lake.slices import slice_at
from lake.storage.lake_files import LakeFiles
from runtime.settings import Settings

HOURS = "hours"
"""The part of a path that names the hours, as a column of what is written."""

# what a file costs to open, DuckDB reads of rows meanwhile
_OWN_FILE_RECORDS = 20_000
_PATH = re.compile(rf"/{HOURS}=([0-9a-f]{{6}})/")
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class SliceFile:
    """A file: its path as the log spells it, its partition, its size, its records, and the slices that it holds."""

    path: str
    partition: Mapping[str, Any]
    size_bytes: int
    records: int
    slices: tuple[str, ...]


def slice_files(settings: Settings, table: str, opened: DeltaTable) -> list[SliceFile]:
    """The files of a version of a table of slices."""
    added = opened.get_add_actions(flatten=True)
    if not added.num_rows:
        return []
    names = opened.metadata().partition_columns
    columns = [added[f"partition.{name}"].to_pylist() for name in names]
    limits = [_values(added, f"{side}.event_hour") for side in ("min", "max")]
    rows = zip(added["path"].to_pylist(), added["size_bytes"].to_pylist(), _values(added, "num_records"),
               *limits, *columns, strict=True)  # fmt: skip
    found = []
    for path, size, records, low, high, *values in rows:
        partition = dict(zip(names, values, strict=True))
        hours = _hours(settings, table, path, partition.get("event_hour"), low, high)
        slices = tuple(slice_at(partition["event_date"], hour) for hour in hours)
        found.append(SliceFile(path, partition, size, records or 0, slices))
    return found


def slices_of(settings: Settings, table: str, opened: DeltaTable) -> set[str]:
    """The slices of which a version of a table has records."""
    return {slice_ for file in slice_files(settings, table, opened) for slice_ in file.slices}


def records_by_slice(settings: Settings, table: str, opened: DeltaTable) -> dict[str, int]:
    """About how many records each slice of a table has; see `records_of`."""
    return records_of(slice_files(settings, table, opened))


def records_of(files: Iterable[SliceFile]) -> dict[str, int]:
    """About how many records each slice has: those of a file are taken to be spread over its hours."""
    records: dict[str, int] = {}
    for file in files:
        for number, slice_ in enumerate(file.slices):
            share = file.records // len(file.slices) + (number < file.records % len(file.slices))
            records[slice_] = records.get(slice_, 0) + share
    return records


def with_hours(rows: pa.RecordBatchReader, records: Mapping[str, int]) -> pa.RecordBatchReader:
    """Rows of slices with the column HOURS, by which they are divided into files; `records` are counted beforehand."""
    names = _names_of_files(records)
    known = pa.array(list(names), pa.int32())
    texts = pa.array([*names.values(), _UNKNOWN], pa.string())

    def divided() -> Iterable[pa.RecordBatch]:
        for batch in rows:
            number = pc.add(pc.multiply(pc.cast(batch["event_date"], pa.int32()), 24), batch["event_hour"])
            place = pc.fill_null(pc.index_in(number, value_set=known), len(names))
            yield batch.append_column(HOURS, pc.take(texts, place))

    schema = rows.schema.append(pa.field(HOURS, pa.string()))
    return pa.RecordBatchReader.from_batches(schema, divided())


def _names_of_files(records: Mapping[str, int]) -> dict[int, str]:
    """Hours since 1970 -> the name of the file that takes them."""
    by_date: dict[str, list[int]] = {}
    for slice_ in records:
        by_date.setdefault(slice_[:10], []).append(int(slice_[11:]))
    names: dict[int, str] = {}
    for day, hours in by_date.items():
        start = (date.fromisoformat(day) - date(1970, 1, 1)).days * 24
        many = {hour for hour in hours if records[slice_at(day, hour)] >= _OWN_FILE_RECORDS}
        few = sum(1 << hour for hour in set(hours) - many)
        names |= {start + hour: f"{1 << hour if hour in many else few:06x}" for hour in hours}
    return names


def _hours(
    settings: Settings, table: str, path: str, partition: int | None, low: int | None, high: int | None
) -> Iterable[int]:
    if partition is not None:
        return (int(partition),)
    named = _PATH.search(unquote(path))
    if named is not None:
        mask = int(named.group(1), 16)
        return [hour for hour in range(24) if mask >> hour & 1]
    return (int(low),) if low is not None and low == high else _hours_inside(settings, table, path)


@lru_cache(maxsize=100_000)
def _hours_inside(settings: Settings, table: str, path: str) -> tuple[int, ...]:
    """Read from the file, which is never written again."""
    with LakeFiles(settings).open(f"{table.replace('.', '/')}/{unquote(path)}") as file:
        return tuple(sorted(pc.unique(pq.read_table(file, columns=["event_hour"])["event_hour"]).to_pylist()))


def _values(added: Any, name: str) -> list[Any]:
    return added[name].to_pylist() if name in added.schema.names else [None] * added.num_rows
