"""SMTP sessions: a mail server that was greeted, by TLS where it has that, and was told who sends.

Belongs here: connecting, TLS, logging in, and an end for all of it. What is sent, and what answers mean, is for who
sends.
"""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult, unquote, urlsplit

from runtime.deadlines import cut_after
from runtime.guarded_http import RefusedError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_USUAL_PORTS = {"smtp": 587, "smtps": 465}


class _Session(smtplib.SMTP):
    """Over a connection that is made already."""

    def __init__(self, host: str, connected: socket.socket, timeout_s: float) -> None:
        self._connected = connected
        super().__init__(host, timeout=timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._connected


@contextmanager
def smtp_session(address: str, timeout_s: float, whole_s: float) -> Iterator[smtplib.SMTP]:
    """A session with the server of an `smtp://` or `smtps://` address.

    It may be silent for `timeout_s`, and has `whole_s` for all of the block. Its certificate has to be one that this
    machine trusts, and a password is told by TLS only, unless the server is on this machine.
    Raises RefusedError for one without TLS that wants a password, OSError or smtplib.SMTPException.
    """
    host, port = place_of(address)
    plain = socket.create_connection((host, port), timeout_s)
    with cut_after(plain, whole_s) as is_late:
        try:
            parts = urlsplit(address)
            connected = _by_tls(plain, host) if parts.scheme == "smtps" else plain
            with _ended(_Session(host, connected, timeout_s)) as server:
                _introduce(server, parts, host)
                yield server
        except (OSError, smtplib.SMTPException) as error:
            if is_late.is_set():
                raise TimeoutError(f"{host} was not done after {whole_s:g} s") from error
            raise
        finally:
            plain.close()


def place_of(address: str) -> tuple[str, int]:
    """Host and port of a mail server."""
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or _USUAL_PORTS[parts.scheme]


def _by_tls(plain: socket.socket, host: str) -> ssl.SSLSocket:
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


@contextmanager
def _ended(server: smtplib.SMTP) -> Iterator[smtplib.SMTP]:
    """Say goodbye at the end; what is answered to that changes nothing of what was taken before."""
    try:
        yield server
    finally:
        with suppress(OSError, smtplib.SMTPException):
            server.quit()
        server.close()


def _introduce(server: smtplib.SMTP, parts: SplitResult, host: str) -> None:
    server.ehlo_or_helo_if_needed()
    if parts.scheme == "smtp" and server.has_extn("starttls"):
        server.starttls(context=ssl.create_default_context())
        server.ehlo()
    elif parts.scheme == "smtp" and parts.username and host not in _LOOPBACK:
        raise RefusedError(f"the mail server {host} offers no TLS, so it is not told the password: use smtps://")
    if parts.username:
        server.login(unquote(parts.username), unquote(parts.password or ""))
