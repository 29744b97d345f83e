"""Parquet as rows, with values as they are to be written.

Belongs here: Arrow types to Python values, at any depth: single floats and decimals show no digits that nobody wrote,
NaN is no value, and times are those of the file also where Python's end.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from device_sim.cells import NumberText
from device_sim.json_values import name_twice
from device_sim.recorded_rows import Recording, Row
from runtime.errors import UsageError

_BATCH_ROWS = 8192
_BYTES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
)
_Convert = Callable[[Any], Any]
_FIRST_DAY, _EPOCH = date(1970, 1, 1), datetime(1970, 1, 1)
_MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_DAY_MS = 86_400_000
# beyond these a double does not count in ones, nor does anybody who writes 1e20
_COUNTED = 2**53


def parquet_recording(path: Path) -> Recording:
    """The recording of a Parquet file; a struct's fields are columns too, as `outer.inner`."""
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
    columns = tuple(_column_names(schema))
    _require_names(path, columns, schema)

    def read() -> Iterator[Row]:
        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                values = [_values(column) for column in batch.columns]
                for cells in zip(*values, strict=True):
                    number += 1
                    yield row_of(dict(zip(batch.schema.names, cells, strict=True)), number)

    return Recording(path, True, columns, "row", read)


def row_of(value: dict[str, Any], number: int) -> Row:
    """An object as a row of its names, and of those within an object as `outer.inner`."""
    found = list(_flat(value))
    cells = dict(found)
    if len(cells) < len(found):
        # "a.b" beside an "a" that has a "b"
        return Row(number, {}, f"the name {name_twice(name for name, _ in found)!r} twice, as itself and in an object")
    return Row(number, cells)


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        if each is not None:
            yield prefix + name, each
        if isinstance(each, dict):
            yield from _flat(each, f"{prefix}{name}.")


def _column_names(fields: Any, prefix: str = "") -> Iterator[str]:
    for field in fields:
        yield prefix + field.name
        if pa.types.is_struct(field.type):
            inner = [field.type.field(i) for i in range(field.type.num_fields)]
            yield from _column_names(inner, f"{prefix}{field.name}.")


def _require_names(path: Path, columns: Iterable[str], schema: Any) -> None:
    """Raise UsageError where a column, or a field within a value, has no name of its own."""
    twice = name_twice(columns)
    if twice is not None:
        raise UsageError(f"{path} names the column {twice!r} twice: give each column a name of its own.")
    for field in schema:
        twice = _field_twice(field.type)
        if twice is not None:
            raise UsageError(
                f"{path} names the field {twice!r} twice within the column {field.name!r}: give each a name of its own."
            )


def _field_twice(kind: Any) -> str | None:
    inner = [kind.field(i) for i in range(kind.num_fields)] if pa.types.is_nested(kind) else []
    found = [_field_twice(each.type) for each in inner]
    return name_twice(each.name for each in inner) or next((each for each in found if each is not None), None)


def _values(column: Any) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    stored = _stored_type(kind)
    if stored != kind:
        column = column.cast(stored)
    values: list[Any] = column.to_pylist()
    convert = _conversion(kind)
    return values if convert is None else [None if value is None else convert(value) for value in values]


def _stored_type(kind: Any) -> Any:
    """A type with the whole numbers that its times are stored as, at any depth.

    Python's times do not reach as far as Arrow's, end at the microsecond, and do not know every zone that is written.
    """
    if pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
        return pa.int64()
    if pa.types.is_date32(kind):
        return pa.int32()
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct([each.with_type(_stored_type(each.type)) for each in fields])
    if pa.types.is_map(kind):
        return pa.map_(kind.key_field, kind.item_field.with_type(_stored_type(kind.item_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_stored_type(kind.value_type)), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        element = kind.value_field.with_type(_stored_type(kind.value_type))
        return pa.list_(element) if pa.types.is_list(kind) else pa.large_list(element)
    return kind


def _conversion(kind: Any) -> _Convert | None:
    """What to do with each value of an Arrow type that is not null; None for nothing."""
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # as a double it would show digits that nobody wrote
        shortest = np.float16 if pa.types.is_float16(kind) else np.float32
        return lambda value: _float(value, str(shortest(value)))
    if pa.types.is_float64(kind):
        return lambda value: None if math.isnan(value) else value
    if pa.types.is_timestamp(kind):
        return _of_timestamp(kind)
    if pa.types.is_date32(kind):
        return _day
    if pa.types.is_date64(kind):
        return lambda millis: _day(millis // _DAY_MS)
    if pa.types.is_decimal(kind):
        return lambda value: NumberText(f"{value:f}")
    if any(is_bytes(kind) for is_bytes in _BYTES):
        return lambda value: value.decode("utf-8", "backslashreplace")
    if pa.types.is_dictionary(kind) and not pa.types.is_temporal(kind.value_type):
        return _conversion(kind.value_type)
    if pa.types.is_struct(kind):
        return _of_struct(kind)
    if pa.types.is_map(kind):
        inner = _conversion(kind.item_type) or _same
        return lambda pairs: _of_map([(str(key), None if each is None else inner(each)) for key, each in pairs])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        element = _conversion(kind.value_type)
        return element and (lambda items: [None if each is None else element(each) for each in items])
    return None


def _of_timestamp(kind: Any) -> _Convert:
    epoch = _EPOCH if kind.tz is None else _EPOCH.replace(tzinfo=UTC)

    def moment(count: int) -> datetime | str:
        micros = count // 1_000 if kind.unit == "ns" else count * _MICROS[kind.unit]
        try:
            return epoch + timedelta(microseconds=micros)
        except OverflowError:
            return f"{count} {kind.unit} since 1970"

    return moment


def _day(count: int) -> date | str:
    try:
        return _FIRST_DAY + timedelta(days=count)
    except OverflowError:
        return f"{count} days since 1970"


def _of_struct(kind: Any) -> _Convert:
    fields = {kind.field(i).name: _conversion(kind.field(i).type) or _same for i in range(kind.num_fields)}
    return lambda value: {name: None if value[name] is None else each(value[name]) for name, each in fields.items()}


def _of_map(pairs: list[tuple[str, Any]]) -> Any:
    """An object; of a map with a key twice the pairs, which are none and are refused where an object is declared."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else pairs


def _same(value: Any) -> Any:
    return value


def _float(value: float, text: str) -> NumberText | float | None:
    """A single or half float; a whole number is what it is to the last digit, of which the shortest text has zeros."""
    if text == "nan":
        return None
    if float(value).is_integer() and abs(value) < _COUNTED:
        return NumberText(int(value))
    return float(text) if text.endswith("inf") else NumberText(text)
