"""Frames: JSON over a socket between the host and a function's process, four bytes of length before each.

Belongs here: writing and reading one. It imports nothing else of the project, as `function_worker`.
"""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

_LENGTH = struct.Struct(">I")
_PART = 1 << 20


def send_frame(connection: socket.socket, value: Mapping[str, Any]) -> None:
    """Write one frame. Raises OSError when the other side has gone."""
    body = json.dumps(value).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)


def read_frame(connection: socket.socket) -> dict[str, Any] | None:
    """Read one frame; None at the end. Raises OSError or ValueError for what is no frame."""
    head = _exactly(connection, _LENGTH.size)
    body = None if head is None else _exactly(connection, _LENGTH.unpack(head)[0])
    return None if body is None else json.loads(body)


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    found = bytearray()
    while len(found) < count:
        part = connection.recv(min(count - len(found), _PART))
        if not part:
            return None
        found += part
    return bytes(found)
