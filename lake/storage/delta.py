"""Tables that delta-rs writes: opening, creating, appending, replacing slices, rolling back.

Belongs here: small helpers over `deltalake`, for any table whose declared writer is delta-rs, and for looking at any
table's log without Spark. What the rows mean belongs to the callers; tables that Spark writes are in `spark_commits`.
"""

import json
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

from lake.column_types import column_type
from lake.storage.format_version import KEEP_LOG, check_format, description
from lake.storage.lease import ensure_held
from lake.storage.locations import delta_options, explain_store, table_uri
from lake.storage.open_logs import keep_table, kept_table
from lake.storage.store_answers import require_answer
from lake.tables.contracts import Table
from runtime.errors import PlatformError, StepError
from runtime.settings import Settings

METADATA_KEY = "lakehouse"
"""The key of a commit's metadata under which our JSON stands."""

_ATTEMPTS = 5
_BATCH_ROWS = 100_000
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
    FormatError. Within `open_logs` the newest one is one table, which moves on with its log."""
    uri = table_uri(settings, table)
    require_answer(settings)
    try:
        opened = kept_table(uri, version)
        if opened is not None:
            return opened
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
    keep_table(uri, version, opened)
    return opened


def require_table(settings: Settings, table: str, version: int | None = None) -> DeltaTable:
    """As `open_table`; raises StepError when there is no such table."""
    opened = open_table(settings, table, version)
    if opened is None:
        raise StepError(f"{table} does not exist: `lakehouse ingest` makes what is missing.")
    return opened


def version_of(settings: Settings, table: str) -> int | None:
    """The newest version of a table; None when it does not exist."""
    opened = open_table(settings, table)
    return None if opened is None else opened.version()


def canonical_json(value: object) -> str:
    """JSON that is the same text for the same value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def arrow_schema(table: Table) -> pa.Schema:
    """The declared columns in Arrow's types."""
    return pa.schema([pa.field(c.name, column_type(c.type).arrow, nullable=c.nullable) for c in table.columns])


def read_rows(opened: DeltaTable, where: str | None = None) -> list[dict[str, Any]]:
    """Rows that fit an SQL condition, in no order; files that cannot fit are skipped by partition and statistics.

    Not by way of `to_pyarrow_table`: pyarrow's threads then free Python buffers after the interpreter has gone, and a
    short command ends in an abort. Nor through any other pyarrow table, which would import pandas (over a second).
    """
    found = opened.scan(predicate=where).read_all()
    columns = [column.to_pylist() for column in found.columns]
    return [dict(zip(found.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


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


def append_transaction(
    settings: Settings, table: Table, rows: Callable[[], pa.RecordBatchReader], transaction: tuple[str, int],
    metadata: Mapping[str, Any],
) -> None:  # fmt: skip
    """Append in one commit that records an application's `transaction`, unless its last one is this or a later one.

    For tables that have no slices; the caller holds the lease. Raises StepError.
    """
    said = CommitProperties(
        custom_metadata={"userMetadata": json.dumps(metadata)}, app_transactions=[Transaction(*transaction)]
    )
    _write(settings, table, rows, "append", None, said)


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


def commit_metadata(settings: Settings, table: str, version: int) -> Mapping[str, Any]:
    """What we wrote of ourselves into the commit of `version`; empty when it is not ours or no longer in the log."""
    opened = open_table(settings, table, version)
    entries = [] if opened is None else opened.history(limit=1)
    return json.loads(entries[0].get(METADATA_KEY, "{}")) if entries else {}


def newest_metadata(settings: Settings, table: str, key: str, page: int = 20) -> tuple[int, Mapping[str, Any]] | None:
    """Version and metadata of the newest commit of ours whose metadata has `key`; None when the log has none."""
    opened = open_table(settings, table)
    limit = page
    while opened is not None:
        entries = opened.history(limit=limit)
        for entry in entries:
            if METADATA_KEY in entry and key in (said := json.loads(entry[METADATA_KEY])):
                return int(entry["version"]), said
        if len(entries) < limit:
            return None
        limit *= 10
    return None


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


def _lacks_columns(opened: DeltaTable, table: Table) -> bool:
    return not {field.name for field in opened.schema().fields}.issuperset(table.column_names)


def _is_done(opened: DeltaTable, properties: CommitProperties) -> bool:
    """Whether the transactions of a commit, if it has any, are recorded."""
    asked = properties.app_transactions or []
    reached = [(opened.transaction_version(each.app_id), each.version) for each in asked]
    return bool(asked) and all(found is not None and found >= wanted for found, wanted in reached)


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
        # a store that loses its answer is asked again, and then our own commit stands in the way of it
        if _is_done(target, properties):
            return target.version()
        ensure_held(settings)
        try:
            write_deltalake(
                target,
                rows(),
                mode=mode,  # type: ignore[arg-type]  # its overloads take one mode each
                # an earlier table lacks columns that are declared now; it gets them
                schema_mode="merge" if _lacks_columns(target, table) else None,
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
