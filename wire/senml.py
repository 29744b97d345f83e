"""SenML (RFC 8428) in JSON: a pack of measurements as messages, one a moment.

Belongs here: base values, times, and the payload of each moment: a name for each measurement. The `bn` of a pack names
the device, which the record names already; a name is what stands behind it, or the last part of `bn` where that is all.
A pack that breaks a rule is refused whole: nothing of it is guessed. Units go with the payload, under `$units`, for
whoever knows the model: no model can declare that name.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from wire.envelope import rfc3339
from wire.times import moment_of_rfc3339

_BASES = frozenset({"bn", "bt", "bu", "bv", "bs", "bver"})
_REGULAR = frozenset({"n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"})
_VALUES = ("v", "vs", "vb", "vd", "s")
_TEXTS, _NUMBERS = ("bn", "bu", "n", "u"), ("bt", "bver", "t")
_VERSION = 10
UNITS = "$units"
"""The name in a payload under which the units stand, by the name of the measurement."""
# times below are counted from now; RFC 8428, section 4.5.3
_ABSOLUTE = 2**28
_LARGEST_S = 10**12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_senml(text: str) -> bool:
    """True for a list of records with nothing but SenML's fields, the first of which has a base or each a name.

    Names are texts and times are numbers. Source: RFC 8428, section 4.3.
    """
    try:
        records = _records(text)
    except ValueError:
        return False
    if not records or not all(_is_record(each) for each in records):
        return False
    has_base = any(name in records[0] for name in ("bn", "bt", "bver"))
    return has_base or all("n" in each and any(name in each for name in _VALUES) for each in records)


def senml_messages(text: str, time: str) -> Iterator[tuple[str, str]]:
    """Time and payload of each moment of a pack, in the order of the first measurement of each.

    `time` in RFC 3339 is what relative times are counted from. The unit of a number is its own, else the base unit
    (RFC 8428, section 4.5.2). Raises ValueError for what is no SenML, and for a pack of several devices: the record has
    one key.
    """
    now = moment_of_rfc3339(time)
    base: dict[str, Any] = {}
    first: tuple[str, str] | None = None
    moments: dict[str, list[tuple[str, Any]]] = {}
    units: dict[str, dict[str, str]] = {}
    for record in _records(text):
        _check_labels(record)
        base |= {name: value for name, value in record.items() if name.startswith("b")}
        moment = _moment(_number(base.get("bt", 0)) + _number(record.get("t", 0)), now)
        at = rfc3339(moment) if moment is not None else time
        base_name, name = _word(base, "bn"), _word(record, "n")
        measured = _measured(record, base)
        if measured and base_name:
            first = first or (base_name, _device(base_name, name))
            if base_name != first[0] and _device(base_name, name) != first[1]:
                raise ValueError(f"{base_name!r} is of another device than {first[0]!r}")
        of_value = _name(base_name, name)
        for field, value in measured:
            moments.setdefault(at, []).append((f"{of_value}.s" if field == "s" else of_value, value))
            if field == "v" and (unit := _word(record, "u") or _word(base, "bu")):
                units.setdefault(at, {})[of_value] = unit
    for at, values in moments.items():
        named = [(UNITS, units[at])] if at in units else []
        yield at, "{" + ",".join(f"{json.dumps(name)}:{_text(value)}" for name, value in values + named) + "}"


def _records(text: str) -> list[dict[str, Any]]:
    found = json.loads(text, parse_float=Decimal, object_pairs_hook=_object)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError("SenML is a list of objects")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a label stands twice in a record")
    return found


def _is_record(found: dict[str, Any]) -> bool:
    if not set(found) <= _BASES | _REGULAR:
        return False
    texts = all(isinstance(found[name], str) for name in _TEXTS if name in found)
    return texts and all(_is_number(found[name]) for name in _NUMBERS if name in found)


def _check_labels(record: dict[str, Any]) -> None:
    """Raises ValueError for a version above the one that is known here, and for a field that must be understood and is
    not: its label ends in `_`. Source: RFC 8428, section 4.4."""
    if _number(record.get("bver", _VERSION)) > _VERSION:
        raise ValueError(f"version {record['bver']} is not known, {_VERSION} is")
    for label in record:
        if label.endswith("_"):
            raise ValueError(f"the field {label!r} is not known and may not be ignored")


def _measured(record: dict[str, Any], base: dict[str, Any]) -> list[tuple[str, Any]]:
    """Field and value of what a record measures: one value, a sum, or both.

    A base value is added to the value, and one without the other counts with zero; so it is of sums. A record that has
    only a sum has no value. Source: RFC 8428, sections 4.2 and 4.5.4. With nothing but base fields it measures nothing.
    """
    if not _REGULAR & set(record):
        return []
    found = {field: record[field] for field in _VALUES if field in record}
    if base.get("bv") is not None and not found:
        found["v"] = 0
    if base.get("bs") is not None:
        found.setdefault("s", 0)
    return [(field, _with_base(value, base, field)) for field, value in found.items()]


def _device(base: str, name: str) -> str:
    """What of a base name is the device's: all, or what stands before its last part where that is all of the name."""
    whole = base.replace("/", ":")
    return whole.rstrip(":") if name or whole.endswith(":") else whole.rpartition(":")[0]


def _name(base: str, name: str) -> str:
    return name or base.rstrip(":/").replace("/", ":").rpartition(":")[2]


def _word(record: dict[str, Any], field: str) -> str:
    found = record.get(field, "")
    if not isinstance(found, str):
        raise ValueError(f"{field} is {found!r}, which is no text")
    return found


def _moment(seconds: Decimal, now: datetime | None) -> datetime | None:
    try:
        if abs(seconds) > _LARGEST_S:
            raise OverflowError
        micros = timedelta(microseconds=int((seconds * 1_000_000).to_integral_value()))
        if seconds >= _ABSOLUTE:
            return _EPOCH + micros
        return None if now is None else now + micros
    except (OverflowError, ArithmeticError) as error:
        raise ValueError(f"{seconds} is no time") from error


def _with_base(value: Any, base: dict[str, Any], field: str) -> Any:
    added = base.get({"v": "bv", "s": "bs"}.get(field, ""))
    return value if added is None else _number(value) + _number(added)


def _number(value: Any) -> Decimal:
    if not _is_number(value):
        raise ValueError(f"{value!r} is no number")
    return Decimal(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value, separators=(",", ":"))
