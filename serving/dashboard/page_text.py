"""Page text: figures, times and places as a page shows them.

Belongs here: spelling and addresses. The templates use these as filters; escaping is the templates' own.
"""

from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote, urlencode

from serving.unit_symbols import SYMBOLS

NOTHING = "\u2013"
"""Stands where there is no figure."""


def figure(value: Any) -> str:
    """A figure with as many digits as a person reads."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size and (size < 0.001 or size >= 1e9):
        return f"{value:.3g}"
    return f"{value:,.0f}" if size >= 10_000 else f"{value:,.1f}" if size >= 100 else f"{value:.2f}"


def unit(name: str | None) -> str:
    """The symbol of a unit."""
    return SYMBOLS.get(name or "1", name or "")


def moment(value: Any) -> str:
    """A moment to the second, or a day."""
    if value is None:
        return "never"
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
        return f"{value:%Y-%m-%d %H:%M}" + (f":{value:%S}" if value.second else "")
    return value.isoformat() if isinstance(value, date) else str(value)


def iso(value: Any) -> str:
    """A moment as an address or a script takes it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)


def percent(ratio: float | None) -> str:
    """A share, rounded down so that only what is whole says 100."""
    if ratio is None:
        return NOTHING
    pct = int(ratio * 1000) / 10
    return "100" if pct >= 100 else f"{pct:.0f}" if pct == int(pct) else f"{pct:.1f}"


def level(ratio: float | None) -> str:
    """The class of a cell of the heat map: c0 (nothing came) to c5 (all did)."""
    if ratio is None:
        return "none"
    bounds = (0.5, 0.8, 0.95, 0.99, 1.0)
    return "c0" if ratio <= 0 else f"c{sum(ratio >= bound for bound in bounds)}"


def device_path(device_id: str) -> str:
    """The page of a device; its name may hold anything that an address may not."""
    return f"/devices/{quote(device_id, safe='')}"


def query(path: str, **values: Any) -> str:
    """An address with its parameters, those that are None left out."""
    given = {name: iso(value) for name, value in values.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


FILTERS = {
    "figure": figure,
    "unit": unit,
    "moment": moment,
    "iso": iso,
    "percent": percent,
    "level": level,
    "device_path": device_path,
}
