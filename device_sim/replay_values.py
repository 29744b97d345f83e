"""Values of recorded files: one cell as the JSON text of its telemetry.

Belongs here: what a value is for the declared type, at any depth, so that a file and its export by another program say
the same: numbers in one spelling, and as text where text is declared, times in UTC, objects in the order of their
declaration. What is not of the type passes through. Single texts and numbers are in `cells`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

from device_sim.cells import NumberText, json_of_text, json_text, same_number, whole_number
from device_sim.json_values import json_value
from device_sim.recorded_times import LocalTimes, TimeReader, UnclearTimeError, is_plausible
from lake.column_types import ColumnType, ListOf, MapOf, Plain, StructOf, column_type
from lake.models.catalog import Telemetry
from wire.envelope import rfc3339

_DATE, _MOMENT, _TEXT = Plain("date"), Plain("timestamp"), Plain("string")
_ISO_8601 = TimeReader()


class ValueReader:
    """Reads the values of one file; `is_text` is True where a text may stand for a value of another type."""

    def __init__(self, is_text: bool, decimal_mark: str, times: TimeReader, local: LocalTimes) -> None:
        self._is_text, self._decimal_mark = is_text, decimal_mark
        self._times, self._local = times, local

    def json(self, value: Any, telemetry: Telemetry) -> str:
        """A cell that is not missing as JSON text.

        Raises UnclearTimeError for a local time that may be two moments, or is none.
        """
        type_ = column_type(telemetry.type)
        if self._is_text and isinstance(value, str) and not isinstance(value, NumberText):
            if isinstance(type_, Plain) and type_.spark != "timestamp":
                return _spelt(json_of_text(value, type_.spark, self._decimal_mark), type_)
            value = value if isinstance(type_, Plain) else _parsed(value)
        if type_ == _TEXT and _is_number(value) and float(value) in telemetry.missing:
            # as a text it would be none of those that the model says mean that there is no value
            return json_text(value)
        try:
            return self._json(value, type_)
        except UnclearTimeError as error:
            raise UnclearTimeError(f"{telemetry.metric_name}: {error}") from None

    def _json(self, value: Any, type_: ColumnType) -> str:
        if type_ == _DATE and isinstance(value, datetime) and value.tzinfo is None and value.time() == time.min:
            # a program without dates writes a day so
            return json_text(value.date())
        if type_ == _MOMENT or isinstance(value, datetime):
            return json_text(self._moment(value) or value)
        match type_:
            case ListOf(element) if isinstance(value, list):
                return f"[{','.join(self._json(each, element) for each in value)}]"
            case MapOf(inner) if isinstance(value, dict):
                return _object((name, self._json(value[name], inner)) for name in sorted(value))
            case StructOf(fields) if isinstance(value, dict):
                return _object(self._fields(value, dict(fields)))
            case Plain("string") if _is_number(value) or isinstance(value, bool):
                # in a file without types the same value is a text, and silver holds it as one
                text = json_text(value)
                return text if text[0] == '"' else json.dumps(text)
            case Plain():
                return _spelt(json_text(value), type_)
        return json_text(value)

    def _fields(self, value: Mapping[str, Any], types: Mapping[str, ColumnType]) -> Iterator[tuple[str, str]]:
        """Those that are declared, in that order, then the others."""
        for name in (*types, *sorted(value.keys() - types.keys())):
            each = value.get(name)
            if each is not None:
                yield name, self._json(each, types[name]) if name in types else json_text(each)

    def _moment(self, value: Any) -> str | None:
        """In UTC, read as the time of a row is or else as ISO 8601; None for what is no time."""
        is_text = isinstance(value, str) and not isinstance(value, NumberText)
        moment = self._times.read(value)
        if moment is not None and self._times.is_of_numbers and not (isinstance(value, date) or is_plausible(moment)):
            # a number of another unit
            moment = None
        if moment is None and is_text:
            moment = _ISO_8601.read(value)
        try:
            if moment is not None and moment.tzinfo is None:
                moment = self._local.sure(moment)
        except OverflowError:
            return None
        return None if moment is None else rfc3339(moment)


def _is_number(value: Any) -> bool:
    return isinstance(value, NumberText | int | float) and not isinstance(value, bool)


def _spelt(text: str, type_: Plain) -> str:
    if type_.spark == "double":
        return same_number(text)
    return whole_number(text) if type_.spark in ("int", "bigint") else text


def _parsed(text: str) -> Any:
    """A text of JSON as its value; any other as it is."""
    try:
        return json_value(text) if text.strip()[0] in "[{" else text
    except ValueError:
        return text


def _object(members: Iterable[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in members) + "}"
