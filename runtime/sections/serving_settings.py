"""Settings of serving: the API and sharing.

Belongs here: what who runs the API decides. Not what reading in general may use, which is `lake_settings`'.
"""

from dataclasses import dataclass
from typing import Annotated

from runtime.variables import Setting, port


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """Where apps read."""

    api_port: Annotated[
        int | None,
        Setting("LAKEHOUSE_API_PORT", port, "Serving", "port of the API and of sharing", "8080, or a free one"),
    ] = None
