"""Staging: files by which processes of one step hand rows on to each other, on whichever machine each runs.

Belongs here: writing them, where all reach them, and deleting them. They lie in the folder of the table whose step it
is and stand in no log: what a killed step leaves there upkeep deletes, as it does whatever no version reads.
"""

import io
from collections.abc import Iterable
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from lake.sql_text import Relation, quoted
from lake.storage.lake_files import LakeFiles
from lake.storage.locations import folder_of
from lake.tables.contracts import Table
from runtime.settings import Settings


def stage(settings: Settings, table: Table, rows: pa.Table) -> str:
    """Write rows to a new file in the table's folder; its path in the lake."""
    path = f"{folder_of(table.name)}/staging/{uuid4()}.parquet"
    with io.BytesIO() as file:
        pq.write_table(rows, file)
        LakeFiles(settings).write(path, file.getvalue())
    return path


def staged(settings: Settings, paths: Iterable[str]) -> Relation:
    """What stands behind FROM for the rows of files, one at least."""
    listed = ", ".join(quoted(f"{settings.lake_uri}/{path}") for path in paths)
    return Relation(f"read_parquet([{listed}])")
