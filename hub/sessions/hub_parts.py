"""The parts of a hub process that every connection uses.

Belongs here: one value that holds them, and the counts. What each does belongs to it.
"""

from dataclasses import dataclass

from hub.access.admission import Admission
from hub.access.quotas import Quotas
from hub.messages.landing import Landing
from hub.messages.message_routes import MessageRoutes
from hub.messages.repeat_window import RepeatWindows
from hub.registry.hub_registry import Registry
from hub.sessions.built_in_endpoint import BuiltInEndpoint
from hub.sessions.session_table import SessionTable


@dataclass(slots=True)
class Counts:
    """What happened since the process started."""

    refused: int = 0
    too_large: int = 0
    qos2: int = 0
    turned_away: int = 0


@dataclass(frozen=True, slots=True)
class HubParts:
    """`instance` names this process among all that ever ran, `hosts` are the names by which clients reach it."""

    instance: str
    hosts: tuple[str, ...]
    registry: Registry
    admission: Admission
    landing: Landing
    windows: RepeatWindows
    routes: MessageRoutes
    quotas: Quotas
    sessions: SessionTable
    endpoint: BuiltInEndpoint
    counts: Counts
