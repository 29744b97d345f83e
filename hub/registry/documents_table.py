"""Documents with an etag: configurations, jobs, models, graph twins, event routes.

Belongs here: keeping them by tenant, kind and id. What a document of a kind must look like belongs to who writes it.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.identities import check_etag
from hub.registry.moments import new_etag
from hub.registry.registry_tables import DOCUMENTS

# every connection executes it: made once
_FIND = select(DOCUMENTS).where(
    DOCUMENTS.c.tenant == bindparam("of_tenant"),
    DOCUMENTS.c.kind == bindparam("of_kind"),
    DOCUMENTS.c.document_id == bindparam("of_document"),
)


@dataclass(frozen=True)
class Document:
    """A stored document; moments in microseconds."""

    document_id: str
    etag: str
    body: dict[str, Any]
    created_at: int
    updated_at: int


def document_of(tx: Tx, tenant: str, kind: str, document_id: str) -> Document | None:
    """The document, None when there is none."""
    row = tx.connection.execute(_FIND, {"of_tenant": tenant, "of_kind": kind, "of_document": document_id}).first()
    return None if row is None else _document(row)


def documents_of(tx: Tx, tenant: str, kind: str, after: str = "", limit: int = 100_000) -> list[Document]:
    """Documents of a kind by id, those behind `after`."""
    wanted = (DOCUMENTS.c.tenant == tenant) & (DOCUMENTS.c.kind == kind) & (DOCUMENTS.c.document_id > after)
    rows = tx.connection.execute(select(DOCUMENTS).where(wanted).order_by(DOCUMENTS.c.document_id).limit(limit))
    return [_document(row) for row in rows]


def add_document(tx: Tx, tenant: str, kind: str, document_id: str, body: dict[str, Any], taken: HubCode) -> Document:
    """Add a document. Raises HubError with the code `taken` when the id is."""
    if document_of(tx, tenant, kind, document_id) is not None:
        raise HubError(taken, f"{document_id!r} exists already.")
    values = {
        "tenant": tenant, "kind": kind, "document_id": document_id, "body": body, "etag": new_etag(),
        "created_at": tx.now, "updated_at": tx.now,
    }  # fmt: skip
    tx.connection.execute(insert(DOCUMENTS).values(values))
    return Document(document_id, str(values["etag"]), body, tx.now, tx.now)


def replace_document(
    tx: Tx, tenant: str, kind: str, old: Document, body: dict[str, Any], if_match: str | None
) -> Document:
    """Put a new body in place of `old`'s. Raises HubError for another etag."""
    check_etag(if_match, old.etag)
    etag = new_etag()
    changed = update(DOCUMENTS).where(_is(tenant, kind, old.document_id))
    tx.connection.execute(changed.values(body=body, etag=etag, updated_at=tx.now))
    return Document(old.document_id, etag, body, old.created_at, tx.now)


def remove_document(tx: Tx, tenant: str, kind: str, old: Document, if_match: str | None) -> None:
    """Take it out. Raises HubError for another etag."""
    check_etag(if_match, old.etag)
    tx.connection.execute(delete(DOCUMENTS).where(_is(tenant, kind, old.document_id)))


def _is(tenant: str, kind: str, document_id: str) -> Any:
    return (DOCUMENTS.c.tenant == tenant) & (DOCUMENTS.c.kind == kind) & (DOCUMENTS.c.document_id == document_id)


def _document(row: Row[Any]) -> Document:
    return Document(row.document_id, row.etag, row.body, row.created_at, row.updated_at)
