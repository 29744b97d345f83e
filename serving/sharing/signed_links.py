"""Signed links: addresses of files that open for some minutes and for nothing else.

Belongs here: signing and checking. Which files there are is said by `shared_tables`. The key is new with each start, so
a link ends with the server at the latest.
"""

import hashlib
import hmac
import secrets
from urllib.parse import quote, unquote

LIFETIME_S = 900


class LinkSigner:
    """Signs a table and a path in it until a moment."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = secrets.token_bytes(32) if key is None else key

    def link(self, base: str, table: str, path: str, now_s: float) -> tuple[str, int]:
        """The address of a file below `base`, and when it ends, in milliseconds since 1970."""
        until = int(now_s) + LIFETIME_S
        signature = self._signature(table, path, until)
        return f"{base}/sharing/files/{table}/{quote(path)}?until={until}&signature={signature}", until * 1000

    def holds(self, table: str, path: str, until: str, signature: str, now_s: float) -> bool:
        """True for a link of ours that has not ended."""
        if not until.isascii() or not until.isdigit() or int(until[:12]) < now_s:
            return False
        expected = self._signature(table, unquote(path), int(until))
        return hmac.compare_digest(expected.encode(), signature.encode())

    def _signature(self, table: str, path: str, until: int) -> str:
        return hmac.new(self._key, f"{table}\n{path}\n{until}".encode(), hashlib.sha256).hexdigest()
