"""Routes of Digital Twins: models, twins, components, relationships, queries, telemetry, event routes.

Belongs here: paths, bodies and answers. What may be in a graph belongs in `hub.twins.twin_graph`.
"""

from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.api.calls import Call, Endpoints, Json, whole_number
from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.documents_table import Document, document_of
from hub.registry.outbox import tell_event
from hub.registry.tenants import SERVICE
from hub.twins.graph_query import PAGE, run_graph_query
from hub.twins.json_patch import apply_patch
from hub.twins.twin_graph import (
    TWIN,
    put_relationship,
    put_twin,
    relationship_of,
    relationships_of,
    remove_relationship,
    remove_twin,
    require_twin,
)

TELEMETRY = "lakehouse.twin.telemetry"


def graph_routes(endpoints: Endpoints) -> list[Route]:
    """The routes, but those of a twin itself, which share their path with IoT Hub's."""
    edge = "/digitaltwins/{id}/relationships/{relationship_id}"
    component = "/digitaltwins/{id}/components/{component}"
    wanted = [
        ("/query", "POST", _query, "graph_queries"),
        ("/digitaltwins/{id}/relationships", "GET", _relationships, "graph_reads"),
        ("/digitaltwins/{id}/incomingrelationships", "GET", _incoming, "graph_reads"),
        (edge, "GET", _relationship, "graph_reads"),
        (edge, "PUT", _put_relationship, "graph_writes"),
        (edge, "PATCH", _patch_relationship, "graph_updates"),
        (edge, "DELETE", _delete_relationship, "graph_writes"),
        (component, "GET", _component, "graph_reads"),
        (component, "PATCH", _patch_component, "graph_updates"),
        # the anchor states no limit for telemetry
        (f"{component}/telemetry", "POST", _telemetry, ""),
        ("/digitaltwins/{id}/telemetry", "POST", _telemetry, ""),
    ]
    return [
        Route(path, endpoints(handler, SERVICE, counted), methods=[method]) for path, method, handler, counted in wanted
    ]


def get_twin(call: Call) -> Response:
    """A twin."""
    return _answer(call.read(lambda tx: require_twin(tx, call.tenant, call.path("id"))))


def upsert_twin(call: Call) -> Response:
    """Make or replace a twin; `If-None-Match: *` only makes."""
    only_new = call.request.headers.get("if-none-match") == "*"

    def work(tx: Tx) -> Document:
        if only_new and document_of(tx, call.tenant, TWIN, call.path("id")) is not None:
            raise HubError(HubCode.PreconditionFailed, f"There is a digital twin {call.path('id')!r} already.")
        return put_twin(tx, call.tenant, call.path("id"), call.document, call.if_match)

    return _answer(call.write(work))


def patch_twin(call: Call) -> Response:
    """Change parts of a twin."""

    def work(tx: Tx) -> Document:
        old = require_twin(tx, call.tenant, call.path("id"))
        return put_twin(tx, call.tenant, call.path("id"), apply_patch(old.body, call.body), call.if_match)

    return _done(call.write(work))


def delete_twin(call: Call) -> Response:
    """Delete a twin."""
    call.write(lambda tx: remove_twin(tx, call.tenant, call.path("id"), call.if_match))
    return Response(status_code=204)


def _component(call: Call) -> Response:
    twin = call.read(lambda tx: require_twin(tx, call.tenant, call.path("id")))
    return JSONResponse(_component_of(twin, call.path("component")), headers={"etag": f'W/"{twin.etag}"'})


def _patch_component(call: Call) -> Response:
    def work(tx: Tx) -> Document:
        old = require_twin(tx, call.tenant, call.path("id"))
        changed = apply_patch(_component_of(old, call.path("component")), call.body)
        body = {**old.body, call.path("component"): changed}
        return put_twin(tx, call.tenant, call.path("id"), body, call.if_match)

    return _done(call.write(work))


def _component_of(twin: Document, name: str) -> Json:
    found = twin.body.get(name)
    if not isinstance(found, dict) or "$metadata" not in found:
        raise HubError(HubCode.DigitalTwinNotFound, f"{twin.document_id!r} has no component {name!r}.")
    return found


def _relationships(call: Call) -> Response:
    name = call.request.query_params.get("relationshipName")
    return JSONResponse(
        {"value": call.read(lambda tx: relationships_of(tx, call.tenant, call.path("id"), False, name))}
    )


def _incoming(call: Call) -> Response:
    found = call.read(lambda tx: relationships_of(tx, call.tenant, call.path("id"), True))
    shown = [
        {name: each[name] for name in ("$relationshipId", "$sourceId", "$relationshipName")}
        | {"$relationshipLink": f"/digitaltwins/{each['$sourceId']}/relationships/{each['$relationshipId']}"}
        for each in found
    ]
    return JSONResponse({"value": shown})


def _relationship(call: Call) -> Response:
    body = call.read(lambda tx: _require_relationship(tx, call))
    return JSONResponse(body, headers={"etag": body["$etag"]})


def _require_relationship(tx: Tx, call: Call) -> Json:
    found = relationship_of(tx, call.tenant, call.path("id"), call.path("relationship_id"))
    if found is None:
        raise HubError(HubCode.RelationshipNotFound, f"There is no relationship {call.path('relationship_id')!r}.")
    return found


def _put_relationship(call: Call) -> Response:
    body = call.write(lambda tx: _save_relationship(tx, call, call.document))
    return JSONResponse(body, headers={"etag": body["$etag"]})


def _patch_relationship(call: Call) -> Response:
    body = call.write(lambda tx: _save_relationship(tx, call, apply_patch(_require_relationship(tx, call), call.body)))
    return Response(status_code=204, headers={"etag": body["$etag"]})


def _save_relationship(tx: Tx, call: Call, body: Json) -> Json:
    return put_relationship(tx, call.tenant, call.path("id"), call.path("relationship_id"), body, call.if_match)


def _delete_relationship(call: Call) -> Response:
    names = call.path("id"), call.path("relationship_id")
    call.write(lambda tx: remove_relationship(tx, call.tenant, *names, call.if_match))
    return Response(status_code=204)


def _query(call: Call) -> Response:
    wanted = call.document.get("query")
    more = call.document.get("continuationToken")
    given = call.request.headers.get("max-items-per-page") or str(PAGE)
    size = whole_number(given)
    if not isinstance(wanted, str) and not more:
        raise HubError(HubCode.ArgumentInvalid, "The body has no query.")
    if size is None or not 0 < size <= 1000:
        raise HubError(HubCode.ArgumentInvalid, f"max-items-per-page is {given!r:.50}.")
    items, token = call.read(lambda tx: run_graph_query(tx, call.tenant, str(wanted), more, size))
    body: dict[str, Any] = {"value": items}
    if token is not None:
        body["continuationToken"] = token
    return JSONResponse(body, headers={"query-charge": "1.0"})


def _telemetry(call: Call) -> Response:
    headers = call.request.headers
    value = {
        "messageId": headers.get("message-id"), "time": headers.get("telemetry-source-time"), "data": call.body,
        "component": call.request.path_params.get("component"),
    }  # fmt: skip

    def work(tx: Tx) -> None:
        require_twin(tx, call.tenant, call.path("id"))
        tell_event(tx, call.path("id"), TELEMETRY, {name: each for name, each in value.items() if each is not None})

    call.write(work)
    return Response(status_code=204)


def _answer(twin: Document) -> Response:
    etag = f'W/"{twin.etag}"'
    return JSONResponse({**twin.body, "$etag": etag}, headers={"etag": etag})


def _done(twin: Document) -> Response:
    return Response(status_code=204, headers={"etag": f'W/"{twin.etag}"'})
