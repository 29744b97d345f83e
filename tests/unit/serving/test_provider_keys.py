"""Fetching an identity provider's keys."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from runtime.settings import load_settings
from serving.access.provider_keys import ProviderKeys, fetched


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


def _answer(kid: str) -> dict[str, Any]:
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": kid}]}


def test_nobody_waits_for_a_slow_provider_who_has_keys() -> None:
    """While one caller asks a provider that does not answer, others go on with the keys that are known; who needs a key
    that is not known has what the provider then says."""
    now_s, is_asked, may_answer, answers = [0.0], threading.Event(), threading.Event(), [_answer("old")]

    def fetch(address: str) -> Any:
        if now_s[0] > 0:
            is_asked.set()
            assert may_answer.wait(60)
        return answers[-1]

    settings = load_settings({"LAKEHOUSE_HOME": "/", "LAKEHOUSE_OIDC_ISSUER": "https://login.example",
                              "LAKEHOUSE_OIDC_KEYS": "https://login.example/keys"})  # fmt: skip
    keys = ProviderKeys(settings, fetch, lambda: now_s[0])
    first = keys.known()
    now_s[0] = 3600.0
    answers.append(_answer("new"))
    with ThreadPoolExecutor(3) as pool:
        try:
            asking = pool.submit(keys.known)
            assert is_asked.wait(60)
            assert pool.submit(keys.known).result(60) is first
            needing = pool.submit(keys.renewed)
            assert not needing.done()
        finally:
            may_answer.set()
        assert [key.kid for key in needing.result(60).keys] == [key.kid for key in asking.result(60).keys] == ["new"]
