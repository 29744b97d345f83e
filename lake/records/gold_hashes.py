"""Files of gold: what each was, byte for byte, when it was published.

Belongs here: recording the SHA-256 of the files that a publication adds, and finding those that are no longer so. What
the rows in them should be is for `pipeline.proof.verification` to compute.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from lake.records.publications import Publication
from lake.storage.delta import append, arrow_schema, open_table, read_rows
from lake.storage.lake_files import LakeFiles
from lake.storage.log_files import paths_of
from lake.tables.ops import OPS_GOLD_FILES
from runtime.settings import Settings

Hashes = dict[tuple[str, str], set[str]]
"""(table, path) -> SHA-256 of the file, as publications have recorded it."""

_DATE = re.compile(r"(?:^|/)event_date=([0-9]{4}-[0-9]{2}-[0-9]{2})/")
_RECENT = 50


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
    recorded = _recorded(settings, f"publication_id <= {publication.publication_id}")
    files, found = LakeFiles(settings), []
    for table, version in sorted(publication.tables.items()):
        for path in sorted(_paths(settings, table, version)):
            what = _what_is_wrong(files, table, path, recorded)
            if what:
                found.append(Damage(table, path, what))
    return found


def damaged_on(
    settings: Settings, publication: Publication, tables: Iterable[str], days: Collection[str]
) -> dict[str, Damage]:
    """The first damaged file of each of these days, of `tables` that are partitioned by date.

    A file of which nothing is recorded is taken as it is: upkeep made it, and the next publication records it.
    """
    paths = [
        (table, path, day)
        for table in tables
        if table in publication.tables
        for path in sorted(_paths(settings, table, publication.tables[table]))
        if (day := _day_of(path)) in days
    ]
    files, found = LakeFiles(settings), dict[str, Damage]()
    newest = publication.publication_id
    # the files at hand are mostly of the last publications; only those of an older day need all hashes to be read
    recorded = _recorded(settings, f"publication_id <= {newest} AND publication_id > {newest - _RECENT}")
    if any((table, path) not in recorded for table, path, _ in paths):
        recorded = _recorded(settings, f"publication_id <= {newest}")
    for table, path, day in paths:
        what = _what_is_wrong(files, table, path, recorded) if (table, path) in recorded else ""
        if what:
            found.setdefault(day, Damage(table, path, what))
    return found


def _recorded(settings: Settings, where: str) -> Hashes:
    opened = open_table(settings, OPS_GOLD_FILES.name)
    # a publication that was killed before its record has left hashes, perhaps of a file that was written anew since
    recorded: Hashes = {}
    for row in [] if opened is None else read_rows(opened, where):
        recorded.setdefault((row["table_name"], row["path"]), set()).add(row["sha256"])
    return recorded


def _what_is_wrong(files: LakeFiles, table: str, path: str, recorded: Hashes) -> str:
    """Nothing, when the file is as it was published."""
    try:
        actual = files.digest(_place(table, path))[1]
    except FileNotFoundError:
        return "is gone"
    expected = recorded.get((table, path))
    if expected is None:
        return "was never recorded"
    return "" if actual in expected else "has other bytes than were published"


def _day_of(path: str) -> str:
    """The date of a file of a table by date; empty of any other."""
    found = _DATE.search(path)
    return found.group(1) if found else ""


def _paths(settings: Settings, table: str, version: int) -> set[str]:
    opened = open_table(settings, table, version)
    return set() if opened is None else paths_of(opened)


def _place(table: str, path: str) -> str:
    return f"{table.replace('.', '/')}/{path}"
