"""Tables that delta-rs writes: opening, creating, appending, replacing slices, rolling back.

Belongs here: small helpers over `deltalake`, for any table whose declared writer is delta-rs, and for looking at any
table's log without Spark. What the rows mean belongs to the callers; tables that Spark writes are in `commits`.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import pyarrow as pa
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError, TableNotFoundError
from deltalake.transaction import RemoveAction

from lake.storage.format_version import KEEP_LOG, check_format, description
from lake.storage.lease import ensure_held
from lake.storage.locations import delta_options, explain_store, table_uri
from lake.storage.parquet_files import write_files
from lake.tables.contracts import Table
from runtime.errors import PlatformError, StepError
from runtime.settings import Settings

METADATA_KEY = "lakehouse"
"""The key of a commit's metadata under which our JSON stands."""

_ARROW_TYPES = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_ATTEMPTS = 5
Rows = Callable[[], pa.RecordBatchReader]
"""Makes a fresh reader, since a commit that lost a race is written again."""
# These rearrange or drop files and leave the rows as they are: a version after them reads the same.
LAYOUT_OPERATIONS = frozenset(
    {"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "UPDATE TABLE METADATA", "FSCK"}
)
WRITER = WriterProperties(compression="ZSTD", compression_level=3)
# Publications pin old versions, so a writer never drops old log entries by itself: upkeep does, which knows the pins.
HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


def open_table(settings: Settings, table: str, version: int | None = None) -> DeltaTable | None:
    """The table at `version` (by default its newest); None when it does not exist. Raises StepError, PlatformError,
    FormatError."""
    uri = table_uri(settings, table)
    try:
        opened = DeltaTable(uri, version=version, storage_options=delta_options(settings))
    except TableNotFoundError:
        return None
    except DeltaError as error:
        raise StepError(
            f"{table} cannot be opened: {' '.join(str(error).split())}. Look at the newest files in {uri}/_delta_log "
            "and restore the one that is damaged."
        ) from error
    except OSError as error:
        raise PlatformError(explain_store(settings, uri, str(error))) from error
    check_format(table, opened)
    return opened


def version_of(settings: Settings, table: str) -> int | None:
    """The newest version of a table; None when it does not exist."""
    opened = open_table(settings, table)
    return None if opened is None else opened.version()


def canonical_json(value: object) -> str:
    """JSON that is the same text for the same value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def arrow_schema(table: Table) -> pa.Schema:
    """The declared columns in Arrow's types. Only for tables of plain columns, as all that delta-rs writes are."""
    return pa.schema([pa.field(c.name, _ARROW_TYPES[c.type], nullable=c.nullable) for c in table.columns])


def read_rows(opened: DeltaTable, where: str | None = None) -> list[dict[str, Any]]:
    """Rows that fit an SQL condition, in no order; files that cannot fit are skipped by partition and statistics.

    Not by way of `to_pyarrow_table`: pyarrow's threads then free Python buffers after the interpreter has gone, and a
    short command ends in an abort. Nor through any other pyarrow table, which would import pandas (over a second).
    """
    found = opened.scan(predicate=where).read_all()
    columns = [column.to_pylist() for column in found.columns]
    return [dict(zip(found.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def records_by_slice(opened: DeltaTable) -> dict[str, int]:
    """Records of every slice of a table that is partitioned by event date and hour; read from its log."""
    files = opened.get_add_actions(flatten=True)
    records: dict[str, int] = {}
    if files.num_rows:
        columns = ("partition.event_date", "partition.event_hour", "num_records")
        for date, hour, count in zip(*(files[name].to_pylist() for name in columns), strict=True):
            slice_ = f"{date}T{int(hour):02d}"
            records[slice_] = records.get(slice_, 0) + (count or 0)
    return records


def ensure_table(settings: Settings, table: Table) -> DeltaTable:
    """The table, created empty after its declaration (as version 0) when it does not exist."""
    opened = open_table(settings, table.name)
    if opened is not None:
        return opened
    configuration = {
        "delta.checkpointInterval": "50",
        "delta.dataSkippingStatsColumns": ",".join(table.statistics),
        KEEP_LOG: "false",
    }
    return DeltaTable.create(
        table_uri(settings, table.name),
        Schema.from_arrow(arrow_schema(table)),
        mode="ignore",
        partition_by=list(table.partition_by),
        description=description(),
        configuration={key: value for key, value in configuration.items() if value},
        storage_options=delta_options(settings),
    )


def append(settings: Settings, table: Table, rows: pa.Table, metadata: Mapping[str, Any]) -> int:
    """Append rows in one commit; returns its version. Raises StepError."""
    return _write(settings, table, lambda: rows, "append", None, _ours(metadata))


def replace(
    settings: Settings,
    table: Table,
    rows: Callable[[], pa.RecordBatchReader],
    predicate: str | None,
    metadata: Mapping[str, Any],
) -> int:
    """Replace what `predicate` selects (None: everything) by `rows` in one commit; returns its version.

    `rows` makes a fresh reader, since a commit that lost a race is written again. No rows clear the selection; rows
    outside it, a null in a required column or a reader that fails leave the table as it was. Raises StepError.
    """
    return _write(settings, table, rows, "overwrite", predicate, _ours(metadata))


def append_once(
    settings: Settings, table: Table, rows: Rows, app_id: str, txn_version: int, metadata: Mapping[str, Any]
) -> None:
    """Append in one commit, unless the application's last one has `txn_version` or more; the caller holds the lease.

    The commit says of itself what commits by Spark do (see `commits`). Raises StepError.
    """
    opened = _opened(settings, table)
    reached = opened.transaction_version(app_id)
    if reached is None or reached < txn_version:
        _commit_files(settings, table, opened, rows, [], metadata, (app_id, txn_version))


def replace_once(
    settings: Settings, table: Table, rows: Rows, is_replaced: Callable[[Mapping[str, Any]], bool],
    metadata: Mapping[str, Any], closing: tuple[str, int] | None = None,
) -> None:  # fmt: skip
    """Replace whole partitions by `rows` in one commit: those whose values, by column, `is_replaced` takes.

    `closing` is an application id and transaction version to record with the commit. Raises StepError.
    """
    opened = _opened(settings, table)
    added = opened.get_add_actions(flatten=True)
    names = ("path", "size_bytes", *(f"partition.{name}" for name in table.partition_by))
    files = zip(*(added[name].to_pylist() for name in names), strict=True) if added.num_rows else ()
    removed = []
    for path, size, *values in files:
        partition = dict(zip(table.partition_by, values, strict=True))
        if is_replaced(partition):
            texts: dict[str, str | None] = {name: str(value) for name, value in partition.items()}
            removed.append(RemoveAction(path, True, int(time.time() * 1000), size, texts))
    _commit_files(settings, table, opened, rows, removed, metadata, closing)


def _opened(settings: Settings, table: Table) -> DeltaTable:
    opened = open_table(settings, table.name)
    if opened is None:
        raise StepError(f"{table.name} does not exist: the step that makes it did not run.")
    return opened


def _commit_files(
    settings: Settings, table: Table, opened: DeltaTable, rows: Rows, removed: list[RemoveAction],
    metadata: Mapping[str, Any], closing: tuple[str, int] | None,
) -> None:  # fmt: skip
    """New files with `rows`, whose columns stand in the order of the table's, for the removed ones, in one commit."""
    try:
        added = write_files(settings, table, rows().cast(pa.schema(opened.schema().to_arrow())))
        ensure_held(settings)
        opened.create_write_transaction(
            [*removed, *added],
            "append",  # so it is called, with or without removed files
            opened.schema(),
            list(table.partition_by),
            commit_properties=CommitProperties(
                custom_metadata={"userMetadata": json.dumps(metadata)},
                app_transactions=None if closing is None else [Transaction(*closing)],
            ),
            post_commithook_properties=HOOKS,
        )
    except CommitFailedError as error:
        # a store that loses its answer is asked again, and then our own commit stands in the way of it
        if closing is None or _opened(settings, table).transaction_version(closing[0]) != closing[1]:
            raise StepError(f"{table.name} could not be committed ({error}): run the step again.") from error
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise StepError(f"{table.name} could not be written and is as it was: {error}") from error


def commit_metadata(settings: Settings, table: str, version: int) -> Mapping[str, Any]:
    """What we wrote of ourselves into the commit of `version`; empty when it is not ours or no longer in the log."""
    opened = open_table(settings, table, version)
    entries = [] if opened is None else opened.history(limit=1)
    return json.loads(entries[0].get(METADATA_KEY, "{}")) if entries else {}


def roll_back(settings: Settings, table: Table, version: int) -> int:
    """Undo the commits after `version`, in one commit; returns the version that now reads as `version` does.

    Commits that only moved rows between files are kept.
    """
    opened = ensure_table(settings, table)
    later = opened.version() - version
    if later > 0 and any(entry.get("operation") not in LAYOUT_OPERATIONS for entry in opened.history(limit=later)):
        ensure_held(settings)
        opened.restore(version)
    return opened.version()


def _ours(metadata: Mapping[str, Any]) -> CommitProperties:
    return CommitProperties(custom_metadata={METADATA_KEY: canonical_json(metadata)})


def _write(
    settings: Settings,
    table: Table,
    rows: Callable[[], pa.Table | pa.RecordBatchReader],
    mode: Literal["append", "overwrite"],
    predicate: str | None,
    properties: CommitProperties,
) -> int:
    lost: CommitFailedError | None = None
    for _ in range(_ATTEMPTS):
        target = ensure_table(settings, table)
        ensure_held(settings)
        try:
            write_deltalake(
                target,
                rows(),
                mode=mode,  # type: ignore[arg-type]  # its overloads take one mode each
                predicate=predicate,
                writer_properties=WRITER,
                commit_properties=properties,
                post_commithook_properties=HOOKS,
            )
            return target.version()
        except CommitFailedError as error:
            lost = error
        except (DeltaError, SchemaMismatchError, pa.ArrowException) as error:
            raise StepError(f"{table.name} could not be written and is as it was: {error}") from error
    raise StepError(
        f"{table.name} could not be committed in {_ATTEMPTS} attempts, since others were writing to it ({lost}). "
        "Run the step again."
    ) from lost
