"""HTTP triggers: requests on this machine to functions.

Belongs here: routes as Azure writes them, a request as the function's process gets it, and its response. It listens on
loopback alone and asks for no key, as the tools for development do.
"""

import base64
import re
from collections.abc import Sequence
from threading import Event
from typing import Any

import uvicorn
from confluent_kafka import KafkaException
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from runtime.errors import PlatformError
from streams.functions.declared_functions import App, Function
from streams.functions.function_calls import Call, CallError, FunctionProcess
from streams.functions.function_outputs import FunctionProducer

Parts = tuple[Function, FunctionProcess, FunctionProducer]
HOST = "127.0.0.1"
_METHODS = ["GET", "POST", "DELETE", "HEAD", "PATCH", "PUT", "OPTIONS"]
_PARAMETER = re.compile(r"\{(\*?)([A-Za-z_][A-Za-z0-9_]*)(?::([A-Za-z]+)(?:\([^)]*\))?)?(\?)?\}")
_CONVERTORS = {"int": "int", "long": "int", "float": "float", "double": "float", "decimal": "float", "guid": "uuid"}


def route_of(prefix: str, route: str) -> list[str]:
    """Paths as Starlette has them, of a route as ASP.NET does; two where its last part may be left out."""
    path = "/" + "/".join(part for part in (prefix.strip("/"), route.strip("/")) if part)
    paths = [re.sub(r"/" + _PARAMETER.pattern + "$", "", path) or "/"] if path.endswith("?}") else []

    def written(match: re.Match[str]) -> str:
        convertor = "path" if match[1] else _CONVERTORS.get(match[3] or "", "")
        return f"{{{match[2]}{':' if convertor else ''}{convertor}}}"

    return [re.sub(_PARAMETER, written, each) for each in (path, *paths)]


def http_app(app: App, parts: Sequence[Parts]) -> Starlette:
    """The functions with HTTP triggers behind their routes."""
    routes = []
    for each in parts:
        trigger = each[0].trigger
        methods = list(trigger.get("methods") or _METHODS)
        for path in route_of(app.route_prefix, str(trigger.get("route", each[0].name))):
            routes.append(Route(path, _endpoint(each), methods=methods))
    return Starlette(routes=routes)


class HttpTriggers:
    """A server for the functions with HTTP triggers."""

    def __init__(self, app: App, parts: Sequence[Parts], port: int) -> None:
        config = uvicorn.Config(http_app(app, parts), HOST, port, log_level="warning", lifespan="off",
                                timeout_graceful_shutdown=5)  # fmt: skip
        self._server = _Server(config)

    def run(self, stop: Event) -> None:
        """Until `stop`."""
        self._server.wait_for = stop
        self._server.run()


class _Server(uvicorn.Server):
    """A server that ends with an event."""

    wait_for = Event()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self.wait_for.is_set()


def _endpoint(parts: Parts) -> Any:
    function, process, producer = parts

    def call(data: dict[str, Any]) -> Response:
        try:
            answer = process.call(Call(data))
            messages = producer.messages(answer.outputs)
            if messages:
                producer.commit(messages)
        except (CallError, KafkaException, PlatformError) as error:
            return PlainTextResponse(f"{function.name}: {error}", 500)
        said = answer.response or {}
        response = Response(base64.b64decode(said["body"]), said["status"])
        response.raw_headers += [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in said["headers"]]
        return response

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(
            call,
            {
                "method": request.method,
                "url": str(request.url),
                "headers": dict(request.headers),
                "params": dict(request.query_params),
                "route_params": {name: str(value) for name, value in request.path_params.items()},
                "body": base64.b64encode(await request.body()).decode(),
            },
        )

    return endpoint
