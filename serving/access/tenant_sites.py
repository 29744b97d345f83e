"""Tenants: names for sites that belong together, so that a key need not list them.

Belongs here: reading `<home>/tenants.yml`. What a scope lets through is in `scopes`.
"""

from collections.abc import Mapping

import yaml

from runtime.errors import UsageError
from runtime.settings import Settings

TenantSites = Mapping[str, tuple[str, ...]]
"""The sites of each tenant."""


def load_tenants(settings: Settings) -> TenantSites:
    """The tenants of a home, none without the file. Raises UsageError."""
    path = settings.home / "tenants.yml"
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict):
        raise UsageError(f"{path}: write a mapping of tenants to lists of sites.")
    for name, sites in said.items():
        if not isinstance(name, str) or not isinstance(sites, list) or not all(isinstance(s, str) and s for s in sites):
            raise UsageError(f"{path}: the tenant {name!r} is to have a list of the names of its sites.")
    return {name: tuple(sites) for name, sites in said.items()}
