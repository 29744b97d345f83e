"""What figures by kind must be, in plain Python, reading by reading.

Belongs here: the rules of docs/guide/kinds.md, written again and in another way than in SQL.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise
from statistics import pstdev
from typing import Any
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)


@dataclass(frozen=True, order=True)
class Reading:
    """A reading of one metric; `offset` orders those of one moment."""

    device: str
    at: datetime
    offset: int
    value: Any

    @property
    def hour(self) -> datetime:
        """The start of its hour."""
        return self.at.replace(minute=0, second=0, microsecond=0)


def step_of(old: float, new: float, maximum: float | None) -> tuple[float, int, int]:
    """The increase from one reading of a counter to the next, and whether it was a reset or a roll-over."""
    if new >= old:
        return new - old, 0, 0
    if maximum is not None and new >= 0 and old <= maximum and old - new > maximum / 2:
        return maximum - old + new, 0, 1
    return max(new, 0.0), 1, 0


def by_hour(readings: Iterable[Reading], held: Collection[datetime]) -> Iterable[tuple[str, datetime, list[Reading]]]:
    """Device, hour and readings in order, without those of held hours."""
    known = sorted(each for each in readings if each.hour not in held)
    for (device, hour), group in groupby(known, key=lambda each: (each.device, each.hour)):
        yield device, hour, list(group)


def counter_hours(
    readings: Iterable[Reading], maximum: float | None, limit: timedelta, held: Collection[datetime] = ()
) -> dict[tuple[str, datetime], dict[str, Any]]:
    """The rows of `gold.counter_hours` by device and hour."""
    rows: dict[tuple[str, datetime], dict[str, Any]] = {}
    newest: dict[str, Reading] = {}
    for device, hour, group in by_hour(readings, held):
        carried = newest.get(device)
        if carried is not None and group[0].at - carried.at > limit:
            carried = None
        series = group if carried is None else [carried, *group]
        steps = [step_of(old.value, new.value, maximum) for old, new in pairwise(series)]
        rows[device, hour] = {
            "reading_count": len(group), "value_first": group[0].value, "value_last": group[-1].value,
            "carried_value": None if carried is None else carried.value,
            "carried_at": None if carried is None else carried.at,
            "increase": sum(increase for increase, _, _ in steps),
            "covered_s": (group[-1].at - series[0].at).total_seconds(),
            "reset_count": sum(reset for _, reset, _ in steps),
            "rollover_count": sum(rollover for _, _, rollover in steps),
        }  # fmt: skip
        newest[device] = group[-1]
    return rows


@dataclass(frozen=True)
class Step:
    """What a reading of a counter adds: its increase since `since`, the reading before it, or its own moment."""

    reading: Reading
    since: datetime
    before: float | None
    increase: float
    reset: int
    rollover: int


def counter_steps(
    readings: Iterable[Reading], maximum: float | None, limit: timedelta, held: Collection[datetime] = ()
) -> list[Step]:
    """A step a reading, in order of device and time, but for those of held hours."""
    steps: list[Step] = []
    for _, group in groupby(sorted(each for each in readings if each.hour not in held), key=lambda each: each.device):
        before: Reading | None = None
        for each in group:
            if before is None or each.at - before.at > limit:
                steps.append(Step(each, each.at, None, 0.0, 0, 0))
            else:
                steps.append(Step(each, before.at, before.value, *step_of(before.value, each.value, maximum)))
            before = each
    return steps


def counter_minutes(steps: Iterable[Step]) -> dict[tuple[str, datetime], dict[str, Any]]:
    """The rows of `gold.counter_minutes` by device and minute."""
    rows: dict[tuple[str, datetime], dict[str, Any]] = {}
    for step in steps:
        row = rows.setdefault((step.reading.device, step.reading.at.replace(second=0, microsecond=0)), {
            "reading_count": 0, "increase": 0.0, "covered_s": 0.0, "reset_count": 0, "rollover_count": 0,
            "carried_value": step.before, "carried_at": None if step.before is None else step.since,
        })  # fmt: skip
        _add_step(row, step)
        row["covered_s"] += (step.reading.at - step.since).total_seconds()
        row["value_last"] = step.reading.value
    return rows


def counter_site_days(
    steps: Iterable[Step], site_of: Callable[[str, datetime], str | None], zones: Mapping[str, str]
) -> dict[tuple[str, date], dict[str, Any]]:
    """The rows of `gold.counter_site_days` by site and local day."""
    rows: dict[tuple[str, date], dict[str, Any]] = {}
    spans: dict[tuple[str, date], list[tuple[datetime, datetime]]] = {}
    devices: dict[tuple[str, date], set[str]] = {}
    for step in steps:
        site = site_of(step.reading.device, step.reading.hour) or "unknown"
        key = (site, step.reading.at.astimezone(ZoneInfo(zones.get(site, "UTC"))).date())
        row = rows.setdefault(key, {"reading_count": 0, "increase": 0.0, "reset_count": 0, "rollover_count": 0})
        _add_step(row, step)
        spans.setdefault(key, []).append((step.since, step.reading.at))
        devices.setdefault(key, set()).add(step.reading.device)
    for key, row in rows.items():
        # second by second: readings come at whole ones
        seconds = {s for start, end in spans[key] for s in range(int(start.timestamp()), int(end.timestamp()))}
        row |= {"covered_s": float(len(seconds)), "device_count": len(devices[key])}
    return rows


def _add_step(row: dict[str, Any], step: Step) -> None:
    row["reading_count"] += 1
    row["increase"] += step.increase
    row["reset_count"] += step.reset
    row["rollover_count"] += step.rollover


def gauge_hours(
    readings: Iterable[Reading],
    is_linear: bool,
    limit: timedelta,
    held: Collection[datetime] = (),
    unit_s: int = 3600,
) -> dict[tuple[str, datetime], dict[str, Any]]:
    """The rows of `gold.gauge_hours` by device and hour; a value is by `unit_s` seconds, of a flow by minute 60."""
    rows: dict[tuple[str, datetime], dict[str, Any]] = {}
    newest: dict[str, Reading] = {}
    for device, hour, group in by_hour(readings, held):
        series = [each for each in (newest.get(device),) if each is not None and group[0].at - each.at <= limit]
        carried = series[0] if series else None
        integral = covered_s = 0.0
        for old, new in pairwise([*series, *group]):
            if new.at - old.at <= limit:
                span_s = (new.at - old.at).total_seconds()
                covered_s += span_s
                integral += ((old.value + new.value) / 2 if is_linear else old.value) * span_s / unit_s
        rows[device, hour] = {
            "reading_count": len(group), "value_first": group[0].value, "value_last": group[-1].value,
            "carried_value": None if carried is None else carried.value,
            "carried_at": None if carried is None else carried.at, "integral": integral, "covered_s": covered_s,
            "time_weighted_mean": integral * unit_s / covered_s if covered_s else None,
            "value_stddev": pstdev(each.value for each in group),
        }  # fmt: skip
        newest[device] = group[-1]
    return rows


def state_hours(
    readings: Iterable[Reading], limit: timedelta, hours: Collection[datetime], held: Collection[datetime] = ()
) -> dict[tuple[str, datetime, str], dict[str, Any]]:
    """The rows of `gold.state_hours` by device, hour and state, of the known `hours`."""
    known = sorted(each for each in readings if each.hour not in held)
    rows: dict[tuple[str, datetime, str], dict[str, Any]] = {}
    for device in {each.device for each in known}:
        ours = [each for each in known if each.device == device]
        for hour in (each for each in hours if each not in held):
            _add_states(rows, device, hour, ours, limit)
    return rows


def _add_states(
    rows: dict[tuple[str, datetime, str], dict[str, Any]], device: str, hour: datetime, ours: list[Reading],
    limit: timedelta,
) -> None:  # fmt: skip
    """The rows of one device and hour; `ours` are all of its readings in order."""
    end = hour + HOUR
    before = [each for each in ours if each.at < hour][-1:]
    inside = [each for each in ours if hour <= each.at < end]
    begins = [each for each in before if each.at + limit > hour and [one.at for one in inside[:1]] != [hour]]
    series = [*begins, *inside]
    for place, each in enumerate(series):
        row = rows.setdefault((device, hour, each.value), {
            "reading_count": 0, "duration_s": 0.0, "entered_count": 0, "is_last": False, "is_carried": not inside,
            "carried_at": begins[0].at if begins else None, "last_event_at": series[-1].at,
        })  # fmt: skip
        until = min(series[place + 1].at if place + 1 < len(series) else end, each.at + limit)
        row["duration_s"] += (until - max(each.at, hour)).total_seconds()
        row["reading_count"] += each in inside
        row["is_last"] = row["is_last"] or each.value == series[-1].value
    for old, new in pairwise([*before, *inside]):
        rows[device, hour, new.value]["entered_count"] += new.value != old.value and new.at - old.at <= limit
