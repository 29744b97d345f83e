"""A store that takes connections and says nothing is named soon, whichever client would have asked it first."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lake.checks import check_lake
from lake.storage import store_answers
from lake.storage.delta import open_table
from lake.storage.lake_files import LakeFiles
from lake.storage.lease import writer_lease
from lake.storage.store_answers import require_answer
from runtime.errors import PlatformError
from runtime.settings import Settings


@contextmanager
def _server(answer: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers each connection so, or keeps it and says nothing: its host and port, and what it got."""
    asked: list[bytes] = []
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                caller, _ = listening.accept()
            except OSError:
                return
            kept.append(caller)
            asked.append(caller.recv(4096))
            if answer is not None:
                caller.sendall(answer)
                caller.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", asked
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    for caller in kept:
        caller.close()


def _settings(home: Path, address: str) -> Settings:
    return Settings(
        home=home, lake_uri="s3://bucket/lake", aws_endpoint_url=address, aws_access_key_id="a",
        aws_secret_access_key="b",
    )  # fmt: skip


def _lease(settings: Settings) -> None:
    with writer_lease(settings, "tick"):
        pass


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "ask", [lambda each: open_table(each, "silver.rejected"), lambda each: LakeFiles(each).under("x"), _lease]
)
def test_a_silent_store_is_named_before_a_client_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, ask: Callable[[Settings], object]
) -> None:
    """By delta-rs, s3fs and the lease, after two attempts, also where it is silent before TLS has begun."""
    monkeypatch.setattr(store_answers, "PATIENCE_S", 0.1)
    with _server(None) as (place, asked):
        address = f"{scheme}://{place}"
        with pytest.raises(PlatformError, match=f"{address} does not answer: .*AWS_ENDPOINT_URL"):
            ask(_settings(tmp_path, address))
        assert len(asked) == 2
        # who asks again, as another check of the doctor's does, does not wait again
        found = check_lake(_settings(tmp_path, address))
        assert not found.is_ok
        assert "does not answer" in found.found
        assert len(asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n",
        b"220 another protocol\r\n",
        b"",
    ],
)
def test_any_answer_will_do(tmp_path: Path, answer: bytes) -> None:
    """A store is asked once in a process; what it says, or that it is none, is for the clients to name."""
    with _server(answer) as (place, asked):
        require_answer(_settings(tmp_path, f"http://{place}"))
        require_answer(_settings(tmp_path, f"http://{place}"))
        assert len(asked) == 1
    require_answer(_settings(tmp_path, f"http://{place}/closed"))


def test_an_answer_byte_by_byte_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it has one deadline, however soon each byte follows the one before; this one ends after two seconds."""
    monkeypatch.setattr(store_answers, "DEADLINE_S", 0.2)
    is_told = threading.Event()

    def drip(listening: socket.socket) -> None:
        caller, _ = listening.accept()
        with caller:
            for _ in range(100):
                if is_told.wait(0.02):
                    return
                caller.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,), daemon=True)
        thread.start()
        with pytest.raises(PlatformError, match="does not answer"):
            require_answer(_settings(tmp_path, f"http://127.0.0.1:{listening.getsockname()[1]}"))
        is_told.set()
        thread.join()


def test_the_patience_fits_into_half_a_minute() -> None:
    """With room for a program's start; both attempts fit into the deadline."""
    assert 2 * store_answers.PATIENCE_S <= store_answers.DEADLINE_S <= 15
