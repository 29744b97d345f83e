"""Sessions with mail servers: how long one may take, whom it trusts, and what it says at the end."""

import socket
import ssl
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from runtime.errors import PlatformError
from runtime.ports import free_port
from runtime.settings import load_settings
from runtime.smtp_sessions import smtp_session
from serving.report import mail_server
from serving.report.mail_server import hand_over
from tests.support.certificates import make_certificate


def a_mail() -> EmailMessage:
    """A mail."""
    message = EmailMessage()
    message["Subject"] = "Held hours"
    message.set_content("Two.")
    return message


def test_a_server_that_drips_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and its greeting never ends: the attempt does, and may be made again."""
    monkeypatch.setattr(mail_server, "_WHOLE_S", 1.0)
    enough = Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"220 ")
                for _ in range(400):
                    connection.sendall(b"x")
                    if enough.wait(0.05):
                        return

        dripping = Thread(target=drip)
        dripping.start()
        settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path), "LAKEHOUSE_MAIL_FROM": "lake@example.com",
                                  "LAKEHOUSE_SMTP": f"smtp://127.0.0.1:{server.getsockname()[1]}"})  # fmt: skip
        try:
            with pytest.raises(PlatformError, match="not done after 1 s"):
                hand_over(settings, a_mail(), "ada@example.com")
        finally:
            enough.set()
            dripping.join(60)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """No password and no mail goes to who only says that it is the server."""
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                secured.sendall(b"220 hello\r\n")
                heard.append(secured.recv(100))

        answering = Thread(target=answer)
        answering.start()
        port = server.getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError), smtp_session(f"smtps://me:x@localhost:{port}", 60, 120):
            pass
        answering.join(60)
    assert heard == []


class Leaving:
    """A server that takes mail, and has no time for a goodbye."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return "250 taken"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return "421 too busy"


def test_what_was_taken_is_taken_whatever_is_said_to_the_goodbye(tmp_path: Path) -> None:
    """Else it would be sent again."""
    port = free_port()
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path), "LAKEHOUSE_SMTP": f"smtp://127.0.0.1:{port}",
                              "LAKEHOUSE_MAIL_FROM": "lake@example.com"})  # fmt: skip
    controller = Controller(Leaving(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        assert hand_over(settings, a_mail(), "ada@example.com") == "taken"
    finally:
        controller.stop()
