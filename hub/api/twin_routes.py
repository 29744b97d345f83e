"""Routes of twins, methods, queues and feedback.

Belongs here: `/twins/…`, `/devices/{id}/commands`, `/messages/serviceBound/feedback`.
"""

import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.api.calls import Call, Endpoints, Json
from hub.hub_errors import HubCode, HubError
from hub.methods import MethodCall, MethodResult
from hub.registry.cloud_queue import abandon_feedback, complete_feedback, purge, take_feedback
from hub.registry.database import Tx
from hub.registry.tenants import SERVICE, require_own
from hub.registry.twins import change_twin
from hub.twins.identity_json import known, twin_json

# Source: IoT Hub's limits of direct methods
_MOST_PAYLOAD = 128 * 1024
_METER = 4 * 1024
_TIMEOUTS_S = range(5, 301)
_DEFAULT_TIMEOUT_S = 30


def twin_routes(endpoints: Endpoints) -> list[Route]:
    """The routes."""
    found = []
    for path in ("/twins/{device_id}/modules/{module_id}", "/twins/{device_id}"):
        found += [
            Route(path, endpoints(_get, SERVICE, "twin_reads"), methods=["GET"]),
            Route(path, endpoints(_replace, SERVICE, "twin_updates"), methods=["PUT"]),
            Route(path, endpoints(_update, SERVICE, "twin_updates"), methods=["PATCH"]),
            Route(f"{path}/methods", endpoints(_method, SERVICE, "methods"), methods=["POST"]),
        ]
    feedback = "/messages/serviceBound/feedback"
    return [
        *found,
        Route("/devices/{device_id}/commands", endpoints(_purge, SERVICE), methods=["DELETE"]),
        Route(feedback, endpoints(_take_feedback, SERVICE), methods=["GET"]),
        Route(f"{feedback}/{{lock}}", endpoints(_complete_feedback, SERVICE), methods=["DELETE"]),
        Route(f"{feedback}/{{lock}}/abandon", endpoints(_abandon_feedback, SERVICE), methods=["POST"]),
    ]


def _get(call: Call) -> Response:
    return _answer(call.read(lambda tx: _twin(tx, call)))


def _replace(call: Call) -> Response:
    return _change(call, is_whole=True)


def _update(call: Call) -> Response:
    return _change(call, is_whole=False)


def _change(call: Call, is_whole: bool) -> Response:
    sections: dict[str, Any] = {}
    properties = call.document.get("properties") or {}
    if not isinstance(properties, dict):
        raise HubError(HubCode.IotHubFormatError, "'properties' is no JSON object.")
    for name, given in (("tags", call.document.get("tags")), ("desired", properties.get("desired"))):
        if given is not None:
            if not isinstance(given, dict):
                raise HubError(HubCode.IotHubFormatError, f"{name!r} is no JSON object.")
            sections[name] = {key: value for key, value in given.items() if not key.startswith("$")}

    def work(tx: Tx) -> Json:
        require_own(tx, call.tenant, call.path("device_id"), call.module_id)
        change_twin(tx, call.path("device_id"), call.module_id, sections, call.if_match, is_whole)
        return _twin(tx, call)

    return _answer(call.write(work))


def _twin(tx: Tx, call: Call) -> Json:
    return twin_json(known(tx, require_own(tx, call.tenant, call.path("device_id"), call.module_id)))


async def _method(call: Call) -> Response:
    name, wanted = call.document.get("methodName"), call.document
    if not isinstance(name, str) or not name:
        raise HubError(HubCode.ArgumentInvalid, "The body names no methodName.")
    result = await call_method(call, call.path("device_id"), call.module_id, name, wanted)
    return JSONResponse({"status": result.status, "payload": result.value()})


async def call_method(call: Call, device_id: str, module_id: str, name: str, wanted: Json) -> MethodResult:
    """Call a method of a device of the tenant's. Raises HubError when it is not there or gives no answer."""
    await run_in_threadpool(call.read, lambda tx: require_own(tx, call.tenant, device_id, module_id))
    payload = json.dumps(wanted.get("payload"), ensure_ascii=False).encode()
    if len(payload) > _MOST_PAYLOAD:
        raise HubError(HubCode.MessageTooLarge, f"The payload has {len(payload)} bytes: {_MOST_PAYLOAD} are the most.")
    call.quotas.spend("methods", call.tenant, (len(payload) - 1) // _METER)
    response_s = wanted.get("responseTimeoutInSeconds")
    response_s = _DEFAULT_TIMEOUT_S if response_s is None else response_s
    connect_s = wanted.get("connectTimeoutInSeconds") or 0
    if response_s not in _TIMEOUTS_S or not isinstance(connect_s, int) or not 0 <= connect_s <= 300:
        raise HubError(
            HubCode.ArgumentInvalid, "responseTimeoutInSeconds is 5 to 300, connectTimeoutInSeconds 0 to 300."
        )
    return await call.invoker.invoke(MethodCall(device_id, module_id, name, payload, connect_s, response_s))


def _purge(call: Call) -> Response:
    def work(tx: Tx) -> Json:
        require_own(tx, call.tenant, call.path("device_id"))
        return {"deviceId": call.path("device_id"), "totalMessagesPurged": purge(tx, call.path("device_id"))}

    return JSONResponse(call.write(work))


def _take_feedback(call: Call) -> Response:
    batch = call.write(lambda tx: take_feedback(tx, call.tenant))
    if batch is None:
        return Response(status_code=204)
    return JSONResponse(
        batch.records, headers={"etag": f'"{batch.lock_token}"', "iothub-messagelocktoken": batch.lock_token}
    )


def _complete_feedback(call: Call) -> Response:
    call.write(lambda tx: complete_feedback(tx, call.tenant, call.path("lock")))
    return Response(status_code=204)


def _abandon_feedback(call: Call) -> Response:
    call.write(lambda tx: abandon_feedback(tx, call.tenant, call.path("lock")))
    return Response(status_code=204)


def _answer(body: Json) -> Response:
    return JSONResponse(body, headers={"etag": f'"{body["etag"]}"'})
