"""What a change of the registry touches: the times at which a device's record differs from before.

Belongs here: the comparison of two histories, in plain Python, since histories of changed devices are few. Reading
them belongs in `pipeline`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

STATE = ("status", "in_service_at", "model_id", "site_id", "reporting_interval_s")

Interval = tuple[datetime, datetime | None]
"""From (inclusive), to (exclusive; None is open)."""


@dataclass(frozen=True)
class DeviceChange:
    """How one device's history changed.

    `intervals` are where its state differs. `is_judged_anew` is true when what judging reads of it differs
    (in_service_at, model), so that its records must be judged again; `is_new` when the registry did not know it.
    """

    device_id: str
    intervals: tuple[Interval, ...]
    is_judged_anew: bool
    is_new: bool


def changes(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> list[DeviceChange]:
    """Compare two histories (rows of `silver.devices`), device by device; devices without a difference are left out."""
    old, new = _by_device(before), _by_device(after)
    found = []
    for device_id in sorted(set(old) | set(new)):
        was, now = old.get(device_id, []), new.get(device_id, [])
        intervals = _differences(was, now)
        if intervals:
            found.append(DeviceChange(device_id, tuple(intervals), _facts(was) != _facts(now), not was))
    return found


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Intervals joined where they touch or overlap, in order."""
    result: list[Interval] = []
    for start, end in sorted(intervals, key=lambda i: i[0]):
        if result and (result[-1][1] is None or start <= result[-1][1]):
            last_start, last_end = result[-1]
            result[-1] = (last_start, None if end is None or last_end is None else max(end, last_end))
        else:
            result.append((start, end))
    return result


def _by_device(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    devices: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        devices.setdefault(row["device_id"], []).append(row)
    return {device: sorted(history, key=lambda r: r["valid_from"]) for device, history in devices.items()}


def _differences(was: list[Mapping[str, Any]], now: list[Mapping[str, Any]]) -> list[Interval]:
    moments = sorted({row["valid_from"] for row in (*was, *now)})
    ends: list[datetime | None] = [*moments[1:], None]
    return merged(
        (start, end) for start, end in zip(moments, ends, strict=True) if _state(was, start) != _state(now, start)
    )


def _state(history: list[Mapping[str, Any]], moment: datetime) -> tuple[Any, ...] | None:
    current = None
    for row in history:
        if row["valid_from"] <= moment:
            current = tuple(row[name] for name in STATE)
    return current


def _facts(history: list[Mapping[str, Any]]) -> tuple[Any, ...]:
    models: list[tuple[datetime, str]] = []
    for row in history:
        if row["model_id"] is not None and (not models or models[-1][1] != row["model_id"]):
            models.append((row["valid_from"], row["model_id"]))
    return (min((row["in_service_at"] for row in history), default=None), tuple(models))
