"""A link: what a session needs of the connection that it speaks over.

Belongs here: the face that TLS connections and websockets share. Both know nothing of MQTT.
"""

from collections.abc import Sequence
from typing import Protocol

from cryptography import x509

MOST_UNREAD = 4 * 1024 * 1024
"""Bytes that are kept for a peer that does not read what it asked for; beyond them it is cut off."""


class Link(Protocol):
    """Bytes out, flow control, and who is at the other end."""

    def write(self, data: bytes) -> None:
        """Send."""

    def close(self) -> None:
        """Close once everything is sent."""

    def abort(self) -> None:
        """Close at once."""

    def pause_reading(self) -> None:
        """Give no more bytes for now."""

    def resume_reading(self) -> None:
        """Go on."""

    def peer_chain(self) -> Sequence[x509.Certificate]:
        """The certificates that the client presented, its own first."""


class Session(Protocol):
    """What stands behind a link, whatever it speaks."""

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""

    def connection_lost(self) -> None:
        """Nothing comes any more."""
