"""The format of a lake: which program may open it, said by each of its tables.

Belongs here: the number, where it stands and what a wrong one means. What a step from one format to the next does is
`pipeline.lake_upgrade`'s.

The number stands in a table's description, which every engine keeps, every tool shows and a commit changes whole. So it
is read with the table, at no cost, and an upgrade that is killed leaves each table in the one format or in the other.

    1  tables without a number: lakes from before there was one
    2  the description says it, and no engine drops log entries by itself (`KEEP_LOG`); new tables of slices are
       partitioned by date alone (see `slice_files`), and a verdict may be on several slices
    3  hours in which nothing came have no rows in `gold.device_completeness`; `gold.device_silences` states them as
       ranges; figures by kind stand in tables of their own; `gold.site_days` has the zone, the start and the length of
       its days, null in earlier rows: UTC's
"""

import re

from deltalake import DeltaTable

from runtime.errors import FormatError

FORMAT = 3
"""What this program writes."""
OLDEST = 1
"""What it still opens; the formats from here on `lakehouse upgrade` brings up."""
KEEP_LOG = "delta.enableExpiredLogCleanup"
"""Delta's property that lets a writer drop old log entries; ours is 'false', since publications pin old versions."""


def description(number: int = FORMAT) -> str:
    """What a table of this format has as its description."""
    return f"lakehouse format {number}"


def format_of(opened: DeltaTable) -> int:
    """The format of a table, as its log says at the version that is open."""
    found = re.search(r"lakehouse format (\d+)", opened.metadata().description or "")
    return int(found.group(1)) if found else 1


def check_format(table: str, opened: DeltaTable) -> None:
    """Raises FormatError when this program does not know the format of a table."""
    number = format_of(opened)
    if number > FORMAT:
        raise FormatError(
            f"{table} has format {number} of the lake, and this program knows formats up to {FORMAT}: a newer one has "
            "written it. Use that one, or a newer one yet."
        )
    if number < OLDEST:
        raise FormatError(
            f"{table} has format {number} of the lake, and this program opens formats from {OLDEST} on: run `lakehouse "
            "upgrade` of an older one first."
        )
