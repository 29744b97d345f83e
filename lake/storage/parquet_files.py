"""Data files: rows as Parquet files of a table, with a checksum in every page, and the actions that add them.

Belongs here: writing the files and what Delta's log says of each. The commit is in `delta`. delta-rs would write files
itself, but without checksums, and then a changed bit may come out as another figure (see `page_checks`).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from lake.storage.lake_files import LakeFiles
from lake.storage.locations import folder_of
from lake.storage.slice_files import HOURS, with_hours
from lake.tables.contracts import Table
from runtime.settings import Settings

# the rows of a partition come in many batches, each of which would be a row group of its own
_ROWS_A_GROUP = 20_000
_MOST_PARTITIONS = 20_000
_OPEN_FILES = 500
# as Delta has it; a longer text has no limits in the log, so no reader skips its file
_MOST_CHARACTERS = 32


def write_files(settings: Settings, table: Table, rows: pa.RecordBatchReader, partition_by: Sequence[str],
                records: Mapping[str, int]) -> list[AddAction]:  # fmt: skip
    """Write `rows` below the table's folder; no version has them yet. A partition by date has few files (see
    `slice_files`), for which `records` says how many rows each slice has; any other partition has one.

    Raises pa.ArrowException, OSError.
    """
    folders = [*partition_by]
    if partition_by == ["event_date"]:
        rows, folders = with_hours(rows, records), [*partition_by, HOURS]
    if len({slice_[:10] for slice_ in records}) > _OPEN_FILES:
        # so many files are not open together, and rows that come in any order would begin each again and again
        rows = rows.read_all().sort_by("event_date").to_reader()
    system, folder = LakeFiles(settings).place(folder_of(table.name))
    written: list[ds.WrittenFile] = []
    form = ds.ParquetFileFormat()
    partitions = pa.schema([rows.schema.field(name) for name in folders])
    ds.write_dataset(
        rows,
        folder,
        format=form,
        filesystem=system,
        partitioning=ds.partitioning(partitions, flavor="hive") if folders else None,
        file_options=form.make_write_options(compression="zstd", compression_level=3, write_page_checksum=True),
        basename_template=f"part-{uuid4()}-{{i}}.parquet",
        existing_data_behavior="overwrite_or_ignore",
        min_rows_per_group=_ROWS_A_GROUP,
        max_partitions=_MOST_PARTITIONS,
        max_open_files=_OPEN_FILES,
        file_visitor=written.append,
    )
    return [_action(file, folder, table, partition_by) for file in written]


def _action(file: "ds.WrittenFile", folder: str, table: Table, partition_by: Sequence[str]) -> AddAction:
    path = file.path.removeprefix(f"{folder}/")
    values = dict(part.split("=", 1) for part in path.split("/")[:-1])
    return AddAction(
        path=path,
        size=file.size,
        partition_values={name: value for name, value in values.items() if name in partition_by},
        modification_time=int(datetime.now(UTC).timestamp() * 1000),
        data_change=True,
        stats=json.dumps(statistics(file.metadata, table.statistics)),
    )


def statistics(metadata: pq.FileMetaData, columns: tuple[str, ...]) -> dict[str, Any]:
    """What Delta's log says of a file: its rows, and the least, greatest and missing values of `columns`.

    A column of which the file itself does not say it has no limits. Times are in milliseconds, rounded outwards.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    least: dict[str, Any] = {}
    greatest: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for place in range(metadata.num_columns):
        name = metadata.schema.column(place).path
        found = [group.column(place).statistics for group in groups] if name in columns else []
        if not found or any(each is None or not each.has_null_count for each in found):
            continue
        nulls[name] = sum(each.null_count for each in found)
        limited = [each for each in found if each.num_values]
        if limited and all(each.has_min_max for each in limited):
            low, high = min(each.min for each in limited), max(each.max for each in limited)
            if not isinstance(low, str) or max(len(low), len(high)) <= _MOST_CHARACTERS:
                least[name], greatest[name] = _as_json(low), _as_json(high, is_upper=True)
    return {"numRecords": metadata.num_rows, "minValues": least, "maxValues": greatest, "nullCount": nulls}


def _as_json(value: Any, *, is_upper: bool = False) -> Any:
    if isinstance(value, datetime):
        whole = value.replace(microsecond=value.microsecond // 1000 * 1000)
        if is_upper and whole < value:
            whole += timedelta(milliseconds=1)
        return whole.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{whole.microsecond // 1000:03d}Z"
    return value.isoformat() if isinstance(value, date) else value
