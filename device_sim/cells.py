"""Cells: one recorded value as JSON text.

Belongs here: what text without a type means for a telemetry, and how numbers are written. Values that are wrong pass
through as they are. Times are in `recorded_times`.
"""

import json
import math
import re
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from lake.models.missing_values import nearest_single


class NumberText(str):
    """A number as it is written in the file, digit for digit."""

    __slots__ = ()


_NUMERIC = ("double", "int", "bigint")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# what people write as well: +5, 007, .5, 5.
_NUMBER = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?([eE][+-]?[0-9]+)?")
_WRITTEN_OTHERWISE = re.compile(r"[.eE]|^-0$")
_TRUTHS = {"true": "true", "false": "false", "1": "true", "0": "false"}
# a double holds every number of so many digits
_SAFE_DIGITS = 15
# and no column a whole one of more
_MOST_WHOLE_DIGITS = 40


def json_text(value: Any) -> str:
    """A value that has a type as JSON text; numbers keep their digits, infinities are texts as JSON has none.

    A span of time is one of ISO 8601, as a DTDL duration is.
    """
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
    if isinstance(value, timedelta):
        return json.dumps(_duration(value))
    return json.dumps(value.isoformat() if isinstance(value, date) else str(value))


def name_text(value: Any) -> str:
    """What a cell calls something, a device or a telemetry: a number in its shortest form.

    A program that has to leave a gap in a column of whole numbers writes all of them as `1.0`.
    """
    if isinstance(value, dict | list):
        return json_text(value)
    is_number = isinstance(value, NumberText | int | float) and not isinstance(value, bool)
    return whole_number(same_number(str(value))) if is_number else str(value)


def json_of_text(text: str, type_: str, decimal_mark: str = ".") -> str:
    """Text of a file without types as the JSON text of a Spark SQL type that holds one value.

    What is not of the type becomes a JSON string, to be refused by whoever judges it.
    """
    stripped = text.strip()
    if type_ in _NUMERIC:
        return number_text(stripped, decimal_mark) or json.dumps(text)
    if type_ == "boolean" and stripped.lower() in _TRUTHS:
        return _TRUTHS[stripped.lower()]
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


def whole_number(text: str) -> str:
    """The digits of a JSON number that has no fraction: `4.0`, `0.4e1` and `4` are one; others stay as they are."""
    if not _WRITTEN_OTHERWISE.search(text) or not _JSON_NUMBER.fullmatch(text):
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number:
        return "0"
    if not 0 <= number.adjusted() < _MOST_WHOLE_DIGITS or number != int(number):
        return text
    return str(int(number))


def is_missing(value: Any, missing: frozenset[str], decimal_mark: str = ".") -> bool:
    """True for a cell that says there is no value: empty, NaN in a file with types, or one of the `missing` texts.

    Of `missing` a number stands for every spelling of it, also for that of a single float in a double.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if not isinstance(value, str):
        if not missing or isinstance(value, dict | list):
            return False
        return _shown(value) in missing or (isinstance(value, float) and _single_text(str(value)) in missing)
    text = value.strip()
    if isinstance(value, NumberText):
        if text == "NaN":
            return True
        decimal_mark = "."
    return not text or (bool(missing) and (text in missing or _is_number_of(missing, text, decimal_mark)))


def missing_texts(texts: tuple[str, ...], decimal_mark: str = ".") -> frozenset[str]:
    """What `is_missing` compares with. A number may have the decimal mark of the file, or a point."""
    return frozenset(
        spelt
        for text in map(str.strip, texts)
        if text  # a cell that says nothing is missing anyway
        for spelt in (text, _same_text(number_text(text, decimal_mark) or text, "."))
    )


def _shown(value: Any) -> str:
    """What a person calls a value that is no text."""
    if isinstance(value, bool):
        return json_text(value)
    return _same_text(str(value), ".") if isinstance(value, int | float) else str(value)


def _is_number_of(missing: frozenset[str], text: str, decimal_mark: str) -> bool:
    same = _same_text(text, decimal_mark)
    return same in missing or _single_text(same) in missing


def _single_text(text: str) -> str | None:
    """The shortest text of the single float next to a JSON number; None where it is none or that says nothing else."""
    single = nearest_single(float(text)) if _JSON_NUMBER.fullmatch(text) else None
    return None if single is None else whole_number(same_number(str(np.float32(single))))


def _same_text(text: str, decimal_mark: str) -> str:
    return whole_number(same_number(number_text(text, decimal_mark) or text))


def number_text(text: str, decimal_mark: str = ".") -> str | None:
    """A number as people write it as that of JSON, digit for digit; None for what is none."""
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


def _duration(span: timedelta) -> str:
    micros = span // timedelta(microseconds=1)
    sign, (seconds, micros) = "-" if micros < 0 else "", divmod(abs(micros), 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    fraction = f".{micros:06}".rstrip("0") if micros else ""
    clock = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M")) if number)
    clock += f"{seconds}{fraction}S" if seconds or micros or not (clock or days) else ""
    return f"{sign}P{f'{days}D' if days else ''}{f'T{clock}' if clock else ''}"
