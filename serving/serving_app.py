"""The serving process: the API, sharing, push and the dashboard behind one port.

Belongs here: putting the faces together. What each answers is its own.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runtime.containment import Contained
from runtime.settings import Settings
from serving.access.doors import Doors
from serving.api.api_app import api_routes
from serving.dashboard.dashboard_app import Dashboard
from serving.hot.hot_values import HotValues
from serving.mails.mail_app import MailServer
from serving.problems import Problem, on_problem, problem_response
from serving.push.news import News
from serving.push.news_sources import HotNews, watch_publications
from serving.push.push_app import PushServer
from serving.sharing.sharing_app import SharingServer
from serving.snapshots import Snapshots

_log = logging.getLogger(__name__)
_NOTED_S = 5.0


def build_app(settings: Settings) -> Starlette:
    """The application for a home; nothing is read before the first request."""
    doors, snapshots = Doors(settings), Snapshots(settings)
    news, hot = News(), HotValues()
    push = PushServer(doors, news)
    routes = [
        *api_routes(settings, doors, snapshots, hot),
        *SharingServer(settings, doors, snapshots).routes(),
        *MailServer(settings, doors).routes(),
        *push.routes(),
        *Dashboard(settings, doors, snapshots, hot, news).routes(),
    ]
    handlers = {Problem: on_problem, HTTPException: _on_http, Exception: _on_any}
    following = partial(HotNews, settings, news, hot)
    beside = (partial(watch_publications, snapshots, news), partial(_note_usage, doors), push.keep_time)
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=_lifespan(doors, following, beside))


def _lifespan(
    doors: Doors,
    follow: Callable[[asyncio.AbstractEventLoop], HotNews],
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]],
) -> Callable[[Starlette], Any]:
    """What runs as long as the server does: the hot path's news, and tasks beside the requests."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        following = follow(asyncio.get_running_loop())
        tasks = [asyncio.create_task(each()) for each in beside]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.to_thread(following.close)
            doors.note_usage(datetime.now(UTC))

    return lifespan


async def _note_usage(doors: Doors) -> None:
    """Store now and then how often each key asked, until cancelled."""
    while True:
        await asyncio.sleep(_NOTED_S)
        # locked means that another key command is at it
        with Contained(_log, "Counting the requests of keys"), suppress(sqlite3.OperationalError):
            await asyncio.to_thread(doors.note_usage, datetime.now(UTC))


async def _on_http(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: addresses and methods that there are not."""
    assert isinstance(error, HTTPException)
    problem = Problem(error.status_code, str(error.detail), "See /openapi.json for what there is.", error.headers)
    return problem_response(problem, request.url.path)


async def _on_any(request: Request, error: Exception) -> Response:
    """A defect of ours: its text stays in the log."""
    return problem_response(
        Problem(500, "Defect", "This is a defect of the lakehouse; its log says more."), request.url.path
    )
