"""The handler of a custom allocation: an operator's own may be on this machine, another tenant's may not."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from hub.hub_errors import HubCode, HubError
from hub.mqtt.provisioning import _ask_handler
from hub.registry.enrolments import INDIVIDUAL, Enrolment

ASKED: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Answers with what may be in a twin."""

    def do_POST(self) -> None:
        ASKED.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"payload": "' + b"x" * 1000 + b'"}')

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a handler on this machine."""
    ASKED.clear()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def enrolment(tenant: str, url: str) -> Enrolment:
    body = {"allocationPolicy": "custom", "customAllocationDefinition": {"webhookUrl": url}}
    given: dict[str, Any] = {**dict.fromkeys(Enrolment.__dataclass_fields__), "tenant": tenant, "kind": INDIVIDUAL}
    return Enrolment(**{**given, "body": body})


def test_only_the_operators_own_handler_may_be_on_this_machine(port: int) -> None:
    """Neither by http, nor by https at a name that is private: nothing comes there."""
    assert _ask_handler(enrolment("default", f"http://127.0.0.1:{port}/a"), "d", None)["payload"] == "x" * 1000
    assert ASKED == ["/a"]
    for url in (f"http://127.0.0.1:{port}/b", f"https://127.0.0.1:{port}/b", f"https://[::ffff:127.0.0.1]:{port}/b"):
        with pytest.raises(HubError) as refused:
            _ask_handler(enrolment("b", url), "d", None)
        assert refused.value.code is HubCode.ArgumentInvalid
    assert ASKED == ["/a"]
