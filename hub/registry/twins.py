"""Twins: tags, desired and reported properties, their versions and etags.

Belongs here: merging patches by IoT Hub's rules, limits of size, and the changes and events that follow. Their JSON
form in an answer belongs in `hub.api`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import bindparam, select, update

from hub.hub_errors import HubCode, HubError
from hub.registry.change_feed import record_change
from hub.registry.database import Tx
from hub.registry.identities import check_etag, find, learn, not_found
from hub.registry.moments import new_etag, text_of
from hub.registry.outbox import TWIN_CHANGED, tell_event
from hub.registry.registry_tables import TWINS

Json = dict[str, Any]

# Source: IoT Hub's limits of twins
LIMITS = {"tags": 8 * 1024, "desired": 32 * 1024, "reported": 32 * 1024}
_DEEPEST = 10
_BAD_KEY = re.compile(r"[.$\s\x00-\x1f]")
UPDATED_AT, UPDATED_VERSION = "$lastUpdated", "$lastUpdatedVersion"


@dataclass(frozen=True)
class Twin:
    """What is known of a device or module beside its identity. `…_meta` says of each property when it last changed."""

    device_id: str
    module_id: str
    etag: str
    version: int
    tags: Json
    desired: Json
    desired_meta: Json
    desired_version: int
    reported: Json
    reported_meta: Json
    reported_version: int


_NAMES = [each.name for each in fields(Twin)]
# made once: every report of a device runs them, and making one costs more than running it
_IS_IT = (TWINS.c.device_id == bindparam("of_device")) & (TWINS.c.module_id == bindparam("of_module"))
_SELECT = select(*(TWINS.c[name] for name in _NAMES)).where(_IS_IT)
_UPDATE = update(TWINS).where(_IS_IT)


def twin_of(tx: Tx, device_id: str, module_id: str = "") -> Twin:
    """The twin. Raises HubError when there is no such device or module."""
    row = tx.connection.execute(_SELECT, {"of_device": device_id, "of_module": module_id}).first()
    if row is None:
        raise not_found(device_id, module_id)
    return Twin(**row._mapping)


def patch_reported(tx: Tx, device_id: str, module_id: str, patch: Json) -> int:
    """Merge what a device reports; the new version of its reported properties."""
    old = twin_of(tx, device_id, module_id)
    made = _changed(tx, old, "reported", merged(old.reported, patch), patch)
    _save(tx, old, made, {"reported": patch})
    return made.reported_version


def change_twin(
    tx: Tx, device_id: str, module_id: str, sections: Mapping[str, Json], if_match: str | None, is_whole: bool = False
) -> Twin:
    """Merge patches into `tags` and `desired`, or with `is_whole` put them in place of what was there.

    Raises HubError for an etag that is no longer right, and for documents that break a limit.
    """
    old = twin_of(tx, device_id, module_id)
    check_etag(if_match, old.etag)
    made = old
    for section in ("tags", "desired"):
        if section in sections or is_whole:
            given = sections.get(section, {})
            now = merged({}, given) if is_whole else merged(getattr(old, section), given)
            made = _changed(tx, made, section, now, given)
    _save(tx, old, made, sections)
    if made.desired_version != old.desired_version:
        patch = sections.get("desired", {})
        if is_whole:
            patch = {**{name: None for name in old.desired if name not in patch}, **patch}
        record_change(tx, "desired", device_id, module_id, {"patch": patch, "version": made.desired_version})
    return made


def merged(old: Json, patch: Mapping[str, Any]) -> Json:
    """JSON merge of RFC 7396: objects are merged, null takes away, anything else replaces."""
    made = dict(old)
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        if value is None:
            made.pop(name, None)
        elif isinstance(value, Mapping):
            below = made.get(name)
            made[name] = merged(below if isinstance(below, dict) else {}, value)
        else:
            made[name] = value
    return made


def _changed(tx: Tx, twin: Twin, section: str, now: Json, patch: Json) -> Twin:
    _check(section, patch, now)
    if section == "tags":
        return replace(twin, tags=now)
    version = getattr(twin, f"{section}_version") + 1
    stamp: Json = {UPDATED_AT: text_of(tx.now)}
    if section == "desired":
        stamp[UPDATED_VERSION] = version
    meta = {**_stamped(getattr(twin, f"{section}_meta"), patch, now, stamp), **stamp}
    return replace(twin, **{section: now, f"{section}_version": version, f"{section}_meta": meta})


def _stamped(meta: Json, patch: Mapping[str, Any], now: Json, stamp: Json) -> Json:
    """The metadata of the properties that are there now, those of the patch with a new stamp."""
    made: Json = {}
    for name, value in now.items():
        below = meta.get(name, {})
        if name in patch:
            change, inner = patch[name], value if isinstance(value, dict) else {}
            made[name] = {**_stamped(below, change if isinstance(change, dict) else {}, inner, stamp), **stamp}
        else:
            made[name] = below or dict(stamp)
    return made


def _save(tx: Tx, old: Twin, new: Twin, sections: Mapping[str, Any]) -> None:
    made = replace(new, etag=new_etag(), version=old.version + 1)
    values = {name: getattr(made, name) for name in _NAMES if getattr(made, name) is not getattr(old, name)}
    tx.connection.execute(_UPDATE, {**values, "of_device": old.device_id, "of_module": old.module_id})
    event = {"moduleId": old.module_id or None, "version": made.version, **sections}
    tell_event(tx, old.device_id, TWIN_CHANGED, {name: value for name, value in event.items() if value is not None})
    if made.tags != old.tags or made.desired != old.desired:
        _learn(tx, made)


def _learn(tx: Tx, twin: Twin) -> None:
    """`tags.site` places a device, `desired.reporting_interval_s` says how often it reports."""
    identity = None if twin.module_id else find(tx, twin.device_id)
    if identity is None:
        return
    facts: Json = {}
    site, interval = twin.tags.get("site"), twin.desired.get("reporting_interval_s")
    if isinstance(site, str) and site:
        facts["site_id"] = site
    if isinstance(interval, int) and not isinstance(interval, bool) and 0 < interval < 2**31:
        facts["interval_s"] = interval
    learn(tx, identity, **facts)


def _check(section: str, patch: Mapping[str, Any], now: Json) -> None:
    _check_names(section, patch, 1)
    size = len(json.dumps(now, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > LIMITS[section]:
        raise HubError(
            HubCode.MessageTooLarge, f"The {section} would have {size} bytes: {LIMITS[section]} are the most."
        )


def _check_names(section: str, value: Mapping[str, Any], depth: int) -> None:
    if depth > _DEEPEST:
        raise HubError(HubCode.ArgumentInvalid, f"The {section} are nested deeper than {_DEEPEST} levels.")
    for name, below in value.items():
        if depth == 1 and name in ("$version", "$metadata"):
            continue
        # a component of a Plug and Play device marks itself by `__t`
        if not name or len(name.encode("utf-8", "surrogatepass")) > 1024 or _BAD_KEY.search(name):
            raise HubError(
                HubCode.ArgumentInvalid, f"{name!r} is no name of a property: no '.', '$' or space is allowed."
            )
        if isinstance(below, Mapping):
            _check_names(section, below, depth + 1)
