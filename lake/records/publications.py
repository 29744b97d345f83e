"""Publications: the records that pin a version of every gold table, and looking them up.

Belongs here: storing a record and reading records back. Deciding what is published belongs in `pipeline.gold.publish`.

A record is one row, committed alone, after all gold commits that it pins: it is the moment at which readers move.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from lake.records.erasures import withdrawal_of
from lake.storage.delta import HOOKS, WRITER, append, arrow_schema, canonical_json, open_table, read_rows
from lake.storage.lease import ensure_held
from lake.tables.ops import OPS_PUBLICATIONS
from runtime.errors import UsageError
from runtime.settings import Settings

_JSON_COLUMNS = ("tables", "inputs", "slices", "held", "releases", "models", "pending")


@dataclass(frozen=True)
class Publication:
    """What readers see.

    `tables` and `inputs` map a table to its Delta version. `slices` are the hours and days that this publication
    rebuilt. `held` lists what is held back now (slice, table, input_version, failures), `releases` what is published
    in spite of its verdict (slice, table, who, when, why); both carry on what earlier publications say of slices that
    were not judged again. `first_slice` and `last_slice` are the hours that completeness covers, or empty. `pending`
    are hours, as runs of first hour and number, of which gold is as it was before, since they are still to be built.
    """

    publication_id: int
    published_at: datetime
    tables: Mapping[str, int]
    inputs: Mapping[str, int]
    slices: tuple[str, ...]
    held: tuple[Mapping[str, Any], ...]
    releases: tuple[Mapping[str, Any], ...]
    first_slice: str
    last_slice: str
    models: Mapping[str, str]
    code_version: str
    run_id: str
    pending: tuple[tuple[str, int], ...] = ()


def newest(settings: Settings) -> Publication | None:
    """The publication that readers see; None before the first. Reads one small file beside the table's log."""
    opened = open_table(settings, OPS_PUBLICATIONS.name)
    last = None if opened is None else _known_ids(opened)[1]
    return None if opened is None or last is None else _read(opened, last)


def get(settings: Settings, publication_id: int) -> Publication:
    """One publication. Raises UsageError naming those that there are, and why an earlier one is no longer."""
    opened = open_table(settings, OPS_PUBLICATIONS.name)
    found = None if opened is None else _read(opened, publication_id)
    if opened is None or found is None:
        erasure = withdrawal_of(settings, publication_id)
        if erasure is not None:
            raise UsageError(
                f"Publication {publication_id} can no longer be read: a device that it pinned was erased on "
                f"{erasure.started_at[:10]}, as {settings.lake_uri}/{erasure.path} certifies."
            )
        known = "nothing has been published yet" if opened is None else _shown_ids(opened)
        raise UsageError(f"There is no publication {publication_id}: {known}.")
    return found


def list_all(settings: Settings) -> list[Publication]:
    """Every publication, oldest first."""
    opened = open_table(settings, OPS_PUBLICATIONS.name)
    rows = [] if opened is None else read_rows(opened)
    return sorted((_publication(row) for row in rows), key=lambda publication: publication.publication_id)


def page(settings: Settings, last_id: int, count: int) -> tuple[list[Publication], int | None]:
    """Publications of the `count` ids up to `last_id`, newest first, and the id to go on with; None when there is no
    earlier one. Ids that are gone make a page shorter. Only the files of a page are read."""
    opened = open_table(settings, OPS_PUBLICATIONS.name)
    first = None if opened is None else _known_ids(opened)[0]
    if opened is None or first is None:
        return [], None
    rows = read_rows(opened, f"publication_id <= {last_id} AND publication_id > {last_id - count}")
    found = sorted((_publication(row) for row in rows), key=lambda each: -each.publication_id)
    return found, last_id - count if first <= last_id - count else None


def record(settings: Settings, publication: Publication) -> None:
    """Store a publication: from this commit on readers see it. Raises StepError."""
    row = vars(publication) | {"published_date": publication.published_at.date()}
    row |= {name: canonical_json(row[name]) for name in _JSON_COLUMNS}
    metadata = {"step": "publication", "publication_id": publication.publication_id}
    append(settings, OPS_PUBLICATIONS, pa.Table.from_pylist([row], schema=arrow_schema(OPS_PUBLICATIONS)), metadata)


def forget(settings: Settings, before_id: int) -> None:
    """Take out the publications below an id: from this commit on nothing keeps the versions that they pin."""
    opened = open_table(settings, OPS_PUBLICATIONS.name)
    if opened is not None:
        ensure_held(settings)
        opened.delete(f"publication_id < {before_id}", writer_properties=WRITER, post_commithook_properties=HOOKS)


def _known_ids(opened: DeltaTable) -> tuple[int | None, int | None]:
    """First and last id, from the statistics in the log: no file is read."""
    files = opened.get_add_actions(flatten=True)
    if files.num_rows == 0:
        return None, None
    return min(files["min.publication_id"].to_pylist()), max(files["max.publication_id"].to_pylist())


def _shown_ids(opened: DeltaTable) -> str:
    first, last = _known_ids(opened)
    if first is None or last is None:
        return "nothing has been published yet"
    return f"the newest is {last}" if first == last else f"they go from {first} to {last}"


def _read(opened: DeltaTable, publication_id: int) -> Publication | None:
    rows = read_rows(opened, f"publication_id = {publication_id}")
    return _publication(rows[0]) if rows else None


def _publication(row: dict[str, Any]) -> Publication:
    values = row | {name: json.loads(row.get(name) or "[]") for name in _JSON_COLUMNS}
    values["pending"] = tuple((first, count) for first, count in values["pending"])
    values |= {name: tuple(values[name]) for name in ("slices", "held", "releases")}
    del values["published_date"]
    return Publication(**values)
