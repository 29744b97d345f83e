"""An identity provider: a real server with discovery and keys, and the tokens that it signs.

Belongs here: what several tests of signing in share.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

KEY = RSAKey.generate_key(2048, {"kid": "one"})


class Provider(BaseHTTPRequestHandler):
    """Discovery and keys of an identity provider."""

    def do_GET(self) -> None:  # http.server's own name
        """What any of them answers."""
        issuer = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        body = {"/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{issuer}/keys"},
                "/keys": {"keys": [KEY.as_dict(private=False)]}}[self.path]  # fmt: skip
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def providing() -> Iterator[str]:
    """The issuer's address."""
    server = HTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def token_of(issuer: str, claims: Mapping[str, Any]) -> str:
    """A token of ada for this API, for a minute, unless the claims say otherwise."""
    said = {"iss": issuer, "aud": "lakehouse", "sub": "ada", "exp": int(time.time()) + 60, **claims}
    return jwt.encode({"alg": "RS256", "kid": "one"}, said, KEY)
