"""Verdicts behind figures: those that let the rows of a slice pass.

Belongs here: looking them up in `ops.verdicts`. Which slices a row depends on is decided in `pipeline.proof.lineage`.
"""

from collections.abc import Sequence

from lake.reading.reader import Reader
from lake.sql_text import quoted
from lake.tables.silver import SILVER_REJECTED
from pipeline.proof.lineage_sql import Row, columns_of, rows_of


def verdicts_on(reader: Reader, table_name: str, slices: Sequence[str], silver: Sequence[str]) -> list[Row]:
    """The newest verdict on each slice that the row depends on, in its own table and in silver."""
    if "ops.verdicts" not in reader.existing():
        return []
    tables = ", ".join(quoted(name) for name in (table_name, *silver, SILVER_REJECTED.name))
    last = "last_slice" if "last_slice" in columns_of(reader, "ops.verdicts") else "NULL::VARCHAR"
    on = " OR ".join(
        f"{quoted(slice_)} BETWEEN slice AND coalesce({last}, slice) AND length(slice) = {len(slice_)}"
        for slice_ in slices
    )
    columns = (
        f"table_name, slice, {last} AS last_slice, is_passing, row_count, input_version, run_id, checked_at, "
        "released_by, release_reason"
    )
    return rows_of(
        reader,
        f"SELECT {columns} FROM ops.verdicts WHERE table_name IN ({tables}) AND ({on})"
        " QUALIFY row_number() OVER (PARTITION BY table_name, length(slice) ORDER BY verdict_id DESC) = 1"
        " ORDER BY table_name, slice",
    )
