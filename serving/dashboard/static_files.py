"""Static files: scripts, styles and the icon of the dashboard, kept in memory.

Belongs here: reading them once, packing them, and addresses that change with what they hold. uPlot and the SignalR
client stand here as their npm packages have them; NOTICE has their licences.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from serving.problems import Problem

FOLDER = Path(__file__).parent / "static"
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class _File:
    body: bytes
    packed: bytes
    kind: str
    digest: str


class StaticFiles:
    """The files by name."""

    def __init__(self) -> None:
        self._files = {path.name: _read(path) for path in FOLDER.iterdir() if path.suffix in _KINDS}

    def address(self, name: str) -> str:
        """Where a page finds a file; what stands there never changes."""
        return f"/static/{name}?v={self._files[name].digest}"

    async def serve(self, request: Request) -> Response:
        """A file. Raises Problem."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise Problem(404, "No such file", "The dashboard has no such file.")
        is_packed = "gzip" in request.headers.get("accept-encoding", "")
        is_current = request.query_params.get("v") == file.digest
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable" if is_current else "no-cache",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
            **({"Content-Encoding": "gzip"} if is_packed else {}),
        }
        return Response(file.packed if is_packed else file.body, 200, headers, media_type=file.kind)


def _read(path: Path) -> _File:
    body = path.read_bytes()
    packed = gzip.compress(body, mtime=0)
    return _File(body, packed, _KINDS[path.suffix], hashlib.sha256(body).hexdigest()[:12])
