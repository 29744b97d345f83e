"""Series fills: what stands in periods of a series in which nothing was measured.

Belongs here: the ways to fill points in Arrow. SQL has the same two as macros (see `series_macros`).
"""

import pyarrow as pa
import pyarrow.compute as pc

FILLS = ("gap", "previous", "linear")
"""Nothing; the last value before; a line between the values around."""


def with_fill(points: pa.Table, fill: str) -> pa.Table:
    """Points in the order of `period_at`, with a `value` where `fill` has one, the unit in each of them, and
    `is_filled` behind `reading_count`; further columns stay as they are."""
    value = points["value"].combine_chunks()
    filled = value
    if fill == "previous":
        filled = pc.fill_null_forward(value)
    elif fill == "linear":
        filled = pc.coalesce(value, _line(value, pc.cast(points["period_at"].combine_chunks(), pa.int64())))
    is_filled = pc.and_(pc.is_null(value), pc.is_valid(filled))
    unit = pa.repeat(pa.scalar(pc.max(points["unit"]).as_py(), pa.string()), points.num_rows)
    values = {"period_at": points["period_at"], "value": filled, "unit": unit,
              "reading_count": points["reading_count"], "is_filled": is_filled}  # fmt: skip
    return pa.table(values | {name: points[name] for name in points.column_names if name not in values})


def _line(value: pa.Array, at: pa.Array) -> pa.Array:
    when = pc.if_else(pc.is_valid(value), at, pa.scalar(None, pa.int64()))
    before, after = pc.fill_null_forward(value), pc.fill_null_backward(value)
    began, ended = pc.fill_null_forward(when), pc.fill_null_backward(when)
    past, whole = (pc.cast(pc.subtract(end, began), pa.float64()) for end in (at, ended))
    return pc.add(before, pc.divide(pc.multiply(pc.subtract(after, before), past), whole))
