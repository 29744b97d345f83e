"""Cells: one recorded value as JSON text.

Belongs here: what text without a type means for a telemetry, and how numbers are written. Values that are wrong pass
through as they are. Times are in `recorded_times`.
"""

import json
import math
import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any


class NumberText(str):
    """A number as it is written in the file, digit for digit."""

    __slots__ = ()


_NUMERIC = ("double", "float", "decimal", "int", "bigint", "smallint", "tinyint")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# what people write as well: +5, 007, .5, 5.
_NUMBER = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?([eE][+-]?[0-9]+)?")
_TRUTHS = {"true": "true", "false": "false", "1": "true", "0": "false"}
# a double holds every number of so many digits
_SAFE_DIGITS = 15


def json_text(value: Any) -> str:
    """A value that has a type as JSON text; numbers keep their digits, infinities are texts as JSON has none."""
    if isinstance(value, NumberText):
        return str(value) if _JSON_NUMBER.fullmatch(value) else json.dumps(str(value))
    if isinstance(value, dict):
        inside = (f"{json.dumps(str(name))}:{json_text(each)}" for name, each in value.items())
        return "{" + ",".join(inside) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "null" if math.isnan(value) else json.dumps(str(value))
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return json.dumps(value.isoformat() if isinstance(value, date) else str(value))


def json_of_text(text: str, type_: str, decimal_mark: str = ".") -> str:
    """Text of a file without types as the JSON text of a telemetry of a Spark SQL type.

    What is not of the type becomes a JSON string, to be refused by whoever judges it.
    """
    stripped = text.strip()
    kind = type_.split("<")[0].split("(")[0]
    if kind in _NUMERIC:
        return _number(stripped, decimal_mark) or json.dumps(text)
    if kind == "boolean" and stripped.lower() in _TRUTHS:
        return _TRUTHS[stripped.lower()]
    if kind in ("array", "map", "struct") and stripped[0] in "[{" and _is_json(stripped):
        return stripped
    return json.dumps(text)


def same_number(text: str) -> str:
    """The shortest text of a JSON number's value: `20.0`, `2e1` and `20` are one; others stay as they are.

    A file and its export by another program then say the same. What a double does not hold keeps its digits.
    """
    if text.isdigit() or not _JSON_NUMBER.fullmatch(text):
        return text
    if "e" not in text and "E" not in text and len(text) <= _SAFE_DIGITS:
        return text.rstrip("0").rstrip(".") if "." in text else text
    shortest = repr(float(text)).removesuffix(".0")
    try:
        return shortest if Decimal(shortest) == Decimal(text) else text
    except InvalidOperation:
        return text


def is_missing(value: Any, missing: frozenset[str]) -> bool:
    """True for a cell that says there is no value: empty, NaN in a file with types, or one of the `missing` texts.

    Of `missing` a number stands for every spelling of it.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if not isinstance(value, str):
        return bool(missing) and not isinstance(value, (dict, list)) and json_text(value) in missing
    text = value.strip()
    if isinstance(value, NumberText) and text == "NaN":
        return True
    return not text or (bool(missing) and (text in missing or same_number(_number(text, ".") or text) in missing))


def missing_texts(texts: tuple[str, ...]) -> frozenset[str]:
    """What `is_missing` compares with."""
    return frozenset({*texts, *(same_number(_number(text, ".") or text) for text in texts)})


def _number(text: str, decimal_mark: str) -> str | None:
    if decimal_mark != ".":
        text = text.replace(".", " ").replace(decimal_mark, ".")
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
