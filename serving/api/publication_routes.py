"""Publication routes: which publications there are and what each says of itself.

Belongs here: records, not rows of gold.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

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


def publication(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """A publication: when, what it covers, the versions that it pins, and how much is held back."""
    found = snapshot.publication
    row = {
        "publication_id": found.publication_id,
        "published_at": found.published_at,
        "first_slice": found.first_slice,
        "last_slice": found.last_slice,
        "held_count": len(found.held),
        "code_version": found.code_version,
        "tables": json.dumps(dict(found.tables)),
    }
    return Answer(pa.Table.from_pylist([row], _SCHEMA), {})


PUBLICATION_ROUTES = (
    DeclaredRoute("/v1/publications/newest", "newest_publication", publication.__doc__ or "", (), publication),
    DeclaredRoute("/v1/publications/{as_of}", "publication", publication.__doc__ or "", (_NUMBER,), publication),
)
