"""Sessions: a browser that signed in with an API key, or a token of the identity provider.

Belongs here: the cookie, and telling a form of ours from another site's. What the key may do is in `access`.

The cookie is the key itself: it ends when the key is revoked or the token expires, and outlives a restart. Scripts
cannot read it, and other sites cannot have it sent (SameSite=Strict, and `doors.is_of_our_pages`). A form carries a
token besides, made from the key, which only a page of ours could have told.
"""

import hmac
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from serving.access.doors import COOKIE, is_of_our_pages
from serving.problems import Problem
from serving.request_bodies import read_body

LONGEST_KEY = 3800
"""Browsers keep no cookie of more than some 4,000 bytes, and say nothing."""
_LASTS_S = 12 * 3600
_LARGEST = 64 * 1024


def remember(request: Request, response: Response, key: str) -> None:
    """Let the browser send the key from now on, for half a day."""
    is_secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, key, max_age=_LASTS_S, httponly=True, samesite="strict", secure=is_secure)


def forget(response: Response) -> None:
    """Let the browser send it no longer."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def form_token(request: Request) -> str:
    """What a form of a page for this session carries; empty without one."""
    key = request.cookies.get(COOKIE, "")
    return hmac.new(key.encode(), b"form", "sha256").hexdigest() if key else ""


async def form_of(request: Request, *, needs_token: bool = True) -> dict[str, str]:
    """The fields of a form that a page of ours sent. Raises Problem for any other."""
    body = await read_body(request, _LARGEST)
    fields = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    is_ours = is_of_our_pages(request)
    if needs_token:
        expected = form_token(request)
        is_ours = is_ours and bool(expected) and hmac.compare_digest(fields.get("token", ""), expected)
    if not is_ours:
        raise Problem(403, "Not from this page", "This was not sent by a page of the dashboard: open it and try again.")
    return fields


def local_path(text: str) -> str:
    """Where to go after signing in: a path of this server, else its first page."""
    is_local = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_local else "/"
