"""JSON of recorded files as values, with every digit of its numbers.

Belongs here: what of JSON is taken and what is refused, in words: names that stand twice, and depths that no device
has and that would exhaust the stack. What a value means is in `cells`.
"""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from device_sim.cells import NumberText

MOST_DEPTH = 100
"""Levels of lists and objects; deeper ones are refused in Parquet, too."""


def json_value(text: str) -> Any:
    """A JSON text as a value, its numbers as NumberText. Raises ValueError that says, in a few words, what it is."""
    try:
        value = json.loads(
            text, parse_float=NumberText, parse_int=NumberText, parse_constant=_constant, object_pairs_hook=_object
        )
        # only a text of so many brackets can be so deep
        is_deep = text.count("[") + text.count("{") > MOST_DEPTH and _is_deeper(value, MOST_DEPTH)
    except json.JSONDecodeError:
        raise ValueError("no JSON") from None
    except RecursionError:
        is_deep = True
    if is_deep:
        raise ValueError("JSON that is nested too deeply")
    return value


def name_twice(names: Iterable[str]) -> str | None:
    """The first name that stands more than once; None where each stands once."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"the name {name_twice(name for name, _ in pairs)!r} twice in one object")
    return found
