"""SenML (RFC 8428) in JSON: a pack of measurements as messages, one a moment.

Belongs here: base values, times, and the payload of each moment: a name for each measurement. The `bn` of a pack names
the device, which the record names already; a name is what stands behind it, or the last part of `bn` where that is all.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from wire.envelope import rfc3339
from wire.times import moment_of_rfc3339

_FIELDS = frozenset({"bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"})
_VALUES = ("v", "vs", "vb", "vd", "s")
# times below are counted from now; RFC 8428, section 4.5.3
_ABSOLUTE = 2**28
_LARGEST_S = 10**12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_senml(text: str) -> bool:
    """True for a list of records with nothing but SenML's fields, the first of which has a base or each a name."""
    try:
        records = _records(text)
    except ValueError:
        return False
    if not records or any(not set(each) <= _FIELDS for each in records):
        return False
    has_base = any(name in records[0] for name in ("bn", "bt", "bver"))
    return has_base or all("n" in each and any(name in each for name in _VALUES) for each in records)


def senml_messages(text: str, time: str) -> Iterator[tuple[str, str]]:
    """Time and payload of each moment of a pack, in the order of the first measurement of each.

    `time` in RFC 3339 is what relative times are counted from. Raises ValueError for what is no SenML.
    """
    now = moment_of_rfc3339(time)
    base: dict[str, Any] = {}
    moments: dict[str, list[tuple[str, Any]]] = {}
    for record in _records(text):
        base |= {name: value for name, value in record.items() if name.startswith("b")}
        name = _name(str(base.get("bn", "")), str(record.get("n", "")))
        moment = _moment(_number(base.get("bt", 0)) + _number(record.get("t", 0)), now)
        at = rfc3339(moment) if moment is not None else time
        for field in _VALUES:
            if field in record:
                value = _with_base(record[field], base, field)
                moments.setdefault(at, []).append((f"{name}.s" if field == "s" else name, value))
    for at, values in moments.items():
        yield at, "{" + ",".join(f"{json.dumps(name)}:{_text(value)}" for name, value in values) + "}"


def _records(text: str) -> list[dict[str, Any]]:
    found = json.loads(text, parse_float=Decimal)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError("SenML is a list of objects")
    return found


def _name(base: str, name: str) -> str:
    return name or base.rstrip(":/").replace("/", ":").rpartition(":")[2]


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
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{value!r} is no number")
    return Decimal(value)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
