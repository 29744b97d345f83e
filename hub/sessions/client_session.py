"""A client's connection as the table of sessions sees it.

Belongs here: what the table asks of a connection, whatever protocol it speaks, and how a connection begins. The table
is `session_table`'s, a connection's own doing `mqtt_session`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509

from hub.access.admission import Admitted
from hub.sessions.downlink import Downlink
from hub.sessions.uplink import Uplink


@dataclass(slots=True)
class Opened:
    """A connection as it began: its epoch, where its repeats may lie, and the subscriptions that it goes on with."""

    epoch: int
    previous: tuple[int, ...]
    since_ms: int
    filters: dict[str, int]
    is_looked_up: bool = False


class Ticked(Protocol):
    """A connection of any kind."""

    def tick(self, now_s: float, wall_s: float) -> None:
        """A second has passed."""

    def cut(self, reason: str) -> None:
        """Close."""


class ClientSession(Ticked, Protocol):
    """A device's or module's connection; `admitted`, `opened` and the ways up and down are there once it is open."""

    client: str
    host: str
    token: str | None
    admitted: Admitted | None
    opened: Opened
    uplink: Uplink | None
    downlink: Downlink | None

    def peer_chain(self) -> Sequence[x509.Certificate]:
        """The certificates that the client presented."""
        ...
