"""Checks: whether Dagster's UI could be started.

Belongs here: what `up` would stumble over. Checks of tables are `asset_checks`.
"""

from dagster_project.programs import WEBSERVER
from runtime import processes
from runtime.findings import Check, Finding
from runtime.ports import is_port_open
from runtime.settings import Settings


def check_ui_port(settings: Settings) -> Finding:
    """A port that was asked for is free, or the webserver's own."""
    if settings.ui_port is None:
        return Finding("ui port", True, "chosen when it starts")
    if processes.find(settings, WEBSERVER) is None and is_port_open("127.0.0.1", settings.ui_port, 1.0):
        return Finding("ui port", False, f"{settings.ui_port} is taken by another program", "Set LAKEHOUSE_UI_PORT.")
    return Finding("ui port", True, str(settings.ui_port))


CHECKS: tuple[Check, ...] = (check_ui_port,)
