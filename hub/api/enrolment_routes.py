"""Routes of the provisioning service: enrolments, groups, registrations.

Belongs here: `/enrollments`, `/enrollmentGroups`, `/registrations`.
"""

import base64
from functools import partial
from operator import itemgetter
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.api.calls import Call, Endpoints, Handler, Json
from hub.api.enrolment_json import checked, enrolment_json
from hub.api.query_routes import page_size
from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.enrolments import (
    GROUP,
    INDIVIDUAL,
    Registration,
    enrolment_of,
    enrolments_of,
    put_enrolment,
    registration_of,
    registrations_of_group,
    remove_enrolment,
    remove_registration,
    require_enrolment,
)
from hub.registry.tenants import REGISTRY_READ, REGISTRY_WRITE

_MOST_AT_ONCE = 10


def enrolment_routes(endpoints: Endpoints) -> list[Route]:
    """The routes."""
    found = []
    for path, kind in (("/enrollments", INDIVIDUAL), ("/enrollmentGroups", GROUP)):
        for below, method, handler, right in (
            ("/query", "POST", _query, REGISTRY_READ),
            ("", "POST", _bulk, REGISTRY_WRITE),
            ("/{id}/attestationmechanism", "POST", _secrets, REGISTRY_WRITE),
            ("/{id}", "GET", _get, REGISTRY_READ),
            ("/{id}", "PUT", _put, REGISTRY_WRITE),
            ("/{id}", "DELETE", _delete, REGISTRY_WRITE),
        ):
            run: Handler = partial(handler, kind=kind)
            found.append(Route(path + below, endpoints(run, right, "enrolments"), methods=[method]))
    return [
        *found,
        Route("/registrations/{id}", endpoints(_registration, REGISTRY_READ, "enrolments"), methods=["GET"]),
        Route("/registrations/{id}", endpoints(_forget, REGISTRY_WRITE, "enrolments"), methods=["DELETE"]),
        Route("/registrations/{id}/query", endpoints(_registrations, REGISTRY_READ, "enrolments"), methods=["POST"]),
    ]


def _get(call: Call, kind: str) -> Response:
    def work(tx: Tx) -> Json:
        found = require_enrolment(tx, call.tenant, kind, call.path("id"))
        registration = registration_of(tx, call.tenant, call.path("id")) if kind == INDIVIDUAL else None
        return enrolment_json(found, registration)

    return JSONResponse(call.read(work))


def _put(call: Call, kind: str) -> Response:
    return JSONResponse(
        call.write(lambda tx: _save(tx, call.tenant, kind, call.path("id"), call.document, call.if_match))
    )


def _save(tx: Tx, tenant: str, kind: str, enrolment_id: str, given: Json, if_match: str | None) -> Json:
    old = enrolment_of(tx, tenant, kind, enrolment_id)
    body = checked(kind, enrolment_id, given, None if old is None else old.attestation)
    return enrolment_json(put_enrolment(tx, tenant, kind, enrolment_id, body, if_match))


def _delete(call: Call, kind: str) -> Response:
    call.write(lambda tx: remove_enrolment(tx, call.tenant, kind, call.path("id"), call.if_match))
    return Response(status_code=204)


def _secrets(call: Call, kind: str) -> Response:
    found = call.read(lambda tx: require_enrolment(tx, call.tenant, kind, call.path("id")))
    return JSONResponse(found.attestation)


def _query(call: Call, kind: str) -> Response:
    found = call.read(lambda tx: [enrolment_json(each) for each in enrolments_of(tx, call.tenant, kind)])
    if kind == INDIVIDUAL:
        return _page(call, found, "enrollment", "registrationId")
    return _page(call, found, "enrollmentGroup", "enrollmentGroupId")


def _bulk(call: Call, kind: str) -> Response:
    mode, wanted = (
        call.document.get("mode"),
        call.document.get("enrollments" if kind == INDIVIDUAL else "enrollmentGroups"),
    )
    if mode not in ("create", "update", "updateIfMatchETag", "delete") or not isinstance(wanted, list):
        raise HubError(HubCode.ArgumentInvalid, "A bulk names its mode and its enrolments.")
    if len(wanted) > _MOST_AT_ONCE:
        raise HubError(HubCode.ArgumentInvalid, f"{len(wanted)} enrolments: {_MOST_AT_ONCE} at once are the most.")
    name = "registrationId" if kind == INDIVIDUAL else "enrollmentGroupId"
    errors = []
    for each in wanted:
        enrolment_id = str(each.get(name, ""))
        etag = None if mode == "create" else each.get("etag", "*") if mode == "updateIfMatchETag" else "*"
        try:
            if mode == "delete":
                call.write(partial(_remove, tenant=call.tenant, kind=kind, enrolment_id=enrolment_id, etag=etag))
            else:
                save = partial(
                    _save, tenant=call.tenant, kind=kind, enrolment_id=enrolment_id, given=each, if_match=etag
                )
                call.write(save)
        except HubError as error:
            errors.append({name: enrolment_id, "errorCode": error.code.number, "errorStatus": str(error)})
    return JSONResponse({"isSuccessful": not errors, "errors": errors})


def _remove(tx: Tx, tenant: str, kind: str, enrolment_id: str, etag: str | None) -> None:
    remove_enrolment(tx, tenant, kind, enrolment_id, etag)


def _registration(call: Call) -> Response:
    found = call.read(lambda tx: registration_of(tx, call.tenant, call.path("id")))
    if found is None:
        raise HubError(HubCode.RegistrationNotFound, f"There is no registration {call.path('id')!r}.")
    return JSONResponse(_shown(call, found))


def _forget(call: Call) -> Response:
    call.write(lambda tx: remove_registration(tx, call.tenant, call.path("id"), call.if_match))
    return Response(status_code=204)


def _registrations(call: Call) -> Response:
    def work(tx: Tx) -> list[Registration]:
        require_enrolment(tx, call.tenant, GROUP, call.path("id"))
        return registrations_of_group(tx, call.tenant, call.path("id"))

    return _page(call, [_shown(call, each) for each in call.read(work)], "deviceRegistration", "registrationId")


def _shown(call: Call, registration: Registration) -> Json:
    host = call.request.headers.get("host", "").rsplit(":", 1)[0]
    return {**registration.body, "assignedHub": host}


def _page(call: Call, items: list[Any], kind: str, name: str) -> Response:
    """What comes after the last that was told, by `name`: others may come and go between two pages."""
    token, size = call.request.headers.get("x-ms-continuation") or "", page_size(call)
    try:
        last = base64.b64decode(token, validate=True).decode()
    except ValueError as error:
        raise HubError(HubCode.ArgumentInvalid, "The continuation token is none of this hub's.") from error
    left = sorted((each for each in items if each[name] > last), key=itemgetter(name))
    headers = {"x-ms-item-type": kind, "x-ms-max-item-count": str(size)}
    if len(left) > size:
        headers["x-ms-continuation"] = base64.b64encode(left[size - 1][name].encode()).decode()
    return JSONResponse(left[:size], headers=headers)
