"""Routes of IoT Hub's digital twins: a Plug and Play device's twin in the form of its model, and its commands.

Belongs here: `/digitaltwins/{id}` as IoT Hub has it, and the choice between it and Digital Twins, which has the same
path and is told by the version that the client names.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.api.calls import Call, Endpoints, Json, whole_number
from hub.api.graph_routes import delete_twin, get_twin, patch_twin, upsert_twin
from hub.api.twin_routes import call_method
from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.tenants import SERVICE, require_own
from hub.registry.twins import Twin, change_twin, twin_of
from hub.twins.json_patch import steps_of

GRAPH_VERSIONS = frozenset({"2020-05-31-preview", "2020-10-31", "2022-05-31", "2023-06-30", "2023-10-31"})
_COMPONENT = "__t"

_Endpoint = Callable[[Request], Awaitable[Response]]


def digital_twin_routes(hub: Endpoints, graph: Endpoints) -> list[Route]:
    """The routes of both services at `/digitaltwins/{id}`, and commands."""
    command = "/digitaltwins/{id}/commands/{command}"
    component = "/digitaltwins/{id}/components/{component}/commands/{command}"
    found = [Route(path, hub(_command, SERVICE, "methods"), methods=["POST"]) for path in (command, component)]
    read = _either(hub(_get, SERVICE, "twin_reads"), graph(get_twin, SERVICE, "graph_reads"))
    patch = _either(hub(_patch, SERVICE, "twin_updates"), graph(patch_twin, SERVICE, "graph_updates"))
    return [
        *found,
        Route("/digitaltwins/{id}", read, methods=["GET"]),
        Route("/digitaltwins/{id}", patch, methods=["PATCH"]),
        Route("/digitaltwins/{id}", graph(upsert_twin, SERVICE, "graph_writes"), methods=["PUT"]),
        Route("/digitaltwins/{id}", graph(delete_twin, SERVICE, "graph_writes"), methods=["DELETE"]),
    ]


def _either(hub: _Endpoint, graph: _Endpoint) -> _Endpoint:
    async def run(request: Request) -> Response:
        is_graph = request.query_params.get("api-version") in GRAPH_VERSIONS
        return await (graph if is_graph else hub)(request)

    return run


def _get(call: Call) -> Response:
    def work(tx: Tx) -> tuple[str | None, Twin]:
        identity = require_own(tx, call.tenant, call.path("id"))
        return identity.model_id, twin_of(tx, call.path("id"))

    model_id, twin = call.read(work)
    return JSONResponse(_as_digital_twin(model_id, twin), headers={"etag": f'"{twin.etag}"'})


def _as_digital_twin(model_id: str | None, twin: Twin) -> Json:
    """Reported values, else desired ones, under the names of the model; `$metadata` says of each what is desired."""
    body: Json = {"$dtId": twin.device_id}
    meta: Json = {"$model": model_id or ""}
    for name in dict.fromkeys([*twin.reported, *twin.desired]):
        reported, desired = twin.reported.get(name), twin.desired.get(name)
        if any(isinstance(each, dict) and each.get(_COMPONENT) == "c" for each in (reported, desired)):
            body[name] = _component(reported or {}, desired or {})
        else:
            body[name] = _plain(reported) if reported is not None else desired
            meta[name] = _about(reported, desired)
    return {**body, "$metadata": meta}


def _component(reported: Json, desired: Json) -> Json:
    names = [name for name in dict.fromkeys([*reported, *desired]) if name != _COMPONENT]
    values = {name: _plain(reported[name]) if name in reported else desired[name] for name in names}
    return {**values, "$metadata": {name: _about(reported.get(name), desired.get(name)) for name in names}}


def _plain(reported: Any) -> Any:
    """What an acknowledgement of a writable property is about."""
    return reported["value"] if isinstance(reported, dict) and {"value", "ac", "av"} <= reported.keys() else reported


def _about(reported: Any, desired: Any) -> Json:
    about: Json = {}
    if desired is not None:
        about["desiredValue"] = desired
    if isinstance(reported, dict) and {"value", "ac", "av"} <= reported.keys():
        about |= {"ackVersion": reported["av"], "ackCode": reported["ac"], "ackDescription": reported.get("ad", "")}
    return about


def _patch(call: Call) -> Response:
    if not isinstance(call.body, list):
        raise HubError(HubCode.ArgumentInvalid, "The body is no list of JSON patch operations.")

    def work(tx: Tx) -> str:
        require_own(tx, call.tenant, call.path("id"))
        desired: Json = {}
        for each in call.body:
            _add(desired, each)
        return change_twin(tx, call.path("id"), "", {"desired": desired}, call.if_match).etag

    etag = call.write(work)
    headers = {"etag": f'"{etag}"', "location": f"/digitaltwins/{call.path('id')}"}
    return Response(status_code=202, headers=headers)


def _add(desired: Json, each: Any) -> None:
    steps = steps_of(each.get("path") if isinstance(each, dict) else None)
    if each.get("op") not in ("add", "replace", "remove") or len(steps) > 2:
        raise HubError(HubCode.ArgumentInvalid, "A patch adds, replaces or removes /property or /component/property.")
    value = None if each["op"] == "remove" else each.get("value")
    if len(steps) == 1:
        desired[steps[0]] = _without_metadata(value)
    else:
        desired.setdefault(steps[0], {_COMPONENT: "c"})[steps[1]] = value


def _without_metadata(value: Any) -> Any:
    if isinstance(value, dict) and "$metadata" in value:
        return {_COMPONENT: "c", **{name: each for name, each in value.items() if name != "$metadata"}}
    return value


async def _command(call: Call) -> Response:
    component = call.request.path_params.get("component")
    name = f"{component}*{call.path('command')}" if component else call.path("command")
    query = call.request.query_params
    wanted: Json = {"payload": call.body}
    for parameter in ("connectTimeoutInSeconds", "responseTimeoutInSeconds"):
        given = whole_number(query.get(parameter, ""))
        if given is not None:
            wanted[parameter] = given
    result = await call_method(call, call.path("id"), "", name, wanted)
    return JSONResponse(result.value(), headers={"x-ms-command-statuscode": str(result.status)})
