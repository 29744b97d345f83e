"""A push connection lasts no longer than the key that it was let in by."""

import asyncio
import json
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from runtime.settings import load_settings
from serving.access.api_keys import ApiKeys
from serving.access.doors import Doors
from serving.access.scopes import parse_scopes
from serving.problems import Problem
from serving.push.news import News
from serving.push.push_app import PushServer

HANDSHAKE = json.dumps({"protocol": "json", "version": 1}) + "\x1e"


def test_a_revoked_key_ends_its_connections(tmp_path: Path) -> None:
    """A websocket is told why, without a request of its own; what polls or sends by the id alone is refused."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    keys = ApiKeys(settings)
    _, key = keys.create("app", parse_scopes(["read"]), datetime.now(UTC))
    server = PushServer(Doors(settings), News())
    headers = [(b"x-api-key", key.encode())]

    async def run() -> list[MutableMapping[str, Any]]:
        said: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        said.put_nowait({"type": "websocket.connect"})
        said.put_nowait({"type": "websocket.receive", "text": HANDSHAKE})
        answered: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        scope = {"type": "websocket", "path": "/push", "query_string": b"", "headers": headers, "subprotocols": []}
        serving = asyncio.create_task(Starlette(routes=server.routes())(scope, said.get, answered.put))
        got = [await asyncio.wait_for(answered.get(), 30) for _ in range(2)]
        asked = Request({"type": "http", "method": "POST", "path": "/push", "query_string": b"", "headers": headers})
        told = json.loads(bytes((await server._negotiate(asked)).body))
        keys.revoke("app", datetime.now(UTC))
        # were it not ended, pings would be all that comes
        got += [await asyncio.wait_for(answered.get(), 30) for _ in range(2)]
        said.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(serving, 30)
        by_id = {"type": "http", "path": "/push", "query_string": f"id={told['connectionToken']}".encode()}
        with pytest.raises(Problem, match="401"):
            await server._receive(Request({**by_id, "method": "POST", "headers": []}))
        with pytest.raises(Problem, match="404"):
            await server._listen(Request({**by_id, "method": "GET", "headers": []}))
        return got

    accepted, greeted, told, closed = asyncio.run(run())
    assert (accepted["type"], greeted["text"]) == ("websocket.accept", "{}\x1e")
    assert "revoked" in told["text"]
    assert closed["type"] == "websocket.close"
