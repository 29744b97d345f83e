"""Settings of the hot path: what its actions may do.

Belongs here: their variables, defaults and meanings. The mail server is in `serving_settings`.
"""

from dataclasses import dataclass
from typing import Annotated

from runtime.variables import Setting, networks


@dataclass(frozen=True, kw_only=True)
class StreamsSettings:
    """What is done about alarms."""

    actions_secret: Annotated[
        str | None,
        Setting("LAKEHOUSE_ACTIONS_SECRET", str, "Hot path", "what webhooks are signed with; none is called without"),
    ] = None
    actions_allow: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_ACTIONS_ALLOW", networks, "Hot path",
            "private networks that webhooks may reach: `10.1.0.0/16,127.0.0.1/32`", "none",
        ),
    ] = None  # fmt: skip
