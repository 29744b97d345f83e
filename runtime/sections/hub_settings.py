"""Settings of the hub: its registry and its port.

Belongs here: what who runs a hub decides. Not what who runs the API decides.
"""

from dataclasses import dataclass
from typing import Annotated

from runtime.variables import Setting, database_url, port


@dataclass(frozen=True, kw_only=True)
class HubSettings:
    """Where devices connect, and where what is known of them is kept."""

    hub_database: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_HUB_DATABASE", database_url, "Hub",
            "the hub's registry: `postgresql://user@host/name` or `sqlite:///file`", "SQLite under the home",
        ),
    ] = None  # fmt: skip
    hub_port: Annotated[
        int, Setting("LAKEHOUSE_HUB_PORT", port, "Hub", "the hub's TLS port, for MQTT, AMQP and HTTPS", "8883")
    ] = 8883
