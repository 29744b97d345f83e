"""Commits of slices: rows of silver appended once, or put in the place of what slices held before.

Belongs here: writing the files and the one commit that brings them, for tables that this process writes itself and with
checksums. What files hold is in `slice_files`, how they are written in `parquet_files`; other tables are in `delta`.
"""

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from lake.slices import predicate
from lake.sql_text import quoted_names
from lake.storage.delta import HOOKS, Rows, require_table
from lake.storage.duckdb_connection import connect, scan
from lake.storage.lease import ensure_held
from lake.storage.locations import table_uri
from lake.storage.page_checks import check_pages
from lake.storage.parquet_files import write_files
from lake.storage.slice_files import SliceFile, slice_files
from lake.tables.contracts import Table
from runtime.errors import StepError
from runtime.settings import Settings

_BATCH_ROWS = 100_000


@dataclass(frozen=True)
class NewRows:
    """What a commit brings, and what it says of itself, as commits by Spark do (see `spark_commits`).

    `records` are rows by slice, of which the files are cut. `closing` is an application and its transaction's version,
    recorded with the commit. `files` are more rows, in files that others wrote below the table's folder.
    """

    rows: Rows
    metadata: Mapping[str, Any]
    records: Mapping[str, int] = field(default_factory=dict)
    closing: tuple[str, int] | None = None
    files: Sequence[AddAction] = ()


def append_once(settings: Settings, table: Table, new: NewRows) -> None:
    """Append in one commit, unless the application's last one has the closing version or a later one.

    The caller holds the lease. Raises StepError.
    """
    opened = require_table(settings, table.name)
    if new.closing is not None:
        application, version = new.closing
        reached = opened.transaction_version(application)
        if reached is not None and reached >= version:
            return
    _commit_files(settings, table, opened, new, [])


def replace_once(settings: Settings, table: Table, new: NewRows, slices: Collection[str] | None = None) -> None:
    """Replace the rows of `slices` (None: all rows) in one commit; other rows of the same files are kept.

    Raises StepError.
    """
    opened = require_table(settings, table.name)
    if slices is None:
        added = opened.get_add_actions(flatten=True)
        every = zip(added["path"].to_pylist(), added["size_bytes"].to_pylist(), strict=True) if added.num_rows else ()
        removed = [_removed(path, size, {}) for path, size in every]
        _commit_files(settings, table, opened, new, removed)
        return
    files, others = _touched(slice_files(settings, table.name, opened), slices)
    for file in files:
        if others.intersection(file.slices):
            check_pages(settings, table.name, file)  # what is written again must be what was written
    removed = [_removed(file.path, file.size_bytes, file.partition) for file in files]
    counts = dict(new.records)
    for file in files:
        for slice_ in others.intersection(file.slices):
            counts[slice_] = counts.get(slice_, 0) + file.records // len(file.slices) + 1
    together = partial(_with_kept, settings, table, opened, new.rows, others)
    _commit_files(settings, table, opened, replace(new, rows=together, records=counts), removed)


def _touched(files: Sequence[SliceFile], slices: Collection[str]) -> tuple[list[SliceFile], set[str]]:
    """The files that hold `slices`, and all that hold what else those hold: these other slices are written again."""
    wanted, reached = set(slices), -1
    while len(wanted) > reached:
        reached = len(wanted)
        found = [file for file in files if not wanted.isdisjoint(file.slices)]
        wanted.update(slice_ for file in found for slice_ in file.slices)
    return found, wanted - set(slices)


def _with_kept(
    settings: Settings, table: Table, opened: DeltaTable, rows: Rows, others: Collection[str]
) -> pa.RecordBatchReader:
    """New rows, then those of other slices as they are."""
    schema = pa.schema(opened.schema().to_arrow())
    new = rows().cast(schema)
    if not others:
        return new

    def together() -> Iterator[pa.RecordBatch]:
        yield from new
        names = quoted_names(field.name for field in opened.schema().fields)
        source = scan(table_uri(settings, table.name), opened.version())
        with connect(settings) as connection:
            kept = connection.sql(f"SELECT {names} FROM {source} WHERE {predicate(others)}")
            yield from kept.to_arrow_reader(_BATCH_ROWS).cast(schema)

    return pa.RecordBatchReader.from_batches(schema, together())


def _removed(path: str, size: int, partition: Mapping[str, Any]) -> RemoveAction:
    values: dict[str, str | None] = {name: str(value) for name, value in partition.items()}
    return RemoveAction(path, True, int(time.time() * 1000), size, values)


def _commit_files(
    settings: Settings, table: Table, opened: DeltaTable, new: NewRows, removed: list[RemoveAction]
) -> None:
    """New files, with columns in the order of the table's, for the removed ones, in one commit."""
    closing = new.closing
    try:
        partition_by = opened.metadata().partition_columns
        rows = new.rows().cast(pa.schema(opened.schema().to_arrow()))
        added = write_files(settings, table, rows, partition_by, new.records)
        ensure_held(settings)
        opened.create_write_transaction(
            [*removed, *new.files, *added],
            "append",  # so it is called, with or without removed files
            opened.schema(),
            partition_by,
            commit_properties=CommitProperties(
                custom_metadata={"userMetadata": json.dumps(new.metadata)},
                app_transactions=None if closing is None else [Transaction(*closing)],
            ),
            post_commithook_properties=HOOKS,
        )
    except CommitFailedError as error:
        # a store that loses its answer is asked again, and then our own commit stands in the way of it
        if closing is None or require_table(settings, table.name).transaction_version(closing[0]) != closing[1]:
            raise StepError(f"{table.name} could not be committed ({error}): run the step again.") from error
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise StepError(f"{table.name} could not be written and is as it was: {error}") from error
