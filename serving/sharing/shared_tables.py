"""Shared tables: a publication's gold tables as Delta Sharing has them.

Belongs here: metadata, versions and files in the protocol's words. A version is a publication's number, which pins all
tables together; a table's own Delta version is nobody's business.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from lake.storage.locations import delta_options, table_uri
from lake.tables.contracts import Table
from lake.tables.gold import GOLD_TABLES
from runtime.settings import Settings
from serving.problems import Problem
from serving.snapshots import Snapshot

SHARE, SCHEMA = "lakehouse", "gold"
_TABLES = {table.short_name: table for table in GOLD_TABLES}


def table_named(snapshot: Snapshot, name: str) -> Table:
    """A gold table of the publication, by its name without the layer. Raises Problem."""
    table = _TABLES.get(name.lower())
    if table is None or table.name not in snapshot.publication.tables:
        raise Problem(404, "No such table", "There is no such table in this share, or your key does not see it.")
    return table


def tables_of(snapshot: Snapshot) -> list[dict[str, str]]:
    """The tables as the protocol lists them."""
    names = sorted(name.split(".")[1] for name in snapshot.publication.tables)
    common = {"schema": SCHEMA, "share": SHARE, "shareId": SHARE}
    return [{"name": name, "id": f"{SHARE}-{name}", **common} for name in names]


def opened(settings: Settings, snapshot: Snapshot, table: Table) -> DeltaTable:
    """The table at the version that the publication pins."""
    version = snapshot.publication.tables[table.name]
    return DeltaTable(table_uri(settings, table.name), version=version, storage_options=delta_options(settings))


def protocol_line() -> dict[str, Any]:
    """What a client must be able to read: plain Parquet files."""
    return {"protocol": {"minReaderVersion": 1}}


def metadata_line(delta: DeltaTable, table: Table) -> dict[str, Any]:
    """Schema and partitions."""
    return {
        "metaData": {
            "id": str(delta.metadata().id),
            "name": table.short_name,
            "description": f"One row per {table.grain}.",
            "format": {"provider": "parquet"},
            "schemaString": delta.schema().to_json(),
            "partitionColumns": list(table.partition_by),
            "configuration": {},
        }
    }


def files_of(delta: DeltaTable, table: Table) -> Iterator[dict[str, Any]]:
    """The files: path, size, partition values as texts, statistics."""
    for action in pa.table(delta.get_add_actions(flatten=True)).to_pylist():
        values = {name: action.get(f"partition.{name}") for name in table.partition_by}
        yield {
            "path": action["path"],
            "id": hashlib.sha256(action["path"].encode()).hexdigest()[:32],
            "size": action["size_bytes"],
            "partitionValues": {name: None if value is None else str(value) for name, value in values.items()},
            "stats": json.dumps({"numRecords": action["num_records"]}),
        }
