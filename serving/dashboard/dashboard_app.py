"""The dashboard's routes: from a request to a page.

Belongs here: signing in and out, refusing, and which page an address is. What a page shows is in `pages`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from lake.records.verdicts import release
from lake.storage.lease import writer_lease
from runtime.errors import LakehouseError, LeaseError
from runtime.settings import Settings
from serving.access.doors import Caller, Doors
from serving.dashboard.page_frame import HEADERS, Frame
from serving.dashboard.pages import Page, Pages
from serving.dashboard.sessions import LONGEST_KEY, forget, form_of, local_path, remember
from serving.dashboard.static_files import StaticFiles
from serving.hot.hot_values import HotValues
from serving.problems import Problem
from serving.push.news import News
from serving.snapshots import Snapshots

_LEASE_WAIT_S = 5.0
_Work = Callable[[Request], Any]


class Dashboard:
    """Pages over published gold and the hot path of a home."""

    def __init__(self, settings: Settings, doors: Doors, snapshots: Snapshots, hot: HotValues, news: News) -> None:
        self._settings, self._doors, self._snapshots = settings, doors, snapshots
        self._files = StaticFiles()
        self._frame = Frame(self._files, hot)
        self._pages = Pages(settings, hot, news)

    def routes(self) -> list[Route]:
        """Starlette's routes."""
        pages: list[tuple[str, Page]] = [
            ("/", self._pages.fleet),
            ("/devices/{device_id:path}", self._pages.device),
            ("/completeness", self._pages.completeness),
            ("/held", self._pages.held),
            ("/alerts", self._pages.alerts),
            ("/trace", self._pages.trace),
        ]
        return [
            *(Route(path, self._guarded(self._shown(page)), methods=["GET"]) for path, page in pages),
            Route("/held/release", self._guarded(self._release), methods=["POST"]),
            Route("/sign-in", self._guarded(self._sign_in_page), methods=["GET"]),
            Route("/sign-in", self._guarded(self._sign_in), methods=["POST"]),
            Route("/sign-out", self._guarded(self._sign_out), methods=["POST"]),
            Route("/static/{name}", self._files.serve, methods=["GET"]),
        ]

    def _guarded(self, work: _Work) -> _Work:
        """The same work, its problems as a page; who has not signed in is sent to do so."""

        async def endpoint(request: Request) -> Response:
            try:
                return await work(request)  # type: ignore[no-any-return]
            except Problem as problem:
                if problem.status == 401 and request.method == "GET":
                    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                    return RedirectResponse(f"/sign-in?{urlencode({'next': target})}", 303, HEADERS)
                page = self._frame.page(request, "problem.html", {"problem": problem}, status=problem.status)
                page.headers.update(problem.headers)
                return page

        return endpoint

    def _shown(self, page: Page) -> _Work:
        def render(request: Request, caller: Caller) -> Response:
            snapshot = self._snapshots.newest()
            template, values = page(request, snapshot, caller)
            return self._frame.page(request, template, values, caller=caller, snapshot=snapshot)

        async def work(request: Request) -> Response:
            caller = await run_in_threadpool(self._doors.admit, request, "read")
            return await run_in_threadpool(render, request, caller)

        return work

    async def _sign_in_page(self, request: Request) -> Response:
        return self._signing_in(request, local_path(request.query_params.get("next", "/")))

    def _signing_in(self, request: Request, target: str, *, is_wrong: bool = False) -> Response:
        values = {"next": target, "is_wrong": is_wrong, "takes_tokens": self._settings.oidc_issuer is not None}
        return self._frame.page(request, "sign_in.html", values, status=401 if is_wrong else 200)

    async def _sign_in(self, request: Request) -> Response:
        fields = await form_of(request, needs_token=False)
        key, target = fields.get("key", "").strip(), local_path(fields.get("next", "/"))
        found = await run_in_threadpool(self._doors.recognised, key) if len(key) <= LONGEST_KEY else None
        if found is None:
            return self._signing_in(request, target, is_wrong=True)
        response = RedirectResponse(target, 303, HEADERS)
        remember(request, response, key)
        return response

    async def _sign_out(self, request: Request) -> Response:
        await form_of(request)
        response = RedirectResponse("/sign-in", 303, HEADERS)
        forget(response)
        return response

    def _let_pass(self, slice_: str, why: str, who: str) -> None:
        with writer_lease(self._settings, "release", _LEASE_WAIT_S):
            release(self._settings, slice_, why, who, datetime.now(UTC))

    async def _release(self, request: Request) -> Response:
        """Let a held slice pass; the next refresh publishes it."""
        fields = await form_of(request)
        caller = await run_in_threadpool(self._doors.admit, request, "release")
        if caller.sites is not None:
            raise Problem(403, "Not allowed", "A held slice concerns every site, and this key sees some only.")
        slice_, why = fields.get("slice", ""), fields.get("why", "")
        try:
            await run_in_threadpool(self._let_pass, slice_, why, caller.key.name)
        except LeaseError as error:
            raise Problem(503, "Not released yet", str(error), {"Retry-After": "30"}) from error
        except LakehouseError as error:
            raise Problem(400, "Not released", str(error)) from error
        return RedirectResponse("/held", 303, HEADERS)
