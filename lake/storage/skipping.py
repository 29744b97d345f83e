"""Skipping: which data files of a version may hold rows within limits, as the statistics in the log tell.

Belongs here: choosing files for who reads them by their addresses, as tasks on other machines do. Who reads a table
whole lets an engine skip files by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from deltalake import DeltaTable

from lake.sql_text import Relation, quoted


@dataclass(frozen=True)
class DataFile:
    """A data file: its address, and its rows, 0 when the log does not say."""

    uri: str
    records: int


def limits(opened: DeltaTable, column: str) -> dict[str, tuple[Any, Any]]:
    """The least and the greatest value of a column in each file, None where the log does not say; by path, as the log
    spells it."""
    added = opened.get_add_actions(flatten=True)
    if not added.num_rows:
        return {}
    known = [_values(added, f"{side}.{column}") for side in ("min", "max")]
    return dict(zip(added["path"].to_pylist(), zip(*known, strict=True), strict=True))


def files_within(opened: DeltaTable, uri: str, column: str, low: int, high: int) -> list[DataFile]:
    """The files of the table at `uri` that may hold a `column` from `low` to `high`, in the order of their paths; those
    of which the log says nothing among them."""
    found = sorted(limits(opened, column).items())
    added = opened.get_add_actions(flatten=True)
    records = dict(zip(added["path"].to_pylist(), _values(added, "num_records"), strict=True)) if found else {}
    return [
        DataFile(address(uri, path), records[path] or 0)
        for path, (least, greatest) in found
        if least is None or greatest is None or (least <= high and greatest >= low)
    ]


def address(uri: str, path: str) -> str:
    """Where a file of the table at `uri` lies, from its path as the log spells it."""
    return f"{uri}/{unquote(path)}"


def portions(files: Sequence[DataFile], records: int) -> Iterator[list[DataFile]]:
    """The files in their order, as portions of about so many records."""
    portion: list[DataFile] = []
    held = 0
    for file in files:
        if portion and held + file.records > records:
            yield portion
            portion, held = [], 0
        portion.append(file)
        held += file.records
    if portion:
        yield portion


def rows_of_files(files: Sequence[DataFile]) -> Relation:
    """What stands behind FROM for the rows of data files, without the columns that the table is partitioned by."""
    listed = ", ".join(quoted(file.uri) for file in files)
    return Relation(f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true)")


def _values(added: Any, name: str) -> list[Any]:
    return added[name].to_pylist() if name in added.schema.names else [None] * added.num_rows
