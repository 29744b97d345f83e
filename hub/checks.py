"""Checks: whether the hub's registry and certificates can be used.

Belongs here: what `lakehouse doctor` finds of the hub. A home without a hub has nothing to find.
"""

from hub.administration import opened_registry
from hub.registry.tenants import tenant_names
from runtime.errors import PlatformError
from runtime.findings import Check, Finding
from runtime.settings import Settings


def check_registry(settings: Settings) -> Finding:
    """The registry opens, if there is one."""
    if settings.hub_database is None and not (settings.hub_folder / "registry.db").exists():
        return Finding("hub", True, "no hub in this home yet")
    try:
        with opened_registry(settings) as registry:
            names = registry.read(tenant_names)
    except PlatformError as error:
        return Finding("hub", False, str(error), "Correct LAKEHOUSE_HUB_DATABASE, or start the database.")
    return Finding("hub", True, f"registry with the tenants {', '.join(names)}")


CHECKS: tuple[Check, ...] = (check_registry,)
