"""The API's application: from a request to an answer.

Belongs here: the order of the steps, the same for every route. Questions are in
`gold_routes` and those beside it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.settings import Settings
from serving.access.doors import Caller, Doors
from serving.api.answers import format_of, hot_body_of, hot_response
from serving.api.declared import DeclaredRoute, values_of
from serving.api.gold_answers import GoldAnswers
from serving.api.gold_routes import ROUTES
from serving.api.hot_routes import HOT_ROUTES
from serving.api.openapi import openapi
from serving.api.publication_routes import PUBLICATION_ROUTES
from serving.api.series_routes import SERIES_ROUTES
from serving.api.trace_routes import trace_routes
from serving.hot.hot_values import HotValues
from serving.problems import Problem
from serving.snapshots import Snapshots


def api_routes(
    settings: Settings, doors: Doors, snapshots: Snapshots, hot: HotValues, older: Sequence[DeclaredRoute] = ()
) -> list[Route]:
    """Starlette's routes of `/v1`, and the page that says what they are; `older` are routes on their way out."""
    gold = GoldAnswers(snapshots)
    every = (*PUBLICATION_ROUTES, *ROUTES, *SERIES_ROUTES, *trace_routes(settings), *HOT_ROUTES, *older)
    page = openapi(every)

    async def describe(_: Request) -> Response:
        return JSONResponse(page)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    routes = [Route("/openapi.json", describe), Route("/healthz", health)]
    for each in every:
        answering = partial(_hot_answer, hot=hot) if each.is_hot else gold.answer
        endpoint = _endpoint(each, doors, answering, None if each.is_hot else gold.known_answer)
        routes.append(Route(each.path, endpoint, methods=["GET"]))
    return routes


def _endpoint(
    route: DeclaredRoute,
    doors: Doors,
    answering: Callable[..., Response],
    knowing: Callable[..., Response | None] | None,
) -> Callable[..., Any]:
    """What a route does: in a thread, where it has to look for something, and at once where all of it is known."""
    said = {} if route.retirement is None else route.retirement.headers()

    async def endpoint(request: Request) -> Response:
        try:
            caller = doors.admit_known(request, route.verb)
            if caller is None:
                caller = await run_in_threadpool(doors.admit, request, route.verb)
            answer: Response | None = None if knowing is None else knowing(route, request, caller)
            if answer is None:
                answer = await run_in_threadpool(answering, route, request, caller)
        except Problem as problem:
            problem.headers.update(said)
            raise
        if not said:
            return answer
        more = [answer.headers["Link"]] if "Link" in answer.headers else []
        answer.headers.update({**said, "Link": ", ".join([*more, said["Link"]])})
        return answer

    return endpoint


def _hot_answer(route: DeclaredRoute, request: Request, caller: Caller, hot: HotValues) -> Response:
    format_ = format_of(request)
    values = values_of(request, route.parameters)
    if not hot.is_followed:
        detail = "Nothing computes hot values here, or its broker does not answer: `lakehouse up --streams` does."
        raise Problem(404, "No hot path", detail)
    revision = hot.revision
    answer = route.handler(hot, caller, values)
    return hot_response(hot_body_of(answer, format_, revision), format_, revision, answer.next_cursor)
