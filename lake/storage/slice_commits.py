"""Commits of slices: rows of silver appended once, or put in the place of what slices held before.

Belongs here: writing the files and the one commit that brings them, for tables that this process writes itself and with
checksums. What files hold is in `slice_files`, how they are written in `parquet_files`; other tables are in `delta`.
"""

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import RemoveAction

from lake.slices import predicate
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


def append_once(
    settings: Settings, table: Table, rows: Rows, app_id: str, txn_version: int, metadata: Mapping[str, Any],
    records: Mapping[str, int],
) -> None:  # fmt: skip
    """Append in one commit, unless the application's last one has `txn_version` or more; the caller holds the lease.

    `records` says how many rows each slice has. The commit says of itself what commits by Spark do (see `commits`).
    Raises StepError.
    """
    opened = require_table(settings, table.name)
    reached = opened.transaction_version(app_id)
    if reached is None or reached < txn_version:
        _commit_files(settings, table, opened, rows, [], metadata, (app_id, txn_version), records)


def replace_once(
    settings: Settings, table: Table, rows: Rows, metadata: Mapping[str, Any], closing: tuple[str, int] | None = None,
    records: Mapping[str, int] | None = None, slices: Collection[str] | None = None,
) -> None:  # fmt: skip
    """Replace the rows of `slices` (None: all rows) by `rows` in one commit; other rows of the same files are kept.

    `records` says how many of the new rows each slice has. `closing` is an application id and transaction version to
    record with the commit. Raises StepError.
    """
    opened = require_table(settings, table.name)
    if slices is None:
        added = opened.get_add_actions(flatten=True)
        every = zip(added["path"].to_pylist(), added["size_bytes"].to_pylist(), strict=True) if added.num_rows else ()
        removed = [_removed(path, size, {}) for path, size in every]
        _commit_files(settings, table, opened, rows, removed, metadata, closing, records or {})
        return
    files, others = _touched(slice_files(settings, table.name, opened), slices)
    for file in files:
        if others.intersection(file.slices):
            check_pages(settings, table.name, file)  # what is written again must be what was written
    removed = [_removed(file.path, file.size_bytes, file.partition) for file in files]
    counts = dict(records or {})
    for file in files:
        for slice_ in others.intersection(file.slices):
            counts[slice_] = counts.get(slice_, 0) + file.records // len(file.slices) + 1
    _commit_files(
        settings, table, opened, partial(_with_kept, settings, table, opened, rows, others), removed, metadata,
        closing, counts,
    )  # fmt: skip


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
        names = ", ".join(f'"{field.name}"' for field in opened.schema().fields)
        source = scan(table_uri(settings, table.name), opened.version())
        with connect(settings) as connection:
            kept = connection.sql(f"SELECT {names} FROM {source} WHERE {predicate(others)}")
            yield from kept.to_arrow_reader(_BATCH_ROWS).cast(schema)

    return pa.RecordBatchReader.from_batches(schema, together())


def _removed(path: str, size: int, partition: Mapping[str, Any]) -> RemoveAction:
    values: dict[str, str | None] = {name: str(value) for name, value in partition.items()}
    return RemoveAction(path, True, int(time.time() * 1000), size, values)


def _commit_files(
    settings: Settings, table: Table, opened: DeltaTable, rows: Rows, removed: list[RemoveAction],
    metadata: Mapping[str, Any], closing: tuple[str, int] | None, records: Mapping[str, int],
) -> None:  # fmt: skip
    """New files with `rows`, whose columns stand in the order of the table's, for the removed ones, in one commit."""
    try:
        partition_by = opened.metadata().partition_columns
        added = write_files(settings, table, rows().cast(pa.schema(opened.schema().to_arrow())), partition_by, records)
        ensure_held(settings)
        opened.create_write_transaction(
            [*removed, *added],
            "append",  # so it is called, with or without removed files
            opened.schema(),
            partition_by,
            commit_properties=CommitProperties(
                custom_metadata={"userMetadata": json.dumps(metadata)},
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
