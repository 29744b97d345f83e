"""TLS over memory: one connection's encryption between the socket's transport and the protocol that speaks inside.

Belongs here: handshake, encryption, closing. Which protocol speaks inside is decided by `first_bytes`; certificates
lie with `key_material`.

OpenSSL's memory BIOs are used rather than asyncio's TLS, since Python's ssl refuses a self-signed client certificate
in the handshake: here any certificate passes, and the registry judges it.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from OpenSSL import SSL

from hub.links.link import MOST_UNREAD

_CHUNK = 65_536


def make_context(certificate: Path, key: Path) -> SSL.Context:
    """A server's context for this certificate chain and key, both PEM files; TLS 1.2 and 1.3.

    Raises SSL.Error for files that are none, or do not belong together.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate_chain_file(str(certificate))
    context.use_privatekey_file(str(key))
    context.check_privatekey()
    # a certificate is asked for; whether it, or none, is enough the registry says
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE)
    # the device SDKs resume no sessions, and a resumed one would come without its certificates
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    return context


class TlsConnection(asyncio.Protocol):
    """A protocol to the socket, a transport to the protocol inside, which `choose` makes once the handshake is done."""

    __slots__ = ("_choose", "_inside", "_is_closing", "_is_open", "_is_paused", "_raw", "_tls", "_waiting")

    def __init__(self, context: SSL.Context, choose: Callable[["TlsConnection"], asyncio.Protocol]) -> None:
        self._tls = SSL.Connection(context, None)
        self._tls.set_accept_state()
        self._choose = choose
        self._inside: asyncio.Protocol | None = None
        self._raw: asyncio.Transport = cast(asyncio.Transport, None)
        self._is_open = True
        self._is_closing = False
        self._is_paused = False
        self._waiting: list[bytes] = []

    # what the socket tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection is there."""
        self._raw = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes have come."""
        try:
            self._tls.bio_write(data)
            if self._inside is None and not self._shake_hands():
                return
            self._read()
        except SSL.Error:
            self.abort()

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return False
        except SSL.Error:
            self._flush()  # the alert that says why
            self.abort()
            return False
        self._flush()
        self._inside = self._choose(self)
        self._inside.connection_made(cast(asyncio.Transport, self))
        return True

    def _read(self) -> None:
        while self._is_open:
            try:
                plain = self._tls.recv(_CHUNK)
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                if self._inside is not None:
                    self._inside.eof_received()
                self.close()
                return
            if self._is_paused:
                self._waiting.append(plain)
            elif self._inside is not None:
                self._inside.data_received(plain)

    def eof_received(self) -> bool:
        """The peer writes no more; TLS has no half-open connections."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is gone."""
        self._is_open, self._is_closing = False, True
        self._waiting.clear()
        if self._inside is not None:
            self._inside.connection_lost(exc)

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        if self._inside is not None:
            self._inside.pause_writing()

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        if self._inside is not None:
            self._inside.resume_writing()

    # what the protocol inside asks

    def peer_chain(self) -> list[x509.Certificate]:
        """The certificates that the client presented, its own first; none when it had none."""
        own = self._tls.get_peer_certificate(as_cryptography=True)
        if own is None:
            return []
        others = self._tls.get_peer_cert_chain(as_cryptography=True) or []
        return [own, *(each for each in others if each != own)]

    def write(self, data: bytes) -> None:
        """Encrypt and send; a peer that reads nothing of megabytes is cut off."""
        if self._is_closing:
            return
        try:
            view = memoryview(data)
            while view:
                view = view[self._tls.send(view[: 16 * _CHUNK]) :]
        except SSL.Error:
            self.abort()
            return
        self._flush()
        if self._raw.get_write_buffer_size() > MOST_UNREAD:
            self.abort()

    def writelines(self, parts: list[bytes]) -> None:
        """Send several pieces as one."""
        self.write(b"".join(parts))

    def close(self) -> None:
        """Send what was written, say so to the peer, close."""
        if self._is_closing:
            return
        self._is_closing = True
        try:
            self._tls.shutdown()
            self._flush()
        except SSL.Error:
            pass
        self._raw.close()

    def abort(self) -> None:
        """Close at once."""
        self._is_open, self._is_closing = False, True
        self._raw.abort()

    def is_closing(self) -> bool:
        """True when nothing can be written any more."""
        return self._is_closing or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Give nothing to the protocol inside, and read nothing from the socket."""
        if not self._is_paused:
            self._is_paused = True
            if not self._raw.is_closing():
                self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Give what has come meanwhile, then read on."""
        if not self._is_paused:
            return
        self._is_paused = False
        while self._waiting and not self._is_paused and self._inside is not None:
            self._inside.data_received(self._waiting.pop(0))
        if not self._is_paused and not self._raw.is_closing():
            self._raw.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the socket knows; `sslcontext` is there, as HTTP servers ask by it whether it is HTTPS."""
        return True if name == "sslcontext" else self._raw.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Bytes that the socket has not taken."""
        return self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When writing is paused."""
        self._raw.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another protocol speaks inside from now on."""
        self._inside = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol inside."""
        return cast(asyncio.BaseProtocol, self._inside)

    def _flush(self) -> None:
        while True:
            try:
                encrypted = self._tls.bio_read(_CHUNK)
            except SSL.WantReadError:
                return
            self._raw.write(encrypted)
            if len(encrypted) < _CHUNK:
                return
