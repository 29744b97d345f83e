"""Subscriptions: who gets which report by mail and when, from YAML.

Belongs here: reading `<home>/reports/*.yml`, saying what is wrong with them, and when one is due. What is in a mail is
in `mail_figures`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from runtime.errors import UsageError
from runtime.settings import Settings

EVERY = ("publication", "day", "week")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Subscription:
    """A report: its `metrics` are (name, unit), none for the one that most devices measure; `sites` None for all.

    It tells of the `days` before the end of the publication. `at` is the local time from which one of a day or a week
    is due.
    """

    name: str
    to: tuple[str, ...]
    title: str
    every: str = "publication"
    at: time = time(6)
    weekday: int = 0
    time_zone: str = "UTC"
    days: int = 7
    sites: tuple[str, ...] | None = None
    metrics: tuple[tuple[str, str], ...] = ()

    def period(self, now: datetime) -> str:
        """What it is sent once for, beside the publication: the day or week, or nothing before that has begun."""
        if self.every == "publication":
            return "publication"
        local = now.astimezone(ZoneInfo(self.time_zone))
        if local.time() < self.at or (self.every == "week" and local.weekday() != self.weekday):
            return ""
        return local.date().isoformat()


def reports_folder(settings: Settings) -> Path:
    """Where a home's reports are declared."""
    return settings.home / "reports"


def load_subscriptions(settings: Settings) -> dict[str, Subscription]:
    """The reports of a home by name, each a file `NAME.yml`. Raises UsageError."""
    return {path.stem: _read(path) for path in sorted(reports_folder(settings).glob("*.yml"))}


def subscription_of(settings: Settings, name: str) -> Subscription:
    """One report. Raises UsageError naming those that there are."""
    found = load_subscriptions(settings)
    if name not in found:
        there = ", ".join(found) or f"none: write {reports_folder(settings)}/{name}.yml"
        raise UsageError(f"There is no report {name!r}, there are {there}.")
    return found[name]


def _read(path: Path) -> Subscription:
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict) or not _NAME.fullmatch(path.stem):
        raise UsageError(f"{path}: write a mapping with `to:`, in a file named in small letters, digits, - and _.")
    unknown = sorted(set(map(str, said)) - ({f.name for f in fields(Subscription)} - {"name"}))
    if unknown:
        raise UsageError(f"{path} says {unknown[0]}, which is unknown: see docs/guide/reports.md for what can be said.")
    weekday = _one_of(path, said, "weekday", WEEKDAYS, "monday")
    return Subscription(
        name=path.stem,
        to=_addresses(path, said.get("to")),
        title=_line(path, said.get("title", f"Report {path.stem}"), "title"),
        every=_one_of(path, said, "every", EVERY, "publication"),
        at=_time(path, said.get("at", "06:00")),
        weekday=WEEKDAYS.index(weekday),
        time_zone=_zone(path, said.get("time_zone", "UTC")),
        days=_days(path, said.get("days", 7)),
        sites=None if said.get("sites") is None else _lines(path, said["sites"], "sites"),
        metrics=tuple(_metric(path, text) for text in _lines(path, said.get("metrics") or [], "metrics")),
    )


def _one_of(path: Path, said: Mapping[str, Any], name: str, allowed: tuple[str, ...], usual: str) -> str:
    value = said.get(name, usual)
    if value not in allowed:
        raise UsageError(f"{path}: {name} is {value!r}: give one of {', '.join(allowed)}.")
    return str(value)


def _addresses(path: Path, value: Any) -> tuple[str, ...]:
    found = _lines(path, [value] if isinstance(value, str) else value, "to")
    wrong = [each for each in found if not _ADDRESS.fullmatch(each)]
    if wrong or not found:
        raise UsageError(f"{path}: to is {wrong[0] if wrong else 'empty'!r}: give addresses such as ops@example.com.")
    return tuple(dict.fromkeys(found))


def _lines(path: Path, value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{path}: {name} is to be a list.")
    return tuple(_line(path, each, name) for each in value)


def _line(path: Path, value: Any, name: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > 200:
        raise UsageError(f"{path}: {name} has {value!r}: give a text of one line.")
    return value


def _metric(path: Path, text: str) -> tuple[str, str]:
    name, _, unit = text.partition(" ")
    if not unit:
        raise UsageError(f"{path}: metrics has {text!r}: give a name and its unit, such as `temperature degc`.")
    return name, unit


def _time(path: Path, value: Any) -> time:
    # YAML 1.1 takes 06:30 without quotes for 390
    text = f"{value // 60:02d}:{value % 60:02d}" if isinstance(value, int) else str(value)
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{path}: at is {value!r}: give a time such as '06:30'.") from None


def _zone(path: Path, value: Any) -> str:
    try:
        return ZoneInfo(str(value)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"{path}: time_zone is {value!r}: give a name such as Europe/Berlin.") from None


def _days(path: Path, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 366:
        raise UsageError(f"{path}: days is {value!r}: give a whole number from 1 to 366.")
    return value
