"""Commits by Spark: keeping tables as their contracts say and appending exactly once; and what commits say.

Belongs here: what makes a write by Spark safe to repeat, and reading back what a commit of bronze or silver said of
itself, whoever wrote it. Writing by delta-rs is in `delta`; what the rows mean belongs in `transforms`.

Each commit carries JSON in Delta's `userMetadata`: `step`, the `slices` that it touched (as runs), and whatever the
step needs to resume. So the lake says itself what is stale, whatever becomes of the orchestrator's database.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lake.slices import slices_of_runs
from lake.storage import delta
from lake.storage.delta import LAYOUT_OPERATIONS, open_table
from lake.storage.format_version import KEEP_LOG
from lake.storage.lease import ensure_held
from lake.storage.locations import spark_uri
from lake.tables.contracts import Table
from runtime.settings import Settings
from runtime.spark.connect_server import SparkSource

Metadata = Mapping[str, Any]
# Delta's names of the numbers that each of our types holds besides its own
_NARROWER = {"bigint": ("integer",), "double": ("integer", "long")}


@dataclass(frozen=True)
class Commit:
    """One commit of ours: the table's version, the metadata that the step wrote, and the rows that it added."""

    version: int
    metadata: Metadata
    rows: int = 0

    @property
    def slices(self) -> list[str]:
        """The slices that the commit touched."""
        return slices_of_runs(self.metadata.get("slices", []))


def progress_of(settings: Settings, table: str, app_id: str) -> int:
    """The last `txnVersion` that an application committed to a table; -1 when it never did."""
    opened = open_table(settings, table)
    version = None if opened is None else opened.transaction_version(app_id)
    return -1 if version is None else int(version)


def commits_after(settings: Settings, table: str, version: int) -> list[Commit]:
    """Our commits newer than `version`, newest first."""
    opened = open_table(settings, table)
    return [] if opened is None else commits_of(opened, version)


def commits_of(opened: DeltaTable, version: int) -> list[Commit]:
    """Our commits to an opened table that are newer than `version`, newest first."""
    later = opened.version() - version
    return list(_ours(opened.history(limit=later))) if later > 0 else []


def is_changed_since(settings: Settings, table: str, version: int) -> bool:
    """True unless there is no commit after `version`, or the log shows that all of them left the rows as they are."""
    opened = open_table(settings, table)
    return opened is not None and is_changed(opened, version)


def is_changed(opened: DeltaTable, version: int) -> bool:
    """As `is_changed_since`, of an opened table."""
    later = opened.version() - version
    if later <= 0:
        return False
    entries = opened.history(limit=later)
    return len(entries) < later or any(entry.get("operation") not in LAYOUT_OPERATIONS for entry in entries)


def newest_commit(settings: Settings, table: str, key: str, page: int = 20) -> Commit | None:
    """The newest commit whose metadata has `key`; None when the table or its log has none."""
    opened = open_table(settings, table)
    limit = page
    while opened is not None:
        entries = opened.history(limit=limit)
        found = next((commit for commit in _ours(entries) if key in commit.metadata), None)
        if found is not None or len(entries) < limit:
            return found
        limit *= 10
    return None


def _ours(entries: list[dict[str, Any]]) -> Iterator[Commit]:
    for entry in entries:
        text = entry.get("userMetadata")
        if text and text.startswith("{"):
            metrics = entry.get("operationMetrics", {})
            rows = metrics.get("numOutputRows", metrics.get("num_added_rows", 0))  # Spark's word, delta-rs's word
            yield Commit(int(entry["version"]), json.loads(text), int(rows))


def ensure_table(spark: SparkSource, settings: Settings, table: Table) -> None:
    """Create a table after its contract, or add the columns that it lacks and widen the numbers that it now allows.

    Column mapping is never used (it reads as all NULL elsewhere), nor Delta's type widening (others refuse to read it).
    """
    uri = spark_uri(settings, table.name)
    name = f"delta.`{uri}`"
    ensure_held(settings)
    opened = open_table(settings, table.name)
    if opened is None:
        delta.ensure_table(settings, table)
        return
    if opened.metadata().configuration.get(KEEP_LOG) != "false":
        spark().sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('{KEEP_LOG}' = 'false')")
    existing = {field.name: str(getattr(field.type, "type", field.type)) for field in opened.schema().fields}
    wider = [column for column in table.columns if existing.get(column.name) in _NARROWER.get(column.type, ())]
    if wider:
        _rewrite(spark(), uri, table, {column.name: column.type for column in wider})
    missing = [column for column in table.columns if column.name not in existing]
    if missing:
        columns = ", ".join(f"`{column.name}` {column.type}" for column in missing)
        spark().sql(f"ALTER TABLE {name} ADD COLUMNS ({columns})")


def _rewrite(spark: SparkSession, uri: str, table: Table, wider: Mapping[str, str]) -> None:
    """Write the table anew with wider columns, in one commit: rows and progress stay as they are."""
    rows = spark.read.format("delta").load(uri)
    rows = rows.withColumns({column: F.col(column).cast(type_) for column, type_ in wider.items()})
    (
        rows.write.format("delta")
        .mode("overwrite")
        .option("overwriteSchema", "true")
        .option("userMetadata", json.dumps({"step": "widen", "columns": dict(wider)}))
        .partitionBy(*table.partition_by)
        .save(uri)
    )


def append_once(
    rows: DataFrame, settings: Settings, table: Table, app_id: str, txn_version: int, metadata: Metadata
) -> None:
    """Append in one commit that Delta ignores when `txn_version` is not above the application's last one.

    Raises LeaseError when the lease is lost.
    """
    ensure_held(settings)
    (
        rows.write.format("delta")
        .mode("append")
        .option("txnAppId", app_id)
        .option("txnVersion", str(txn_version))
        .option("userMetadata", json.dumps(metadata))
        .save(spark_uri(settings, table.name))
    )


@contextmanager
def committing(spark: SparkSession, settings: Settings, metadata: Metadata) -> Iterator[None]:
    """The commits of statements inside the block carry this metadata. Raises LeaseError when the lease is lost."""
    ensure_held(settings)
    spark.conf.set("spark.databricks.delta.commitInfo.userMetadata", json.dumps(metadata))
    try:
        yield
    finally:
        spark.conf.unset("spark.databricks.delta.commitInfo.userMetadata")


def read_table(spark: SparkSession, settings: Settings, table: str) -> DataFrame:
    """A Spark-owned table at its newest version."""
    return spark.read.format("delta").load(spark_uri(settings, table))
