"""The home's hub for commands: its registry, and the options that they share.

Belongs here: opening it. What a command prints belongs to it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hub.registry.hub_registry import Registry
    from runtime.settings import Settings

of_tenant = click.option("--tenant", default="default", show_default=True, help="Whose it is.")
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def opened_hub() -> "Iterator[tuple[Settings, Registry]]":
    """Settings and registry of this home."""
    from hub.administration import opened_registry
    from runtime.settings import load_settings

    settings = load_settings()
    with opened_registry(settings) as registry:
        yield settings, registry
