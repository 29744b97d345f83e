"""Routes of Digital Twins' models and event routes.

Belongs here: `/models`, `/eventroutes`. What a model may be belongs in `hub.twins.twin_graph`.
"""

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.api.calls import Call, Endpoints, Json
from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.documents_table import (
    Document,
    add_document,
    document_of,
    documents_of,
    remove_document,
    replace_document,
)
from hub.registry.moments import text_of
from hub.registry.tenants import SERVICE
from hub.twins.twin_graph import EVENT_ROUTE, MODEL, add_models, check_unused, library_of, require_model


def model_routes(endpoints: Endpoints) -> list[Route]:
    """The routes."""
    wanted = [
        ("/models", "GET", _list, "models"),
        ("/models", "POST", _add, "models"),
        ("/models/{id}", "GET", _get, "models"),
        ("/models/{id}", "PATCH", _decommission, "models"),
        ("/models/{id}", "DELETE", _delete, "models"),
        ("/eventroutes", "GET", _routes, "event_routes"),
        ("/eventroutes/{id}", "GET", _route, "event_routes"),
        ("/eventroutes/{id}", "PUT", _put_route, "event_routes"),
        ("/eventroutes/{id}", "DELETE", _delete_route, "event_routes"),
    ]
    return [
        Route(path, endpoints(handler, SERVICE, counted), methods=[method]) for path, method, handler, counted in wanted
    ]


def _list(call: Call) -> Response:
    roots = call.request.query_params.getlist("dependenciesFor")
    is_whole = _wants_definition(call)

    def work(tx: Tx) -> list[Json]:
        library = library_of(tx, call.tenant)
        for root in roots:
            require_model(tx, call.tenant, root)
        wanted = {each for root in roots for each in library.used_by(root)} if roots else set(library.declarations)
        found = [each for each in documents_of(tx, call.tenant, MODEL) if each.document_id in wanted]
        return [_json(each, is_whole) for each in found]

    return JSONResponse({"value": call.read(work)})


def _add(call: Call) -> Response:
    models = call.body
    if not isinstance(models, list) or not all(isinstance(each, dict) and "@id" in each for each in models):
        raise HubError(HubCode.ArgumentInvalid, "The body is no list of models with an @id.")
    made = call.write(lambda tx: add_models(tx, call.tenant, models))
    return JSONResponse([_json(each, False) for each in made], 201)


def _get(call: Call) -> Response:
    return JSONResponse(
        _json(call.read(lambda tx: require_model(tx, call.tenant, call.path("id"))), _wants_definition(call))
    )


def _decommission(call: Call) -> Response:
    wanted = [{"op": "replace", "path": "/decommissioned", "value": True}]
    if call.body != wanted:
        raise HubError(HubCode.ArgumentInvalid, "A model can only be decommissioned: replace /decommissioned by true.")

    def work(tx: Tx) -> None:
        old = require_model(tx, call.tenant, call.path("id"))
        replace_document(tx, call.tenant, MODEL, old, {**old.body, "decommissioned": True}, None)

    call.write(work)
    return Response(status_code=204)


def _delete(call: Call) -> Response:
    def work(tx: Tx) -> None:
        old = require_model(tx, call.tenant, call.path("id"))
        check_unused(tx, call.tenant, call.path("id"))
        remove_document(tx, call.tenant, MODEL, old, None)

    call.write(work)
    return Response(status_code=204)


def _wants_definition(call: Call) -> bool:
    return call.request.query_params.get("includeModelDefinition", "").lower() == "true"


def _json(document: Document, is_whole: bool) -> Json:
    model = document.body["model"]
    body: Json = {
        "id": document.document_id, "uploadTime": text_of(document.created_at),
        "decommissioned": document.body["decommissioned"],
        "displayName": _localized(model.get("displayName")), "description": _localized(model.get("description")),
    }  # fmt: skip
    return {**body, "model": model} if is_whole else body


def _localized(text: object) -> object:
    return text if isinstance(text, dict) else {"en": text} if text else {}


def _routes(call: Call) -> Response:
    found = call.read(lambda tx: documents_of(tx, call.tenant, EVENT_ROUTE))
    return JSONResponse({"value": [{"id": each.document_id, **each.body} for each in found]})


def _route(call: Call) -> Response:
    found = call.read(lambda tx: _require_route(tx, call))
    return JSONResponse({"id": found.document_id, **found.body})


def _require_route(tx: Tx, call: Call) -> Document:
    found = document_of(tx, call.tenant, EVENT_ROUTE, call.path("id"))
    if found is None:
        raise HubError(HubCode.EventRouteNotFound, f"There is no event route {call.path('id')!r}.")
    return found


def _put_route(call: Call) -> Response:
    body = {name: call.document.get(name) for name in ("endpointName", "filter")}
    if body["endpointName"] != "device_events":
        raise HubError(HubCode.ArgumentInvalid, "The one endpoint of this hub is device_events: a topic of its broker.")

    if body["filter"] not in (None, "true"):
        raise HubError(HubCode.ArgumentInvalid, "A filter is 'true': whoever reads the topic chooses what to take.")

    def work(tx: Tx) -> None:
        old = document_of(tx, call.tenant, EVENT_ROUTE, call.path("id"))
        if old is None:
            add_document(tx, call.tenant, EVENT_ROUTE, call.path("id"), body, HubCode.PreconditionFailed)
        else:
            replace_document(tx, call.tenant, EVENT_ROUTE, old, body, None)

    call.write(work)
    return Response(status_code=204)


def _delete_route(call: Call) -> Response:
    call.write(lambda tx: remove_document(tx, call.tenant, EVENT_ROUTE, _require_route(tx, call), None))
    return Response(status_code=204)
