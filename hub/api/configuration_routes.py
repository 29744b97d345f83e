"""Routes of configurations: the same desired properties for every device that a condition finds.

Belongs here: `/configurations/…`, `/devices/{id}/applyConfigurationContent`. A configuration is applied when it is
made or changed, highest priority last; devices that come later get it with the next change of any.
"""

from functools import partial
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.api.calls import Call, Endpoints, Json
from hub.hub_errors import HubCode, HubError
from hub.query.query_language import parse_query
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
from hub.registry.tenants import REGISTRY_READ, REGISTRY_WRITE, require_own
from hub.registry.twins import change_twin
from hub.twins.twin_query import LARGEST_PAGE, run_query

_KIND = "configuration"
_DEVICE_PATH = "properties.desired."


def configuration_routes(endpoints: Endpoints) -> list[Route]:
    """The routes."""
    apply = "/devices/{device_id}/applyConfigurationContent"
    return [
        Route("/configurations/testQueries", endpoints(_test, REGISTRY_READ, "configurations"), methods=["POST"]),
        Route("/configurations", endpoints(_list, REGISTRY_READ, "configurations"), methods=["GET"]),
        Route("/configurations/{id}", endpoints(_get, REGISTRY_READ, "configurations"), methods=["GET"]),
        Route("/configurations/{id}", endpoints(_put, REGISTRY_WRITE, "configurations"), methods=["PUT"]),
        Route("/configurations/{id}", endpoints(_delete, REGISTRY_WRITE, "configurations"), methods=["DELETE"]),
        Route(apply, endpoints(_apply_content, REGISTRY_WRITE, "configurations"), methods=["POST"]),
    ]


def _list(call: Call) -> Response:
    return JSONResponse(
        call.read(lambda tx: [_json(tx, call.tenant, each) for each in documents_of(tx, call.tenant, _KIND)])
    )


def _get(call: Call) -> Response:
    return _answer(call.read(lambda tx: _json(tx, call.tenant, _require(tx, call))))


def _put(call: Call) -> Response:
    body = call.document
    if body.get("id") != call.path("id"):
        raise HubError(HubCode.ArgumentInvalid, "The path and the body name different configurations.")
    if not isinstance(body.get("content"), dict):
        raise HubError(HubCode.ArgumentInvalid, "A configuration has a content.")
    parse_query(_query(body))
    kept = {name: value for name, value in body.items() if name not in ("etag", "createdTimeUtc", "lastUpdatedTimeUtc")}

    def work(tx: Tx) -> Json:
        old = document_of(tx, call.tenant, _KIND, call.path("id"))
        if old is None or call.if_match is None:
            taken = HubCode.ConfigurationAlreadyExists
            made = add_document(tx, call.tenant, _KIND, call.path("id"), kept, taken)
        else:
            made = replace_document(tx, call.tenant, _KIND, old, kept, call.if_match)
        _apply_all(tx, call.tenant)
        return _json(tx, call.tenant, made)

    return _answer(call.write(work))


def _delete(call: Call) -> Response:
    call.write(lambda tx: remove_document(tx, call.tenant, _KIND, _require(tx, call), call.if_match))
    return Response(status_code=204)


def _test(call: Call) -> Response:
    errors: Json = {}
    condition = call.document.get("targetCondition") or "*"
    for name, text in {"": _where(condition), **(call.document.get("customMetricQueries") or {})}.items():
        try:
            call.read(partial(run_query, tenant=call.tenant, text_=text, page_size=1))
        except HubError as error:
            errors[name] = str(error)
    return JSONResponse({"targetConditionError": errors.pop("", None), "customMetricQueryErrors": errors})


def _apply_content(call: Call) -> Response:
    def work(tx: Tx) -> None:
        require_own(tx, call.tenant, call.path("device_id"))
        _apply(tx, call.path("device_id"), call.document)

    call.write(work)
    return Response(status_code=204)


def _apply_all(tx: Tx, tenant: str) -> None:
    for each in sorted(documents_of(tx, tenant, _KIND), key=lambda each: int(each.body.get("priority") or 0)):
        for device_id in _targets(tx, tenant, each.body):
            _apply(tx, device_id, each.body["content"])


def _apply(tx: Tx, device_id: str, content: Json) -> None:
    """Merge a content into the desired properties of a device and of its modules, where that changes them."""
    parts = {"": content.get("deviceContent"), **(content.get("modulesContent") or {})}
    for module_id, wanted in parts.items():
        desired: Json = {}
        for path, value in (wanted or {}).items():
            _set(desired, path, value)
        if desired:
            change_twin(tx, device_id, module_id, {"desired": desired}, None)


def _set(desired: Json, path: str, value: Any) -> None:
    if path == "properties.desired":
        desired.update(value)
        return
    if not path.startswith(_DEVICE_PATH):
        raise HubError(HubCode.ArgumentInvalid, f"A content is set at {_DEVICE_PATH}…, not at {path!r}.")
    *above, last = path.removeprefix(_DEVICE_PATH).split(".")
    below = desired
    for name in above:
        below = below.setdefault(name, {})
    below[last] = value


def _targets(tx: Tx, tenant: str, body: Json) -> list[str]:
    found: list[str] = []
    more: str | None = None
    while True:
        page = run_query(tx, tenant, _query(body), LARGEST_PAGE, more)
        found += [each["deviceId"] for each in page.items]
        more = page.more
        if more is None:
            return found


def _query(body: Json) -> str:
    return _where(body.get("targetCondition") or "")


def _where(condition: str) -> str:
    return "SELECT deviceId FROM devices" + ("" if condition.strip() in ("", "*") else f" WHERE {condition}")


def _require(tx: Tx, call: Call) -> Document:
    found = document_of(tx, call.tenant, _KIND, call.path("id"))
    if found is None:
        raise HubError(HubCode.ConfigurationNotFound, f"There is no configuration {call.path('id')!r}.")
    return found


def _json(tx: Tx, tenant: str, document: Document) -> Json:
    count = len(_targets(tx, tenant, document.body))
    return {
        "schemaVersion": "1.0", "priority": 0, **document.body, "etag": document.etag,
        "createdTimeUtc": text_of(document.created_at), "lastUpdatedTimeUtc": text_of(document.updated_at),
        "systemMetrics": {"results": {"targetedCount": count, "appliedCount": count}, "queries": {}},
    }  # fmt: skip


def _answer(body: Json) -> Response:
    return JSONResponse(body, headers={"etag": f'"{body["etag"]}"'})
