"""An HTTP proxy in front of the S3 server, which answers otherwise than it should.

Belongs here: passing requests on and spoiling chosen ones. Which ones, and what must hold, belongs in `test_s3`.

It is a process of its own, since delta-rs lets no other thread of Python run while it waits for an answer. It takes a
rule a line and answers each with what the one before has spoilt. Signatures cover the Host header, so that goes through
as it came.

    python -m tests.faults.proxy http://127.0.0.1:9000
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["500", "503", "slow", "lost"]
"""An error of the server, its word for too many requests, an answer after a while, or none for what was done."""

_SLOW_S = 0.05
_OF_THE_CONNECTION = {"connection", "transfer-encoding", "keep-alive", "expect"}


@dataclass
class Rule:
    """Spoil each `every`-th request (0 none), or the first commit of the table in the folder `commit_of`."""

    fault: Fault = "500"
    every: int = 0
    commit_of: str = ""
    asked: int = 0
    spoilt: list[str] = field(default_factory=list)

    def spoils(self, method: str, path: str) -> bool:
        """Whether this request is spoilt, which is noted."""
        self.asked += 1
        is_commit = (
            method == "PUT" and f"/{self.commit_of}/_delta_log/" in path and path.split("?")[0].endswith(".json")
        )
        does = not self.spoilt and is_commit if self.commit_of else bool(self.every) and self.asked % self.every == 0
        if does:
            self.spoilt.append(f"{method} {path}")
        return does


@dataclass(frozen=True)
class Proxy:
    """A running proxy, where it listens, and the address of the server behind it."""

    endpoint: str
    server: str
    process: subprocess.Popen[str]

    @contextmanager
    def spoiling(self, rule: Rule) -> Iterator[None]:
        """Let `rule` hold in the block, which must meet it."""
        self._tell(rule)
        try:
            yield
        finally:
            spoilt = self._tell(Rule())
        assert spoilt, f"nothing was asked for that {rule} spoils"

    def _tell(self, rule: Rule) -> list[str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(asdict(rule)), file=self.process.stdin, flush=True)
        spoilt: list[str] = json.loads(self.process.stdout.readline())
        return spoilt


@contextmanager
def running_proxy(server: str) -> Iterator[Proxy]:
    """A proxy in front of the S3 server at the address `server`, while the block runs."""
    command = [sys.executable, "-m", "tests.faults.proxy", server]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Proxy(process.stdout.readline().strip(), server, process)
        assert process.stdin is not None
        process.stdin.close()  # at which it ends


def serve(server: str) -> None:
    """Be the proxy until stdin ends."""
    target = urlsplit(server).netloc
    rules = [Rule()]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer with a body waits 40 ms for the client's delayed ACK

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

        def _pass(self) -> None:
            rule = rules[-1]
            fault = rule.fault if rule.spoils(self.command, self.path) else None
            body = self._body()
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
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{listening.server_address[1]}", flush=True)
        for line in sys.stdin:
            rules.append(Rule(**json.loads(line)))
            print(json.dumps(rules[-2].spoilt), flush=True)
        listening.shutdown()


if __name__ == "__main__":
    serve(sys.argv[1])
