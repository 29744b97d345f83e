"""Hot records: what a record of the hot path's topics says, or that it is none of ours.

Belongs here: reading one, and the types of what we show of it. Anybody who may write to Kafka can put records there:
one whose known fields are not as `streams.hot_outputs` writes them is left out, as if it were not there.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from wire.times import moment_of_rfc3339

FIGURES = ("value_mean", "value_min", "value_max", "value_last")
_LARGEST = 2**63 - 1


def hot_record(value: bytes | None) -> dict[str, Any] | None:
    """The record as JSON has it, None for one that is none of ours. All of it can be written as JSON and as UTF-8."""
    try:
        # not json's own decoding, which takes half a character
        text = (value or b"").decode()
        body = json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_whole)
        if "\\u" in text:
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    return body if all(holds(body.get(name)) for name, holds in _KNOWN.items()) else None


def is_alarm(body: Mapping[str, Any]) -> bool:
    """True for a change of an alarm: it names its rule and what changed."""
    return all(isinstance(body.get(name), str) for name in ("rule", "change"))


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_moment(value: object) -> bool:
    return value is None or (isinstance(value, str) and moment_of_rfc3339(value) is not None)


def _is_figure(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, int | float | str)


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST)


def _is_object(value: object) -> bool:
    return value is None or (isinstance(value, dict) and _is_text(value.get("site_id")))


_KNOWN: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(
        ("device_id", "site_id", "model_id", "component_name", "metric_name", "unit", "clock_status", "message_id",
         "window", "rule", "change", "severity"),
        _is_text,
    ),
    **dict.fromkeys(("event_at", "window_start", "at", "since"), _is_moment),
    **dict.fromkeys(FIGURES, _is_figure),
    "value": _is_value,
    "revision": _is_count,
    "seen": _is_object,
}  # fmt: skip


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(f"{text} is more than a number holds")
    return found


def _whole(text: str) -> int:
    found = int(text)
    _finite(text)
    return found
