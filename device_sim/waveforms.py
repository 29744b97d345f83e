"""Signals: what a telemetry of any device model looks like over time, as JSON text.

Belongs here: values inside the declared range with a daily cycle and noise, counters that only rise, states that last,
and the nested types. Which devices measure when is decided in `stream`; broken values are made in `corruptions`.
"""

import json
from collections.abc import Callable

import numpy as np

from device_sim.noise import Floats, Keys, Times, uniform
from lake.models.catalog import Telemetry

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_STATE_MS = 1_800_000
_COUNTER_ZERO_MS = 946_684_800_000  # 2000-01-01: no plausible reading is older
_INTEGER_TYPES = ("int", "bigint", "smallint", "tinyint")
_COUNTER_UNITS = frozenset({"wh", "kwh", "megawh", "gwh", "j", "kj", "megaj", "gj", "vah", "kvah", "varh", "kvarh"})
_TYPICAL = {
    "degc": (14.0, 30.0), "degf": (57.0, 86.0), "k": (287.0, 303.0), "pct": (30.0, 65.0), "ppm": (400.0, 1200.0),
    "v": (222.0, 238.0), "a": (0.5, 12.0), "w": (100.0, 2500.0), "kw": (0.1, 2.5), "hz": (49.9, 50.1),
    "kpa": (180.0, 420.0), "hpa": (985.0, 1030.0), "mm_s": (0.4, 4.5), "m_s": (0.2, 8.0), "rpm": (900.0, 3000.0),
    "db": (30.0, 75.0), "lx": (50.0, 800.0), "dbm": (-95.0, -50.0),
}  # fmt: skip
"""Where a quantity usually lies, by unit; used when it fits the declared range."""


def json_texts(telemetry: Telemetry, keys: Keys, times: Times) -> list[str]:
    """The telemetry's value as JSON text, one an element of `keys` (a device each) and `times`."""
    if telemetry.enum_values is not None:
        return _pick([json.dumps(value) for value in telemetry.enum_values], keys, times)
    return _texts_of_type(telemetry.type, telemetry, keys, times)


def counts_up(telemetry: Telemetry) -> bool:
    """True for a quantity that a device only ever adds to, such as energy."""
    return telemetry.unit in _COUNTER_UNITS


def numbers(telemetry: Telemetry, keys: Keys, times: Times) -> Floats:
    """Unrounded values of a numeric telemetry, inside its range."""
    return _counter(telemetry, keys, times) if counts_up(telemetry) else _cycle(telemetry, keys, times)


def _cycle(telemetry: Telemetry, keys: Keys, times: Times) -> Floats:
    low, high = _usual_range(telemetry)
    level, phase = uniform(keys, -1), uniform(keys, -2)
    daily = np.sin(2 * np.pi * (times / _DAY_MS + 0.1 * phase - 0.4))
    noise = uniform(keys, times) + uniform(keys, ~times) - 1
    # the shares add up to less than a half, so no ordinary reading leaves the range
    return np.asarray(low + (high - low) * (0.5 + 0.3 * (level - 0.5) + 0.15 * daily + 0.1 * noise), dtype=np.float64)


def _counter(telemetry: Telemetry, keys: Keys, times: Times) -> Floats:
    """Rises in every moment, faster by day; at the top of its range it starts anew, as a meter does."""
    rate, phase = 0.2 + 1.3 * uniform(keys, -1), uniform(keys, -2)
    hours = (times - _COUNTER_ZERO_MS) / _HOUR_MS
    swing = 12 / np.pi * 0.6 * (1 - np.cos(2 * np.pi * (hours / 24 + phase)))
    total = rate * (hours + swing)
    low = telemetry.minimum or 0.0
    if telemetry.maximum is not None:
        total = np.mod(total, telemetry.maximum - low)
    return np.asarray(low + total, dtype=np.float64)


def _usual_range(telemetry: Telemetry) -> tuple[float, float]:
    low, high = telemetry.minimum, telemetry.maximum
    usual = _TYPICAL.get(telemetry.unit)
    if usual and (low is None or low <= usual[0]) and (high is None or usual[1] <= high):
        return usual
    if low is None:
        low = min(0.0, high - 100.0) if high is not None else 0.0
    return low, high if high is not None else low + 100.0


def _texts_of_type(type_: str, telemetry: Telemetry, keys: Keys, times: Times) -> list[str]:
    kind = type_.split("<", 1)[0].split("(", 1)[0].strip().lower()
    if kind in _INTEGER_TYPES:
        return _integers(telemetry, keys, times)
    if kind == "array":
        return _list_texts(_inside(type_), telemetry, keys, times)
    if kind == "map":
        value_type = split_types(_inside(type_))[1]
        elements = _texts_of_type(value_type, telemetry, keys, times)
        return [f'{{"a":{text}}}' for text in elements]
    if kind == "struct":
        return _struct_texts(_inside(type_), telemetry, keys, times)
    return _SCALARS.get(kind, _strings)(telemetry, keys, times)


def _floats(telemetry: Telemetry, keys: Keys, times: Times) -> list[str]:
    low, high = _usual_range(telemetry)
    digits = 3 if counts_up(telemetry) else 2 if high - low >= 5 else 4
    return list(map(repr, np.round(numbers(telemetry, keys, times), digits).tolist()))


def _integers(telemetry: Telemetry, keys: Keys, times: Times) -> list[str]:
    return list(map(str, np.floor(numbers(telemetry, keys, times)).astype(np.int64).tolist()))


def _booleans(telemetry: Telemetry, keys: Keys, times: Times) -> list[str]:
    is_on = uniform(keys, times // _STATE_MS) < 0.8
    return ["true" if on else "false" for on in is_on.tolist()]


def _strings(telemetry: Telemetry, keys: Keys, times: Times) -> list[str]:
    return _pick(['"alpha"', '"beta"', '"gamma"'], keys, times)


def _timestamps(telemetry: Telemetry, keys: Keys, times: Times) -> list[str]:
    return [f'"{text}"' for text in time_texts(times)]


def _dates(telemetry: Telemetry, keys: Keys, times: Times) -> list[str]:
    return [f'"{text[:10]}"' for text in time_texts(times)]


def _pick(texts: list[str], keys: Keys, times: Times) -> list[str]:
    """One of the texts; it stays for half an hour."""
    chosen = (uniform(keys, times // _STATE_MS) * len(texts)).astype(np.int64)
    return [texts[i] for i in chosen.tolist()]


def _list_texts(element_type: str, telemetry: Telemetry, keys: Keys, times: Times) -> list[str]:
    elements = [_texts_of_type(element_type, telemetry, keys, times + i) for i in range(3)]
    return [f"[{','.join(row)}]" for row in zip(*elements, strict=True)]


def _struct_texts(fields: str, telemetry: Telemetry, keys: Keys, times: Times) -> list[str]:
    names, columns = [], []
    for field in split_types(fields):
        name, type_ = field.split(":", 1)
        names.append(json.dumps(name.strip().strip("`")))
        columns.append(_texts_of_type(type_.strip(), telemetry, keys, times))
    rows = zip(*columns, strict=True)
    return ["{" + ",".join(f"{n}:{v}" for n, v in zip(names, row, strict=True)) + "}" for row in rows]


_SCALARS: dict[str, Callable[[Telemetry, Keys, Times], list[str]]] = {
    "double": _floats,
    "float": _floats,
    "decimal": _floats,
    "boolean": _booleans,
    "timestamp": _timestamps,
    "date": _dates,
}


def time_texts(times: Times) -> list[str]:
    """Times as ce_time: `2026-11-20T05:00:00.000Z`."""
    texts: list[str] = np.datetime_as_string(times.astype("datetime64[ms]"), timezone="UTC").tolist()
    return texts


def split_types(types: str) -> list[str]:
    """`a:int,b:map<string,int>` -> [`a:int`, `b:map<string,int>`]: the commas outside of brackets part."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(types):
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append(types[start:i])
            start = i + 1
    return [*parts, types[start:]]


def _inside(type_: str) -> str:
    return type_[type_.index("<") + 1 : type_.rindex(">")]
