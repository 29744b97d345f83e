"""Parquet as rows, with values as they are to be written.

Belongs here: Arrow types to Python values, at any depth: single floats and decimals show no digits that nobody wrote,
and NaN is no value.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from device_sim.cells import NumberText
from device_sim.recorded_rows import Recording, Row

_BATCH_ROWS = 8192
_Convert = Callable[[Any], Any]


def parquet_recording(path: Path) -> Recording:
    """The recording of a Parquet file; a struct's fields are columns too, as `outer.inner`."""
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
    columns = tuple(_column_names(schema))

    def read() -> Iterator[Row]:
        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                values = [_values(column) for column in batch.columns]
                for cells in zip(*values, strict=True):
                    number += 1
                    yield Row(number, dict(flat(dict(zip(batch.schema.names, cells, strict=True)))))

    return Recording(path, True, columns, "row", read)


def flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The columns of an object: each of its names, and those within an object as `outer.inner`."""
    for name, each in value.items():
        if each is not None:
            yield prefix + name, each
        if isinstance(each, dict):
            yield from flat(each, f"{prefix}{name}.")


def _column_names(fields: Any, prefix: str = "") -> Iterator[str]:
    for field in fields:
        yield prefix + field.name
        if pa.types.is_struct(field.type):
            inner = [field.type.field(i) for i in range(field.type.num_fields)]
            yield from _column_names(inner, f"{prefix}{field.name}.")


def _values(column: Any) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        # Python's times end at the microsecond
        column = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
    values: list[Any] = column.to_pylist()
    convert = _conversion(kind)
    return values if convert is None else [None if value is None else convert(value) for value in values]


def _conversion(kind: Any) -> _Convert | None:
    """What to do with each value of an Arrow type that is not null; None for nothing."""
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # as a double it would show digits that nobody wrote
        shortest = np.float16 if pa.types.is_float16(kind) else np.float32
        return lambda value: _float(str(shortest(value)))
    if pa.types.is_float64(kind):
        return lambda value: None if math.isnan(value) else value
    if pa.types.is_decimal(kind):
        return lambda value: NumberText(f"{value:f}")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return lambda value: value.decode("utf-8", "backslashreplace")
    if pa.types.is_dictionary(kind):
        return _conversion(kind.value_type)
    if pa.types.is_struct(kind):
        return _of_struct(kind)
    if pa.types.is_map(kind):
        inner = _conversion(kind.item_type) or _same
        return lambda pairs: {str(key): None if each is None else inner(each) for key, each in pairs}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        element = _conversion(kind.value_type)
        return element and (lambda items: [None if each is None else element(each) for each in items])
    return None


def _of_struct(kind: Any) -> _Convert:
    fields = {kind.field(i).name: _conversion(kind.field(i).type) or _same for i in range(kind.num_fields)}
    return lambda value: {name: None if value[name] is None else each(value[name]) for name, each in fields.items()}


def _same(value: Any) -> Any:
    return value


def _float(text: str) -> NumberText | float | None:
    if text == "nan":
        return None
    return float(text) if text.endswith("inf") else NumberText(text)
