"""Places: what the declarations of sites come to together: where each lies, and which time zone its days follow.

Belongs here: the site above a site, its path, the zone that it takes over. One declaration is in `site_history`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lake.local_days import UTC_ZONE


@dataclass(frozen=True)
class Site:
    """A declared site. `path` names the sites from the topmost one down to it, as /plant/hall/line; `zone` is its own,
    else that of the nearest site above it that has one, else UTC."""

    site_id: str
    name: str | None
    zone: str
    parent_id: str | None
    path: str


def sites_of(current: Iterable[Mapping[str, Any]]) -> list[Site]:
    """The sites, by id, from the current rows of `silver.sites`."""
    rows = {row["site_id"]: row for row in current}
    return [_site(rows, site_id) for site_id in sorted(rows)]


def _site(rows: Mapping[str, Mapping[str, Any]], site_id: str) -> Site:
    chain: list[str] = []
    above: str | None = site_id
    while above is not None and above not in chain:  # sites that are parts of each other end the path
        chain.append(above)
        above = rows[above]["parent_id"] if above in rows else None
    zones = (rows[each]["zone"] for each in chain if each in rows)
    zone = next((found for found in zones if found), UTC_ZONE)
    row = rows[site_id]
    return Site(site_id, row["name"], zone, row["parent_id"], "".join(f"/{each}" for each in reversed(chain)))
