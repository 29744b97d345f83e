"""An HTTP proxy in front of the S3 server, which answers otherwise than it should.

Belongs here: passing requests on and spoiling chosen ones. Which ones, and what must hold, belongs in `test_s3`.

Signatures cover the Host header, so that goes through as it came.
"""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["500", "503", "slow", "lost"]
"""An error of the server, its word for too many requests, an answer after a while, or none for what was done."""

_SLOW_S = 0.5
_OF_THE_CONNECTION = {"connection", "transfer-encoding", "keep-alive", "expect"}


@dataclass
class Proxy:
    """Where it listens; `spoil` says of a method and path what is done to a request, None passes it on."""

    endpoint: str
    spoil: Callable[[str, str], Fault | None] = lambda method, path: None
    spoilt: list[str] = field(default_factory=list)


@contextmanager
def running_proxy(server: str) -> Iterator[Proxy]:
    """A proxy in front of the S3 server at the address `server`, while the block runs."""
    target = urlsplit(server).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

        def _pass(self) -> None:
            fault = proxy.spoil(self.command, self.path)
            body = self._body()
            if fault is not None:
                proxy.spoilt.append(f"{fault} {self.command} {self.path}")
            if fault in ("500", "503"):
                self._answer(int(fault), {}, b"<Error><Code>SlowDown</Code></Error>" if fault == "503" else b"")
                return
            if fault == "slow":
                time.sleep(_SLOW_S)
            status, headers, content = self._asked(body)
            if fault == "lost":
                self.close_connection = True
                self.connection.close()
                return
            self._answer(status, headers, content)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _asked(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(target, timeout=60)
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in _OF_THE_CONNECTION | {"content-length"}:
                        connection.putheader(name, value)
                connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response_only(status)
            length = str(len(content))
            for name, value in headers.items():
                if name.lower() == "content-length":
                    length = value if self.command == "HEAD" else length
                elif name.lower() not in _OF_THE_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815  # the names that the library calls

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        proxy = Proxy(f"http://127.0.0.1:{listening.server_address[1]}")
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listening.shutdown()
            thread.join()
