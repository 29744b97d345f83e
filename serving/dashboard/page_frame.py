"""Page frame: what every page has: who looks, which publication, what the browser may load.

Belongs here: filling a template into the frame, and headers. What a page shows is in `dashboard_app` and beside it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from serving.access.doors import Caller
from serving.dashboard.page_text import FILTERS, query
from serving.dashboard.sessions import form_token
from serving.dashboard.static_files import StaticFiles
from serving.hot.hot_values import HotValues
from serving.snapshots import Snapshot

_TEMPLATES = Path(__file__).parent / "templates"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # so that a form says where it comes from, and no other site learns where its reader was
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Frame:
    """Renders pages."""

    def __init__(self, files: StaticFiles, hot: HotValues) -> None:
        self._hot = hot
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters |= FILTERS
        self._templates.globals |= {"query": query, "static": files.address}

    def page(
        self, request: Request, template: str, values: Mapping[str, Any], *, caller: Caller | None = None,
        snapshot: Snapshot | None = None, status: int = 200,
    ) -> Response:  # fmt: skip
        """A page; `caller` and `snapshot` are None where nobody has signed in or nothing is published."""
        frame = {
            "path": request.url.path,
            "caller": caller,
            "publication": None if snapshot is None else snapshot.publication,
            "is_hot": self._hot.is_followed,
            "token": form_token(request),
        }
        body = self._templates.get_template(template).render(frame | dict(values))
        return HTMLResponse(body, status, HEADERS)
