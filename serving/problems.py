"""Problems: errors of the serving faces, as problem+json (RFC 9457).

Belongs here: the error that a handler raises and how it is written. Messages say what to do and
nothing of the inside.
"""

import json
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response


class Problem(Exception):  # noqa: N818  # RFC 9457's own word
    """What went wrong, as the caller is told."""

    def __init__(self, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status, self.title, self.detail, self.headers = status, title, detail, dict(headers or {})


def problem_response(problem: Problem, instance: str) -> Response:
    """The problem as an answer; `instance` is the path that was asked."""
    body = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": problem.detail,
            "instance": instance}  # fmt: skip
    headers = dict(problem.headers)
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="lakehouse"')
    return Response(json.dumps(body), problem.status, headers, media_type="application/problem+json")


async def on_problem(request: Request, error: Exception) -> Response:
    """Starlette's handler for `Problem`."""
    assert isinstance(error, Problem)
    return problem_response(error, request.url.path)
