"""Cells: one recorded value as JSON text, or as a moment.

Belongs here: what text without a type means for a telemetry, and which texts are times. Values that are wrong pass
through as they are.
"""

import json
import re
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from lake.slices import FIRST_IMPLAUSIBLE_YEAR, FIRST_PLAUSIBLE_YEAR


class NumberText(str):
    """A number as it is written in the file, digit for digit."""

    __slots__ = ()


_NUMERIC = ("double", "float", "decimal", "int", "bigint", "smallint", "tinyint")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# what people write as well: +5, 007, .5, 5.
_NUMBER = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?([eE][+-]?[0-9]+)?")
_TRUTHS = {"true": "true", "false": "false", "1": "true", "0": "false"}


def json_text(value: Any) -> str:
    """A value that has a type as JSON text; numbers keep their digits."""
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, dict):
        inside = (f"{json.dumps(str(name))}:{json_text(each)}" for name, each in value.items())
        return "{" + ",".join(inside) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(json_text, value)) + "]"
    if value is None or isinstance(value, (bool, int, float)):
        # a NaN stays one: whoever judges the message is to see it
        return json.dumps(value)
    return json.dumps(value.isoformat() if isinstance(value, date) else str(value))


def json_of_text(text: str, type_: str) -> str:
    """Text of a file without types as the JSON text of a telemetry of a Spark SQL type.

    What is not of the type becomes a JSON string, to be refused by whoever judges it.
    """
    stripped = text.strip()
    kind = type_.split("<")[0].split("(")[0]
    if kind in _NUMERIC:
        return _number(stripped) or json.dumps(text)
    if kind == "boolean" and stripped.lower() in _TRUTHS:
        return _TRUTHS[stripped.lower()]
    if kind in ("array", "map", "struct") and stripped[0] in "[{" and _is_json(stripped):
        return stripped
    return json.dumps(text)


def moment_of(value: Any, zone: tzinfo) -> datetime | None:
    """The moment that a cell names, in UTC, one without a zone being of `zone`; None when it is no ISO 8601 time."""
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)
        elif isinstance(value, str) and not isinstance(value, NumberText):
            moment = datetime.fromisoformat(value.strip())
        else:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def is_plausible(moment: datetime) -> bool:
    """False for the times of devices without a clock, which no device has been in service since."""
    return FIRST_PLAUSIBLE_YEAR <= moment.year < FIRST_IMPLAUSIBLE_YEAR


def _number(text: str) -> str | None:
    if _JSON_NUMBER.fullmatch(text):
        return text
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, exponent = match.groups()
    digits = (whole or "").lstrip("0") or "0"
    return f"{'-' if sign == '-' else ''}{digits}{f'.{fraction}' if fraction else ''}{exponent or ''}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True
