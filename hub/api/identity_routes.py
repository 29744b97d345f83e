"""Routes of devices, modules and statistics.

Belongs here: `/devices`, `/devices/{id}`, modules, `/statistics`.
"""

from functools import partial
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.api.calls import Call, Endpoints, Json, whole_number
from hub.hub_errors import HubCode, HubError
from hub.registry.connections import device_counts
from hub.registry.database import Tx
from hub.registry.identities import Identity, create, devices_of, find, modules_of, put, remove
from hub.registry.tenants import (
    REGISTRY_READ,
    REGISTRY_WRITE,
    SERVICE,
    CrossTenantError,
    log_refusal,
    require_own,
)
from hub.registry.twins import change_twin
from hub.twins.identity_json import identity_json, wanted_identity

_MOST_LISTED = 1000
_MOST_AT_ONCE = 100


def identity_routes(endpoints: Endpoints) -> list[Route]:
    """The routes."""
    module = "/devices/{device_id}/modules/{module_id}"
    return [
        Route("/devices", endpoints(_list, REGISTRY_READ, "registry"), methods=["GET"]),
        Route("/devices", endpoints(_bulk, REGISTRY_WRITE, "registry"), methods=["POST"]),
        Route("/devices/{device_id}/modules", endpoints(_modules, REGISTRY_READ, "registry"), methods=["GET"]),
        *[
            Route(path, endpoints(handler, right, "registry"), methods=[method])
            for path in (module, "/devices/{device_id}")
            for method, handler, right in (
                ("GET", _get, REGISTRY_READ), ("PUT", _put, REGISTRY_WRITE), ("DELETE", _delete, REGISTRY_WRITE)
            )
        ],
        Route("/statistics/devices", endpoints(_device_statistics, REGISTRY_READ, "registry"), methods=["GET"]),
        Route("/statistics/service", endpoints(_service_statistics, SERVICE, "registry"), methods=["GET"]),
    ]  # fmt: skip


def _list(call: Call) -> Response:
    given = call.request.query_params.get("top") or str(_MOST_LISTED)
    top = whole_number(given)
    if not top:
        raise HubError(HubCode.ArgumentInvalid, f"top is {given!r:.50}: a number from 1 to {_MOST_LISTED}.")

    def work(tx: Tx) -> list[Json]:
        return [identity_json(tx, each) for each in devices_of(tx, call.tenant, min(top, _MOST_LISTED))]

    return JSONResponse(call.read(work))


def _modules(call: Call) -> Response:
    def work(tx: Tx) -> list[Json]:
        require_own(tx, call.tenant, call.path("device_id"))
        return [identity_json(tx, each) for each in modules_of(tx, call.path("device_id"))]

    return JSONResponse(call.read(work))


def _get(call: Call) -> Response:
    device_id, module_id = call.path("device_id"), call.module_id
    return _answer(call.read(lambda tx: identity_json(tx, require_own(tx, call.tenant, device_id, module_id))))


def _put(call: Call) -> Response:
    device_id, module_id = call.path("device_id"), call.module_id
    return _answer(call.write(lambda tx: identity_json(tx, _save(tx, call, device_id, module_id))))


def _save(tx: Tx, call: Call, device_id: str, module_id: str) -> Identity:
    if call.if_match is None:
        if module_id:
            require_own(tx, call.tenant, device_id)
        return create(tx, wanted_identity(call.tenant, device_id, module_id, call.document, None))
    old = require_own(tx, call.tenant, device_id, module_id)
    return put(tx, wanted_identity(call.tenant, device_id, module_id, call.document, old), call.if_match)


def _delete(call: Call) -> Response:
    def work(tx: Tx) -> None:
        require_own(tx, call.tenant, call.path("device_id"), call.module_id)
        remove(tx, call.path("device_id"), call.module_id, call.if_match)

    call.write(work)
    return Response(status_code=204)


def _bulk(call: Call) -> Response:
    devices = call.body
    if not isinstance(devices, list) or not all(isinstance(each, dict) for each in devices):
        raise HubError(HubCode.IotHubFormatError, "The body is no list of devices.")
    if len(devices) > _MOST_AT_ONCE:
        raise HubError(HubCode.TooManyDevices, f"{len(devices)} devices: {_MOST_AT_ONCE} at once are the most.")
    call.quotas.spend("registry", call.tenant, len(devices) - 1)
    # each in a transaction of its own, since each may fail for itself; they share commits
    pending = [(each, call.registry.write(partial(_import, tenant=call.tenant, each=each))) for each in devices]
    errors: list[Json] = []
    for each, done in pending:
        try:
            done.result()
        except HubError as error:
            if isinstance(error, CrossTenantError):
                call.write(partial(log_refusal, error=error))
            errors.append(
                {"deviceId": each.get("id"), "moduleId": each.get("moduleId"), "errorCode": error.code.name,
                 "errorStatus": str(error), "operation": each.get("importMode", "create")}
            )  # fmt: skip
    return JSONResponse({"isSuccessful": not errors, "errors": errors, "warnings": []}, 400 if errors else 200)


def _import(tx: Tx, tenant: str, each: Json) -> None:
    device_id, module_id = str(each.get("id", "")), str(each.get("moduleId") or "")
    mode = each.get("importMode", "create")
    if module_id:
        require_own(tx, tenant, device_id)
    old = find(tx, device_id, module_id)
    etag = each.get("eTag") if mode.endswith("IfMatchETag") else None
    if old is not None:
        require_own(tx, tenant, device_id, module_id)
    if mode.startswith("delete"):
        remove(tx, device_id, module_id, etag)
    elif mode.startswith("updateTwin"):
        _import_twin(tx, each, device_id, module_id)
    elif mode == "create" or (mode == "createOrUpdate" and old is None):
        create(tx, wanted_identity(tenant, device_id, module_id, each, None))
        _import_twin(tx, each, device_id, module_id)
    elif mode.startswith(("update", "createOrUpdate")):
        old = require_own(tx, tenant, device_id, module_id)
        put(tx, wanted_identity(tenant, device_id, module_id, each, old), etag)
    else:
        raise HubError(HubCode.ArgumentInvalid, f"The import mode is {mode!r}.")


def _import_twin(tx: Tx, each: Json, device_id: str, module_id: str) -> None:
    sections: dict[str, Any] = {}
    if each.get("tags"):
        sections["tags"] = each["tags"]
    if (each.get("properties") or {}).get("desired"):
        sections["desired"] = each["properties"]["desired"]
    if sections:
        etag = each.get("twinETag") if str(each.get("importMode", "")).endswith("IfMatchETag") else None
        change_twin(tx, device_id, module_id, sections, etag)


def _device_statistics(call: Call) -> Response:
    total, enabled, _ = call.read(lambda tx: device_counts(tx, call.tenant))
    return JSONResponse(
        {"totalDeviceCount": total, "enabledDeviceCount": enabled, "disabledDeviceCount": total - enabled}
    )


def _service_statistics(call: Call) -> Response:
    return JSONResponse({"connectedDeviceCount": call.read(lambda tx: device_counts(tx, call.tenant))[2]})


def _answer(body: Json) -> Response:
    return JSONResponse(body, headers={"etag": f'"{body["etag"]}"'})
