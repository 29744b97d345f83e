"""Fetching an identity provider's keys."""

import socket
import threading
from contextlib import suppress

import pytest

from serving.access.provider_keys import fetched


def _drip(server: socket.socket, is_over: threading.Event) -> None:
    connection, _ = server.accept()
    with connection, suppress(OSError):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n{}")
        for _ in range(600):  # a minute, then the answer would be whole
            connection.sendall(b" ")
            if is_over.wait(0.1):
                return


def test_a_provider_that_drips_bytes_is_cut() -> None:
    """An answer of a byte now and then, none of which is late by itself, ends with the time that a fetch has."""
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=_drip, args=(server, is_over))
        dripping.start()
        try:
            with pytest.raises(TimeoutError, match=r"had not answered after 0\.5 s"):
                fetched(f"http://127.0.0.1:{server.getsockname()[1]}/", 0.5)
        finally:
            is_over.set()
            dripping.join()
