"""The closer look: payloads that SQL cannot vouch for, a batch at a time.

Belongs here: calling the strict judge for rows of Arrow and laying out what it says. The rules are in
`strict_payload`.
"""

from collections.abc import Callable

import pyarrow as pa

from transforms.strict_payload import Judgement

Judge = Callable[[bytes | None, int | None], Judgement]
"""Judges a payload of a shape, by its number."""

CLOSER = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("mended", pa.string()),
        ("unknown", pa.map_(pa.string(), pa.string())),
    ]
)
"""What is known of each row that was looked at."""


def looked_at(batch: pa.RecordBatch, judge: Judge) -> pa.RecordBatch:
    """Rows of topic, partition, offset, shape and value -> rows of CLOSER."""
    shapes, values = batch["shape"].to_pylist(), batch["value"].to_pylist()
    found = [judge(value, shape) for value, shape in zip(values, shapes, strict=True)]
    columns = [
        batch["topic"],
        batch["partition"],
        batch["offset"],
        pa.array([each.reason and each.reason.value for each in found], pa.string()),
        pa.array([each.detail for each in found], pa.string()),
        pa.array([each.text for each in found], pa.string()),
        pa.array([each.unknown and list(each.unknown.items()) for each in found], CLOSER.field("unknown").type),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=CLOSER)
