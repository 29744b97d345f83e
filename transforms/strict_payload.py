"""Judging a payload strictly, one at a time: those that SQL cannot vouch for.

Belongs here: what JSON a model accepts, in plain Python, and the reason and detail for what it does not. Which records
come here is decided in `payload`; they are few, unless a fleet sends names that its models do not declare.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from math import isinf
from typing import Any, TypeVar

from lake.column_types import ColumnType, ListOf, MapOf, StructOf, column_type
from lake.models.missing_values import means_none
from lake.models.senml_units import is_other_unit
from lake.models.telemetry import Telemetry
from transforms.payload import Payload
from transforms.reasons import Reason
from wire.senml import UNITS
from wire.times import moment_of_rfc3339

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INT_BITS = {"int": 31, "bigint": 63}
# Python refuses to turn longer ones into integers
_MOST_DIGITS = 4000
# far below what Python can follow, which depends on who calls: a message must be judged alike wherever it is
_MOST_NESTED = 100
_TOO_LARGE = "a number is too large for a double"
_Value = TypeVar("_Value")


class _Object(dict[str, Any]):
    """A JSON object that knows whether a name came twice, also as it can be written in UTF-8; the last one counts."""

    is_repeated = False


class WrongTypeError(ValueError):
    """A value is not of its declared type; says how where more is to say of it."""


@dataclass(frozen=True)
class Judgement:
    """What a payload comes to: `reason` and `detail` where it is refused, else its declared values.

    `text` is a JSON object of the values by the place of their telemetry in the shape, for DuckDB to type; `unknown`
    are the names that the model does not declare, with their values as text.
    """

    reason: Reason | None = None
    detail: str | None = None
    text: str | None = None
    unknown: Mapping[str, str | None] | None = None


def judge(value: bytes | None, payload: Payload | None) -> Judgement:
    """Judge one payload; `payload` is None where the model has no telemetry at this level."""
    if payload is None:
        return Judgement(Reason.NO_TELEMETRY, "the model has no telemetry at this level")
    limit = payload.model.quality.max_payload_bytes
    if value is not None and len(value) > limit:
        return Judgement(Reason.TOO_LARGE, f"{len(value)} bytes, the limit is {limit}")
    found = parsed(value)
    if isinstance(found, Judgement):
        return found
    words = shown((value or b"").decode())
    declared = {t.json_path[0] for t in payload.telemetry}
    if found.is_repeated or any(_repeats_within(found.get(name)) for name in declared):
        return Judgement(Reason.DUPLICATE_KEY, f"a name stands twice: {words}")
    try:
        values = [_declared(_at(found, t.json_path), t) for t in payload.telemetry]
    except WrongTypeError as error:
        return Judgement(Reason.WRONG_TYPE, f"{str(error) or 'a value is not of its declared type'}: {words}")
    if all(each is None for each in values):
        return Judgement(Reason.NO_TELEMETRY, f"none of the declared names has a value: {words}")
    units = _units(found)
    for telemetry, each in zip(payload.telemetry, values, strict=True):
        for detail in () if each is None else _other_unit(telemetry, units):
            return Judgement(Reason.OTHER_UNIT, detail)
        for detail in () if each is None else _out_of_range(telemetry, each):
            return Judgement(Reason.OUT_OF_RANGE, detail)
    known = {*declared, UNITS} if units else declared
    unknown = {_clean(name): text_of(each) for name, each in found.items() if name not in known}
    places = {str(place): each for place, each in enumerate(values) if each is not None}
    return Judgement(text=json.dumps(places, ensure_ascii=False), unknown=unknown or None)


def parsed(value: bytes | None) -> "_Object | Judgement":
    """The JSON object of a payload, or why it is none."""
    if value is None:
        return Judgement(Reason.NOT_JSON, "there is no payload")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return Judgement(Reason.NOT_JSON, "the payload is not UTF-8")
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_int=_integer)
    except ValueError:
        found = None
    except RecursionError:
        return _too_deep(text)
    may_be_deep = text.count("[") + text.count("{") > _MOST_NESTED
    if may_be_deep and any(islice(_levels(found), _MOST_NESTED, None)):
        return _too_deep(text)
    return found if isinstance(found, _Object) else Judgement(Reason.NOT_JSON, f"not one JSON object: {shown(text)}")


def _too_deep(text: str) -> Judgement:
    return Judgement(Reason.NOT_JSON, f"nested deeper than {_MOST_NESTED} levels: {shown(text)}")


def typed(value: Any, spark_type: str) -> Any:
    """A JSON value as its declared type has it, ready for JSON again; None for null. Raises WrongTypeError."""
    return _typed(value, column_type(spark_type))


def _typed(value: Any, type_: ColumnType) -> Any:
    if value is None:
        return None
    match type_:
        case ListOf(element):
            return [_typed(each, element) for each in _of(list, value)]
        case MapOf(inner):
            return {_clean(name): _typed(each, inner) for name, each in _of(dict, value).items()}
        case StructOf(fields):
            found: dict[str, Any] = _of(dict, value)
            return {name: _typed(found.get(name), inner) for name, inner in fields}
    if type_.spark != "string":
        return _PLAIN[type_.spark](value)
    if _is_endless(value):
        raise WrongTypeError(_TOO_LARGE)
    return text_of(value)


def plain(value: Any) -> Any:
    """A value that is neither a list nor an object. Raises WrongTypeError."""
    if isinstance(value, dict | list):
        raise WrongTypeError
    return value


def text_of(value: Any) -> str | None:
    """A JSON value as text: strings as they are, the rest as JSON; None for null."""
    if value is None:
        return None
    return _clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _declared(value: Any, telemetry: Telemetry) -> Any:
    """A value as its telemetry has it; None where it is one that the model's quality file says means there is none."""
    is_plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    if is_plain and telemetry.missing and means_none(value, telemetry.missing, telemetry.type):
        return None
    return typed(value, telemetry.type)


def _units(found: _Object) -> dict[str, str]:
    """The units that a payload names, by name of measurement; a device's own `$units` of another form are none."""
    units = found.get(UNITS)
    return units if isinstance(units, dict) and all(isinstance(each, str) for each in units.values()) else {}


def _other_unit(telemetry: Telemetry, units: Mapping[str, str]) -> Iterator[str]:
    symbol = units.get(telemetry.name)
    if symbol is not None and is_other_unit(symbol, telemetry.unit):
        yield f"{telemetry.name} is in {shown(symbol)}, the model's unit is {telemetry.unit}"


def _out_of_range(telemetry: Telemetry, value: Any) -> Iterator[str]:
    name = ".".join(telemetry.json_path)
    if telemetry.enum_values is not None and value not in telemetry.enum_values:
        yield f"{name} is {shown(value)}, allowed are {', '.join(map(str, telemetry.enum_values))}"
    if telemetry.minimum is not None and value < telemetry.minimum:
        yield f"{name} is {shown(value)}, below {telemetry.minimum:g}"
    if telemetry.maximum is not None and value > telemetry.maximum:
        yield f"{name} is {shown(value)}, above {telemetry.maximum:g}"


def _at(found: _Object, path: tuple[str, ...]) -> Any:
    value: Any = found
    for name in path:
        if value is None:
            return None
        value = _of(dict, value).get(name)
    return value


def _of(kind: type[_Value], value: Any) -> _Value:
    if not isinstance(value, kind):
        raise WrongTypeError
    return value


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongTypeError
    try:
        found = float(value)
    except OverflowError:
        raise WrongTypeError(_TOO_LARGE) from None
    if isinf(found):
        raise WrongTypeError(_TOO_LARGE)
    return found


def _levels(value: Any) -> Iterator[list[Any]]:
    """The value, what stands right inside of it, what stands inside of that, and so on."""
    level = [value]
    while level:
        yield level
        level = [
            inner for each in level if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]  # fmt: skip


def _repeats_within(value: Any) -> bool:
    """True where an object in the value, or it itself, has a name twice."""
    return any(isinstance(each, _Object) and each.is_repeated for level in _levels(value) for each in level)


def _is_endless(value: Any) -> bool:
    """True where a number in the value, or it itself, was too large to be read."""
    return any(isinstance(each, float) and isinf(each) for level in _levels(value) for each in level)


def _whole(bits: int) -> Callable[[Any], int]:
    def whole(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**bits) <= value < 2**bits:
            raise WrongTypeError
        return int(value)

    return whole


def _date(value: Any) -> str:
    text = _of(str, value)
    try:
        return date.fromisoformat(text if _DATE.fullmatch(text) else "").isoformat()
    except ValueError:
        raise WrongTypeError from None


def _moment(value: Any) -> str:
    """In UTC; a time without a zone is taken as UTC."""
    text = _of(str, value)
    moment = moment_of_rfc3339(text) or moment_of_rfc3339(f"{text}Z")
    if moment is None:
        raise WrongTypeError
    return moment.isoformat(" ")


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "double": _double,
    "boolean": lambda value: _of(bool, value),
    "date": _date,
    "timestamp": _moment,
    **{name: _whole(bits) for name, bits in _INT_BITS.items()},
}


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    result.is_repeated = len({_clean(name) for name in result}) < len(pairs)
    return result


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _integer(text: str) -> int | float:
    return int(text) if len(text) < _MOST_DIGITS else float(text)


def shown(value: Any) -> str:
    return str(value).lower()[:80] if isinstance(value, bool) else _clean(str(value))[:80]


def _clean(text: str) -> str:
    """JSON may name halves of a character, which no UTF-8 has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
