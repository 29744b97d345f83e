"""What a person asks the running hub for from its own machine."""

import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest

from hub import administration
from hub.links.key_material import key_material
from runtime.errors import PlatformError
from runtime.settings import load_settings

_RECORD = b"\x16\x03\x03\x40\x00"
"""The head of a TLS record of 16 KiB."""


def test_a_hub_that_drips_bytes_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and all of them never do: the call ends, and says why."""
    monkeypatch.setattr(administration, "_WHOLE_S", 1.0)
    is_over = Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            taken, _ = server.accept()
            with taken, suppress(OSError):
                taken.sendall(_RECORD)
                for _ in range(600):
                    taken.sendall(b"\2")
                    if is_over.wait(0.1):
                        return

        dripping = Thread(target=drip)
        dripping.start()
        named = {"LAKEHOUSE_HOME": str(tmp_path), "LAKEHOUSE_HUB_PORT": str(server.getsockname()[1])}
        settings = load_settings(named)
        key_material(settings).ensure(["localhost"], datetime.now(UTC))
        try:
            with (
                administration.opened_registry(settings) as registry,
                pytest.raises(PlatformError, match=r"not done after 1 s"),
            ):
                administration.call_hub(settings, registry, "default", "GET", "/devices/d")
        finally:
            is_over.set()
            dripping.join(60)
