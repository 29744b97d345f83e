"""The twin graph: models, twins and relationships of a tenant.

Belongs here: what may be in a graph, and keeping it. Paths and answers belong in `hub.api.graph_routes`, queries in
`hub.twins.graph_query`.
A twin of `SITE_MODEL`, or of a model that extends it, is a site: a device that it contains is at that site in the lake.
"""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, insert, select, update

from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.documents_table import Document, add_document, document_of, documents_of
from hub.registry.identities import check_etag, find
from hub.registry.moments import new_etag, text_of
from hub.registry.outbox import tell_event
from hub.registry.registry_tables import DOCUMENTS, RELATIONSHIPS
from hub.registry.twins import change_twin
from lake.models.dtdl import Declaration, Library, read_declarations
from runtime.errors import ModelError

Json = dict[str, Any]
MODEL, TWIN, EVENT_ROUTE = "graph_model", "graph_twin", "event_route"
CHANGED, DELETED, RELATED = "lakehouse.graph.twin_changed", "lakehouse.graph.twin_deleted", "lakehouse.graph.related"
SITE_MODEL = "dtmi:lakehouse:site;1"
CONTAINS = "contains"
_SITE: Json = {
    "@id": SITE_MODEL, "@type": "Interface", "@context": "dtmi:dtdl:context;2", "displayName": "Site",
    "contents": [
        {"@type": "Property", "name": "name", "schema": "string", "writable": True},
        {"@type": "Property", "name": "timeZone", "schema": "string", "writable": True},
        {"@type": "Relationship", "name": CONTAINS},
    ],
}  # fmt: skip

_MOST_LIBRARIES = 16
_libraries: dict[Any, Library] = {}


def library_of(tx: Tx, tenant: str) -> Library:
    """The models of a tenant, with the one of sites."""
    columns = DOCUMENTS.c
    of_tenant = (columns.tenant == tenant) & (columns.kind == MODEL)
    rows = tx.connection.execute(
        select(columns.document_id, columns.etag).where(of_tenant).order_by(columns.document_id)
    )
    # parsed once for each state of the models, since every change of a twin asks for it
    state = (tenant, tuple(tuple(row) for row in rows))
    if state not in _libraries:
        while len(_libraries) >= _MOST_LIBRARIES:
            _libraries.pop(next(iter(_libraries)), None)
        _libraries[state] = _read(each.body["model"] for each in documents_of(tx, tenant, MODEL))
    return _libraries[state]


def _read(models: Iterable[Json]) -> Library:
    """The models with the one of sites. Raises HubError for what is no model or lacks another."""
    raw = [_SITE, *models]
    declarations: dict[str, Declaration] = {}
    try:
        for each in raw:
            declarations |= read_declarations(json.dumps(each).encode(), str(each.get("@id", "a model")))
        library = Library(declarations)
        for name in declarations:
            library.lineage(name)
            for content in library.contents(name):
                if content.kind == "Component" and content.target not in declarations:
                    raise ModelError(f"{name}: component {content.name} needs {content.target}, which is not there.")
    except ModelError as error:
        raise HubError(HubCode.ArgumentInvalid, str(error)) from error
    return library


def add_models(tx: Tx, tenant: str, models: list[Json]) -> list[Document]:
    """Add models that refer to one another or to what is there. Raises HubError when one cannot be used or is taken."""
    _read([*(each.body["model"] for each in documents_of(tx, tenant, MODEL)), *models])
    made = []
    for each in models:
        body = {"model": each, "decommissioned": False}
        if each["@id"] == SITE_MODEL:
            raise HubError(HubCode.ModelIdAlreadyExists, f"{SITE_MODEL} is there already.")
        made.append(add_document(tx, tenant, MODEL, each["@id"], body, HubCode.ModelIdAlreadyExists))
    return made


def require_model(tx: Tx, tenant: str, model_id: str) -> Document:
    """The model. Raises HubError when there is none."""
    if model_id == SITE_MODEL:
        return Document(SITE_MODEL, "", {"model": _SITE, "decommissioned": False}, 0, 0)
    found = document_of(tx, tenant, MODEL, model_id)
    if found is None:
        raise HubError(HubCode.ModelNotFound, f"There is no model {model_id!r}.")
    return found


def check_unused(tx: Tx, tenant: str, model_id: str) -> None:
    """Raises HubError while other models refer to it."""
    library = library_of(tx, tenant)
    users = [each for each in library.declarations if each != model_id and model_id in library.lineage(each)]
    users += [
        each
        for each in library.declarations
        if any(c.kind == "Component" and c.target == model_id for c in library.contents(each))
    ]
    if users:
        raise HubError(HubCode.ModelReferencesNotDeleted, f"{model_id!r} is used by {', '.join(sorted(set(users)))}.")


def require_twin(tx: Tx, tenant: str, twin_id: str) -> Document:
    """The twin. Raises HubError when there is none."""
    found = document_of(tx, tenant, TWIN, twin_id)
    if found is None:
        raise HubError(HubCode.DigitalTwinNotFound, f"There is no digital twin {twin_id!r}.")
    return found


def put_twin(tx: Tx, tenant: str, twin_id: str, body: Json, if_match: str | None) -> Document:
    """Make a twin, or put it in place of the old one. Raises HubError for what its model does not have."""
    model_id = (body.get("$metadata") or {}).get("$model")
    if not isinstance(model_id, str):
        raise HubError(HubCode.ArgumentInvalid, "A twin names its model at $metadata.$model.")
    if require_model(tx, tenant, model_id).body["decommissioned"]:
        raise HubError(HubCode.ArgumentInvalid, f"The model {model_id!r} is decommissioned.")
    old = document_of(tx, tenant, TWIN, twin_id)
    if old is not None:
        check_etag(if_match, old.etag)
    kept = {name: value for name, value in body.items() if name not in ("$dtId", "$etag", "$metadata")}
    _check(library_of(tx, tenant), model_id, kept)
    before = {} if old is None else old.body
    stamps = {
        name: (before.get("$metadata") or {}).get(name)
        if before.get(name) == value and name in (before.get("$metadata") or {})
        else {"lastUpdateTime": text_of(tx.now)}
        for name, value in kept.items()
        if not _is_component(value)
    }
    full = {"$dtId": twin_id, **kept, "$metadata": {"$model": model_id, **stamps}}
    return _save(tx, tenant, twin_id, full, old)


def remove_twin(tx: Tx, tenant: str, twin_id: str, if_match: str | None) -> None:
    """Delete a twin that has no relationships. Raises HubError when it has some, or for another etag."""
    old = require_twin(tx, tenant, twin_id)
    check_etag(if_match, old.etag)
    touching = (RELATIONSHIPS.c.source_id == twin_id) | (RELATIONSHIPS.c.target_id == twin_id)
    if tx.connection.execute(
        select(RELATIONSHIPS).where((RELATIONSHIPS.c.tenant == tenant) & touching).limit(1)
    ).first():
        raise HubError(HubCode.RelationshipsNotDeleted, f"{twin_id!r} has relationships: delete them first.")
    columns = DOCUMENTS.c
    is_it = (columns.tenant == tenant) & (columns.kind == TWIN) & (columns.document_id == twin_id)
    tx.connection.execute(delete(DOCUMENTS).where(is_it))
    _tell(tx, tenant, twin_id, DELETED, {})


def relationships_of(tx: Tx, tenant: str, twin_id: str, is_incoming: bool, name: str | None = None) -> list[Json]:
    """The relationships from a twin, or to it. Raises HubError when there is no such twin."""
    require_twin(tx, tenant, twin_id)
    end = RELATIONSHIPS.c.target_id if is_incoming else RELATIONSHIPS.c.source_id
    wanted = (RELATIONSHIPS.c.tenant == tenant) & (end == twin_id)
    if name is not None:
        wanted &= RELATIONSHIPS.c.name == name
    rows = tx.connection.execute(
        select(RELATIONSHIPS).where(wanted).order_by(RELATIONSHIPS.c.source_id, RELATIONSHIPS.c.relationship_id)
    )
    return [{**row.body, "$etag": f'W/"{row.etag}"'} for row in rows]


def relationship_of(tx: Tx, tenant: str, source_id: str, relationship_id: str) -> Json | None:
    """The relationship with its etag, None when there is none."""
    row = tx.connection.execute(select(RELATIONSHIPS).where(_edge(tenant, source_id, relationship_id))).first()
    return None if row is None else {**row.body, "$etag": f'W/"{row.etag}"'}


def put_relationship(
    tx: Tx, tenant: str, source_id: str, relationship_id: str, body: Json, if_match: str | None
) -> Json:
    """Make or replace a relationship; a site that gets a device places it. Raises HubError for what may not be."""
    source = require_twin(tx, tenant, source_id)
    target_id, name = body.get("$targetId"), body.get("$relationshipName")
    if not isinstance(target_id, str) or not isinstance(name, str):
        raise HubError(HubCode.ArgumentInvalid, "A relationship names its $targetId and its $relationshipName.")
    require_twin(tx, tenant, target_id)
    library, model_id = library_of(tx, tenant), source.body["$metadata"]["$model"]
    if name not in {each.name for each in library.contents(model_id) if each.kind == "Relationship"}:
        raise HubError(HubCode.ArgumentInvalid, f"The model {model_id!r} has no relationship {name!r}.")
    old = relationship_of(tx, tenant, source_id, relationship_id)
    if old is not None:
        check_etag(if_match, old["$etag"].removeprefix("W/").strip('"'))
    kept = {key: value for key, value in body.items() if not key.startswith("$")}
    full = {
        "$relationshipId": relationship_id, "$sourceId": source_id, "$targetId": target_id, "$relationshipName": name,
        **kept,
    }  # fmt: skip
    values = {"target_id": target_id, "name": name, "etag": new_etag(), "body": full}
    if old is None:
        key = {"tenant": tenant, "source_id": source_id, "relationship_id": relationship_id}
        tx.connection.execute(insert(RELATIONSHIPS).values(**key, **values))
    else:
        tx.connection.execute(update(RELATIONSHIPS).where(_edge(tenant, source_id, relationship_id)).values(values))
    _tell(tx, tenant, source_id, RELATED, full)
    if name == CONTAINS and SITE_MODEL in library.lineage(model_id):
        _place(tx, tenant, target_id, source_id)
    return {**full, "$etag": f'W/"{values["etag"]}"'}


def remove_relationship(tx: Tx, tenant: str, source_id: str, relationship_id: str, if_match: str | None) -> None:
    """Delete a relationship. Raises HubError when there is none, or for another etag."""
    old = relationship_of(tx, tenant, source_id, relationship_id)
    if old is None:
        raise HubError(HubCode.RelationshipNotFound, f"{source_id!r} has no relationship {relationship_id!r}.")
    check_etag(if_match, old["$etag"].removeprefix("W/").strip('"'))
    tx.connection.execute(delete(RELATIONSHIPS).where(_edge(tenant, source_id, relationship_id)))


def _place(tx: Tx, tenant: str, device_id: str, site_id: str) -> None:
    device = find(tx, device_id)
    if device is not None and device.tenant == tenant and device.site_id != site_id:
        change_twin(tx, device_id, "", {"tags": {"site": site_id}}, None)


def _tell(tx: Tx, tenant: str, twin_id: str, kind: str, value: Json) -> None:
    """The event of a change, where the tenant has a route for events."""
    if documents_of(tx, tenant, EVENT_ROUTE, limit=1):
        tell_event(tx, twin_id, kind, {"tenant": tenant, **value})


def _check(library: Library, model_id: str, body: Json) -> None:
    """Every name of a twin is one of its model's, and every component of the model is there."""
    contents = {each.name: each for each in library.contents(model_id)}
    for name, value in body.items():
        content = contents.get(name)
        if content is None or content.kind not in ("Property", "Component"):
            raise HubError(HubCode.ArgumentInvalid, f"The model {model_id!r} has no property {name!r}.")
        if content.kind == "Component":
            if not _is_component(value):
                raise HubError(HubCode.ArgumentInvalid, f"The component {name!r} needs a $metadata.")
            inner = {key: each for key, each in value.items() if key != "$metadata"}
            _check(library, str(content.target), inner)
    missing = [name for name, each in contents.items() if each.kind == "Component" and name not in body]
    if missing:
        raise HubError(HubCode.ArgumentInvalid, f"The twin lacks its components {', '.join(sorted(missing))}.")


def _is_component(value: Any) -> bool:
    return isinstance(value, dict) and "$metadata" in value


def _save(tx: Tx, tenant: str, twin_id: str, body: Json, old: Document | None) -> Document:
    _tell(tx, tenant, twin_id, CHANGED, body)
    if old is None:
        return add_document(tx, tenant, TWIN, twin_id, body, HubCode.PreconditionFailed)
    columns, etag = DOCUMENTS.c, new_etag()
    is_it = (columns.tenant == tenant) & (columns.kind == TWIN) & (columns.document_id == twin_id)
    tx.connection.execute(update(DOCUMENTS).where(is_it).values(body=body, etag=etag, updated_at=tx.now))
    return Document(twin_id, etag, body, old.created_at, tx.now)


def _edge(tenant: str, source_id: str, relationship_id: str) -> Any:
    columns = RELATIONSHIPS.c
    is_source = (columns.tenant == tenant) & (columns.source_id == source_id)
    return is_source & (columns.relationship_id == relationship_id)
