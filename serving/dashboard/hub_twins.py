"""Hub twins: what the home's hub knows of a device, looked at from beside it.

Belongs here: reading its registry, which is neither made nor changed by a look. Rules of twins are the hub's own.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError

from hub.hub_errors import HubError
from hub.registry.connections import connection_of
from hub.registry.database import Tx
from hub.registry.moments import text_of
from hub.registry.twins import twin_of
from runtime.settings import Settings


@dataclass(frozen=True)
class TwinSeen:
    """A device's twin and whether it is connected; `active_at` as the hub spells moments."""

    tags: dict[str, Any]
    desired: dict[str, Any]
    reported: dict[str, Any]
    desired_version: int
    reported_version: int
    is_connected: bool
    active_at: str | None


class HubTwins:
    """The twins of a home's hub, where it has one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def of(self, device_id: str) -> TwinSeen | None:
        """The twin of a device; None where there is no hub, or it does not know the device."""
        file = self._settings.hub_folder / "registry.db"
        if self._settings.hub_database is None and not file.exists():
            return None
        try:
            with self._engine.connect() as connection:
                tx = Tx(connection, 0)
                twin, state = twin_of(tx, device_id), connection_of(tx, device_id)
        except (HubError, DBAPIError):
            return None
        active_at = None if state.active_at is None else text_of(state.active_at)
        return TwinSeen(twin.tags, twin.desired, twin.reported, twin.desired_version, twin.reported_version,
                        state.is_connected, active_at)  # fmt: skip

    @cached_property
    def _engine(self) -> Engine:
        url = self._settings.hub_database_url
        if url.startswith("sqlite:///"):
            return create_engine(f"sqlite:///file:{url.removeprefix('sqlite:///')}?mode=ro&uri=true")
        return create_engine(url, pool_size=1)
