"""Files of gold: what each was, byte for byte, when it was published.

Belongs here: recording the SHA-256 of the files that a publication adds, and finding those that are no longer so. What
the rows in them should be is for `pipeline.proof.verification` to compute.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from lake.records.publications import Publication
from lake.storage.delta import append, arrow_schema, open_table, read_rows
from lake.storage.lake_files import LakeFiles
from lake.storage.log_files import paths_of
from lake.tables.ops import OPS_GOLD_FILES
from runtime.settings import Settings


@dataclass(frozen=True)
class Damage:
    """A pinned file that is not what was published, and how."""

    table: str
    path: str
    what: str


def record(settings: Settings, publication_id: int, before: Mapping[str, int], tables: Mapping[str, int]) -> None:
    """Store the hashes of the files that `tables`, the versions to be published, have and `before` had not.

    Raises StepError.
    """
    files, rows = LakeFiles(settings), []
    for table, version in sorted(tables.items()):
        known = _paths(settings, table, before[table]) if table in before else set()
        for path in sorted(_paths(settings, table, version) - known):
            size, sha256 = files.digest(_place(table, path))
            rows.append({"publication_id": publication_id, "table_name": table, "path": path,
                         "size_bytes": size, "sha256": sha256})  # fmt: skip
    if rows:
        metadata = {"step": "gold files", "publication_id": publication_id}
        append(settings, OPS_GOLD_FILES, pa.Table.from_pylist(rows, schema=arrow_schema(OPS_GOLD_FILES)), metadata)


def damaged(settings: Settings, publication: Publication) -> list[Damage]:
    """The files that `publication` pins and that are gone, or are not what they were when they were published."""
    opened = open_table(settings, OPS_GOLD_FILES.name)
    rows = [] if opened is None else read_rows(opened, f"publication_id <= {publication.publication_id}")
    # a publication that was killed before its record has left hashes, perhaps of a file that was written anew since
    recorded: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        recorded.setdefault((row["table_name"], row["path"]), set()).add(row["sha256"])
    files, found = LakeFiles(settings), []
    for table, version in sorted(publication.tables.items()):
        for path in sorted(_paths(settings, table, version)):
            expected = recorded.get((table, path))
            try:
                actual = files.digest(_place(table, path))[1]
            except FileNotFoundError:
                found.append(Damage(table, path, "is gone"))
                continue
            if expected is None:
                found.append(Damage(table, path, "was never recorded"))
            elif actual not in expected:
                found.append(Damage(table, path, "has other bytes than were published"))
    return found


def _paths(settings: Settings, table: str, version: int) -> set[str]:
    opened = open_table(settings, table, version)
    return set() if opened is None else paths_of(opened)


def _place(table: str, path: str) -> str:
    return f"{table.replace('.', '/')}/{path}"
