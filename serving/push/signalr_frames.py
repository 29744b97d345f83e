"""SignalR frames: the JSON hub protocol, texts in, values out.

Belongs here: framing and the kinds of message. Source: HubProtocol.md of dotnet/aspnetcore. No socket here.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

END = "\x1e"
INVOCATION, COMPLETION, STREAM, CANCEL, PING, CLOSE = 1, 3, 4, 5, 6, 7
LARGEST = 32 * 1024


class FrameError(ValueError):
    """What came is not the protocol, in words."""


def frames(text: str) -> Iterator[Mapping[str, Any]]:
    """The messages in a text. Raises FrameError."""
    if len(text) > LARGEST:
        raise FrameError(f"a message has more than {LARGEST} characters")
    if not text.endswith(END):
        raise FrameError("a message does not end with the record separator")
    for part in text[:-1].split(END):
        try:
            found = json.loads(part)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise FrameError("a message is no JSON object")
        yield found


def check_handshake(message: Mapping[str, Any]) -> None:
    """The first message names the protocol. Raises FrameError."""
    if message.get("protocol") != "json" or message.get("version") not in (1, 2):
        raise FrameError("the protocol is json, version 1")


def frame(message: Mapping[str, Any]) -> str:
    """A message as it is sent."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")) + END


def invocation(target: str, *arguments: Any) -> str:
    """A call of the client's method."""
    return frame({"type": INVOCATION, "target": target, "arguments": list(arguments)})


def completion(identity: str, *, result: Any = None, error: str | None = None) -> str:
    """The answer to a call of the client's."""
    said = {"result": result} if error is None else {"error": error}
    return frame({"type": COMPLETION, "invocationId": identity, **said})


def closing(error: str | None = None) -> str:
    """The last message; the client may come again."""
    return frame({"type": CLOSE, "allowReconnect": True} | ({} if error is None else {"error": error}))


HANDSHAKE_DONE = frame({})
PINGED = frame({"type": PING})
