"""What figures by kind must be, in plain Python, reading by reading.

Belongs here: the rules of docs/guide/kinds.md, written again and in another way than in SQL.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
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
        increase, covered_s = sum(each for each, _, _ in steps), (group[-1].at - series[0].at).total_seconds()
        rows[device, hour] = _begun(group, carried) | {
            "increase": increase, "covered_s": covered_s, "increase_per_h": _by_unit(increase, covered_s),
            "reset_count": sum(reset for _, reset, _ in steps),
            "rollover_count": sum(rollover for _, _, rollover in steps),
        }  # fmt: skip
        newest[device] = group[-1]
    return rows


def _begun(group: list[Reading], carried: Reading | None) -> dict[str, Any]:
    """What hours of counters and gauges have in common; `group` are the readings of one."""
    return _extremes(group) | {
        "value_first": group[0].value, "first_event_at": group[0].at, "last_event_at": group[-1].at,
        "carried_value": None if carried is None else carried.value,
        "carried_at": None if carried is None else carried.at,
    }  # fmt: skip


def _extremes(group: list[Reading]) -> dict[str, Any]:
    values = [each.value for each in group]
    return {"reading_count": len(values), "value_min": min(values), "value_max": max(values), "value_last": values[-1]}


def _by_unit(figure: float, covered_s: float, unit_s: int = 3600) -> float | None:
    return figure * unit_s / covered_s if covered_s else None


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
    minutes = _grouped(steps, lambda each: (each.reading.device, each.reading.at.replace(second=0, microsecond=0)))
    return {
        key: _counted(ours)
        | {"carried_value": ours[0].before, "carried_at": None if ours[0].before is None else ours[0].since}
        for key, ours in minutes.items()
    }


def counter_days(steps: Iterable[Step]) -> dict[tuple[str, date], dict[str, Any]]:
    """The rows of `gold.counter_days` by device and day."""
    days = _grouped(steps, lambda each: (each.reading.device, each.reading.at.date()))
    return {key: _counted(ours) for key, ours in days.items()}


def counter_site_days(
    steps: Iterable[Step], site_of: Callable[[str, datetime], str | None], zones: Mapping[str, str]
) -> dict[tuple[str, date], dict[str, Any]]:
    """The rows of `gold.counter_site_days` by site and local day."""

    def place_of(step: Step) -> tuple[str, date]:
        site = site_of(step.reading.device, step.reading.hour) or "unknown"
        return site, step.reading.at.astimezone(ZoneInfo(zones.get(site, "UTC"))).date()

    rows: dict[tuple[str, date], dict[str, Any]] = {}
    for (site, day), ours in _grouped(steps, place_of).items():
        zone = zones.get(site, "UTC")
        start, end = (datetime.combine(each, time(), ZoneInfo(zone)).astimezone(UTC)
                      for each in (day, day + timedelta(days=1)))  # fmt: skip
        # second by second: readings come at whole ones
        seconds = {
            second for each in ours for second in range(int(each.since.timestamp()), int(each.reading.at.timestamp()))
        }
        rows[site, day] = _counted(ours, float(len(seconds))) | {
            "zone": zone, "starts_at": start, "hours_in_day": (end - start) / HOUR,
            "device_count": len({each.reading.device for each in ours}),
        }  # fmt: skip
    return rows


def _grouped(steps: Iterable[Step], key_of: Callable[[Step], Any]) -> dict[Any, list[Step]]:
    groups: dict[Any, list[Step]] = {}
    for step in steps:
        groups.setdefault(key_of(step), []).append(step)
    return groups


def _counted(steps: list[Step], covered_s: float | None = None) -> dict[str, Any]:
    """What the steps of a period come to; where no `covered_s` is given each step has time of its own."""
    increase = sum(each.increase for each in steps)
    if covered_s is None:
        covered_s = sum((each.reading.at - each.since).total_seconds() for each in steps)
    return _extremes([each.reading for each in steps]) | {
        "increase": increase, "covered_s": covered_s, "increase_per_h": _by_unit(increase, covered_s),
        "reset_count": sum(each.reset for each in steps), "rollover_count": sum(each.rollover for each in steps),
    }  # fmt: skip


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
        rows[device, hour] = _begun(group, carried) | {
            "integral": integral, "covered_s": covered_s, "time_weighted_mean": _by_unit(integral, covered_s, unit_s),
            "value_stddev": pstdev(each.value for each in group),
        }  # fmt: skip
        newest[device] = group[-1]
    return rows


def gauge_days(
    readings: Iterable[Reading], hours: Mapping[tuple[str, datetime], Mapping[str, Any]], unit_s: int = 3600
) -> dict[tuple[str, date], dict[str, Any]]:
    """The rows of `gold.gauge_days` by device and day, of the readings of these `hours` and what those come to."""
    rows: dict[tuple[str, date], dict[str, Any]] = {}
    known = sorted(each for each in readings if (each.device, each.hour) in hours)
    for key, each in groupby(known, key=lambda reading: (reading.device, reading.at.date())):
        group = list(each)
        ours = [row for (device, hour), row in hours.items() if (device, hour.date()) == key]
        integral, covered_s = (sum(row[name] for row in ours) for name in ("integral", "covered_s"))
        rows[key] = _extremes(group) | {
            "value_first": group[0].value, "integral": integral, "covered_s": covered_s,
            "time_weighted_mean": _by_unit(integral, covered_s, unit_s),
            "value_stddev": pstdev(reading.value for reading in group),
        }  # fmt: skip
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


def state_days(
    hours: Mapping[tuple[str, datetime, str], Mapping[str, Any]],
) -> dict[tuple[str, date, str], dict[str, Any]]:
    """The rows of `gold.state_days` by device, day and state, of the rows of their hours."""
    rows: dict[tuple[str, date, str], dict[str, Any]] = {}
    for device, day, state in {(device, hour.date(), state) for device, hour, state in hours}:
        of_day = {key: row for key, row in hours.items() if (key[0], key[1].date()) == (device, day)}
        ours = [row for key, row in of_day.items() if key[2] == state]
        last = of_day.get((device, max(hour for _, hour, _ in of_day), state))
        rows[device, day, state] = {
            name: sum(row[name] for row in ours) for name in ("reading_count", "duration_s", "entered_count")
        } | {
            "is_last": last is not None and last["is_last"],
            "is_carried": all(row["is_carried"] for row in of_day.values()),
        }
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
