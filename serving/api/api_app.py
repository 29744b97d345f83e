"""The API's application: from a request to an answer.

Belongs here: the order of the steps, the same for every route. Questions are in `gold_routes`.
"""

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.access.doors import Caller, Doors
from serving.api.answers import KeptAnswers, body_of, etag_of, format_of, matches, response
from serving.api.declared import DeclaredRoute, values_of
from serving.api.gold_routes import ROUTES
from serving.api.openapi import openapi
from serving.api.publication_routes import PUBLICATION_ROUTES
from serving.snapshots import Snapshots

ALL_ROUTES = (*PUBLICATION_ROUTES, *ROUTES)


def api_routes(doors: Doors, snapshots: Snapshots) -> list[Route]:
    """Starlette's routes of `/v1`, and the page that says what they are."""
    kept = KeptAnswers()
    page = openapi(ALL_ROUTES)

    async def describe(_: Request) -> Response:
        return JSONResponse(page)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    routes = [Route("/openapi.json", describe), Route("/healthz", health)]
    return routes + [Route(each.path, _endpoint(each, doors, snapshots, kept), methods=["GET"]) for each in ALL_ROUTES]


def _endpoint(route: DeclaredRoute, doors: Doors, snapshots: Snapshots, kept: KeptAnswers) -> Callable[..., Any]:
    async def endpoint(request: Request) -> Response:
        caller = await run_in_threadpool(doors.admit, request, route.verb)
        return await run_in_threadpool(_answer, route, request, caller, snapshots, kept)

    return endpoint


def _answer(
    route: DeclaredRoute, request: Request, caller: Caller, snapshots: Snapshots, kept: KeptAnswers
) -> Response:
    format_ = format_of(request)
    values = values_of(request, route.parameters)
    snapshot = snapshots.of(values.get("as_of"))
    number = snapshot.publication.publication_id
    etag = etag_of(number, caller.sites, format_)
    if matches(request, etag):
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "private, no-cache"})
    address = (request.url.path, tuple(sorted((n, str(v)) for n, v in values.items())))
    key = (number, caller.sites, format_, address)
    found = kept.get(key)
    if found is None:
        answer = route.handler(snapshot, caller, values)
        found = (body_of(answer, format_, number), answer.next_cursor)
        kept.keep(key, *found)
    body, cursor = found
    return response(body, format_, etag, number, cursor)
