"""A call of the REST interfaces: who speaks, for which tenant, and what was asked.

Belongs here: checking tokens, running a handler, and writing an error in the form of the interface that was called.
"""

import inspect
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.access.quotas import UNLIMITED, Quotas
from hub.hub_errors import HubCode, HubError
from hub.methods import MethodInvoker
from hub.registry.database import Work
from hub.registry.hub_registry import Registry
from hub.registry.moments import micros_of, text_of
from hub.registry.tenants import CrossTenantError, log_refusal
from runtime.errors import LakehouseError, WireError
from wire.sas import Token, parse

T = TypeVar("T")
Json = dict[str, Any]
IOT_HUB, PROVISIONING, GRAPH = "hub", "provisioning", "graph"
MOST_BYTES = 4 * 1024 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One request of `tenant`, authorised; its body as JSON, None when it has none."""

    registry: Registry
    invoker: MethodInvoker
    tenant: str
    request: Request
    body: Any
    quotas: Quotas = UNLIMITED

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    @property
    def module_id(self) -> str:
        """The module that the path names, empty for a device."""
        return str(self.request.path_params.get("module_id", ""))

    @property
    def if_match(self) -> str | None:
        """The etag that the client expects."""
        return self.request.headers.get("if-match")

    @property
    def document(self) -> Json:
        """The body as a JSON object. Raises HubError for anything else."""
        if not isinstance(self.body, dict):
            raise HubError(HubCode.IotHubFormatError, "The body is no JSON object.")
        return self.body

    def read(self, work: Work[T]) -> T:
        """What is committed."""
        return self.registry.read(work)

    def write(self, work: Work[T]) -> T:
        """Commit, and wait for it."""
        return self.registry.write(work).result()


Handler = Callable[[Call], Response | Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Endpoints:
    """Makes endpoints of handlers for one of the interfaces."""

    registry: Registry
    invoker: MethodInvoker
    interface: str = IOT_HUB
    quotas: Quotas = UNLIMITED

    def __call__(self, handler: Handler, right: str, counted: str = "") -> Endpoint:
        """An endpoint that runs `handler` for who has `right`, as often as the quota `counted` lets the tenant."""

        async def run(request: Request) -> Response:
            try:
                body = await _body(request)
                tenant = await run_in_threadpool(service_tenant, self.registry, request, right)
                if counted and not self.quotas.take(counted, tenant):
                    raise HubError(HubCode.ThrottlingException, f"Too many {counted.replace('_', ' ')}.")
                call = Call(self.registry, self.invoker, tenant, request, body, self.quotas)
                if inspect.iscoroutinefunction(handler):
                    answer: Response = await handler(call)
                else:
                    answer = await run_in_threadpool(handler, call)  # type: ignore[arg-type]
            except HubError as error:
                return await run_in_threadpool(refused, self.registry, error, self.interface)
            except LakehouseError as error:
                _log.error("%s %s failed: %s", request.method, request.url.path, error)
                return error_response(HubError(HubCode.ServerError, str(error)), self.interface, self.registry)
            return answer

        return run


def service_tenant(registry: Registry, request: Request, right: str) -> str:
    """The tenant whose policy signed the request's token. Raises HubError when none did, or it lacks the right."""
    token = read_token(registry, request)
    # not of the address, in which the ? of a device's id ends the path
    asked, allowed = str(request.scope["path"]).lower().strip("/"), token.path
    if allowed and asked != allowed and not asked.startswith(f"{allowed}/"):
        raise HubError(HubCode.IotHubUnauthorized, f"The token is for {token.target!r}, not for {request.url.path!r}.")
    for policy in registry.policy_keys(token.policy or ""):
        if any(token.is_signed_by(key) for key in (policy.primary_key, policy.secondary_key)):
            if right not in policy.rights:
                raise HubError(HubCode.IotHubUnauthorizedAccess, f"Policy {policy.name!r} lacks the right {right}.")
            return policy.tenant
    raise HubError(HubCode.IotHubUnauthorized, "No policy of this hub signed the token.")


def read_token(registry: Registry, request: Request) -> Token:
    """The request's token, in force and made for this host. Raises HubError for any other."""
    text = request.headers.get("authorization", "").removeprefix("Bearer ")
    try:
        token = parse(text)
    except WireError as error:
        raise HubError(HubCode.IotHubUnauthorized, str(error)) from error
    if token.is_expired(registry.clock().timestamp()):
        raise HubError(HubCode.IotHubUnauthorized, "The token is expired.")
    host = request.headers.get("host", "").lower()
    if token.target.removeprefix("https://").split("/")[0] not in (host, host.rsplit(":", 1)[0]):
        raise HubError(HubCode.IotHubUnauthorized, f"The token is for {token.target!r}, not for {host!r}.")
    return token


def refused(registry: Registry, error: HubError, interface: str) -> Response:
    """The answer to what is refused; an attempt across tenants is kept."""
    if isinstance(error, CrossTenantError):
        registry.write(lambda tx: log_refusal(tx, error)).result()
    return error_response(error, interface, registry)


def error_response(error: HubError, interface: str, registry: Registry) -> Response:
    """An error as the clients of an interface read it."""
    tracking, code = uuid.uuid4().hex, error.code
    now = text_of(micros_of(registry.clock()))
    if interface == GRAPH:
        body: Json = {"error": {"code": code.name, "message": str(error)}}
    elif interface == PROVISIONING:
        body = {"errorCode": code.number, "message": str(error), "trackingId": tracking, "timestampUtc": now}
    else:
        body = {
            "Message": f"ErrorCode:{code.name};{error}",
            "ExceptionMessage": f"Tracking ID:{tracking}-TimeStamp:{now}",
        }
    headers = {"iothub-errorcode": code.name}
    if code is HubCode.ThrottlingException:
        headers["retry-after"] = "1"
    return JSONResponse(body, code.status, headers)


def whole_number(text: str) -> int | None:
    """A number that a client wrote into a header or an address; None for anything else."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


async def _body(request: Request) -> Any:
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > MOST_BYTES:
            raise HubError(HubCode.MessageTooLarge, f"The body has more than {MOST_BYTES} bytes.")
    if not read:
        return None
    try:
        # not by `json`, which takes NaN and half of a character: nobody who is told of them could read that
        return orjson.loads(read)
    except ValueError as error:
        raise HubError(HubCode.IotHubFormatError, "The body is no JSON in UTF-8.") from error
