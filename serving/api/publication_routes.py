"""Publication routes: which publications there are and what each says of itself.

Belongs here: records, not rows of gold.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from lake.records import publications
from lake.records.publications import Publication
from serving.access.doors import Caller
from serving.api.answers import Answer
from serving.api.declared import DeclaredRoute, Parameter
from serving.snapshots import Snapshot

_SCHEMA = pa.schema(
    [
        ("publication_id", pa.int64()),
        ("published_at", pa.timestamp("us", "UTC")),
        ("first_slice", pa.string()),
        ("last_slice", pa.string()),
        ("held_count", pa.int64()),
        ("code_version", pa.string()),
        ("tables", pa.string()),
    ]
)
_NUMBER = Parameter("as_of", "The publication, by number.", "integer", required=True, least=1, is_in_path=True)


_LIMIT = Parameter("limit", "Publications of a page.", "integer", default=100, least=1, most=1000)
_CURSOR = Parameter("cursor", "Where the page before ended: its `next`.", "integer", least=1)


def publication(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """A publication: when, what it covers, the versions that it pins, and for keys of every site how much is held."""
    return Answer(pa.Table.from_pylist([_row(snapshot.publication, caller)], _SCHEMA), {})


def all_publications(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """The publications up to the newest one that can be read, newest first, each as by its number."""
    newest = snapshot.publication.publication_id
    found, following = publications.page(snapshot.settings, min(values["cursor"] or newest, newest), values["limit"])
    rows = pa.Table.from_pylist([_row(each, caller) for each in found], _SCHEMA)
    return Answer(rows, {}, None if following is None else str(following))


def _row(found: Publication, caller: Caller) -> dict[str, Any]:
    return {
        "publication_id": found.publication_id,
        "published_at": found.published_at,
        "first_slice": found.first_slice,
        "last_slice": found.last_slice,
        "held_count": len(found.held) if caller.sites is None else None,  # they concern every site
        "code_version": found.code_version,
        "tables": json.dumps(dict(found.tables)),
    }


PUBLICATION_ROUTES = (
    DeclaredRoute(
        "/v1/publications", "publications", all_publications.__doc__ or "", (_LIMIT, _CURSOR), all_publications
    ),
    DeclaredRoute("/v1/publications/newest", "newest_publication", publication.__doc__ or "", (), publication),
    DeclaredRoute("/v1/publications/{as_of}", "publication", publication.__doc__ or "", (_NUMBER,), publication),
)
