"""Compaction: the small files of closed partitions made into few.

Belongs here: which partitions are worth it, and the commit, which rearranges rows and changes none. Spark compacts
bronze and silver, whose pages have checksums, since delta-rs writes none; files that fall out of use are deleted in
`versions`, after their time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lake.storage.delta import HOOKS, WRITER
from lake.storage.lease import ensure_held
from lake.storage.locations import spark_uri
from lake.tables.contracts import Table
from runtime.errors import StepError
from runtime.settings import Settings
from runtime.spark.connect_server import SparkSource

TARGET_BYTES = 128 * 2**20
# a file of half the size and more is not worth writing again
_SMALL_BYTES = TARGET_BYTES // 2


@dataclass(frozen=True)
class Compaction:
    """What there is to compact in a table: whole dates, and the small files in them."""

    dates: tuple[date, ...] = ()
    files: int = 0
    size_bytes: int = 0


def due(opened: DeltaTable, table: Table, today: date) -> Compaction:
    """Dates before `today` of which a partition has several small files; today's are still being written."""
    column = next((name for name in table.partition_by if name.endswith("_date")), None)
    actions = opened.get_add_actions(flatten=True)
    if column is None or actions.num_rows == 0:
        return Compaction()
    names = [f"partition.{name}" for name in table.partition_by]
    keys = zip(*(actions[name].to_pylist() for name in names), strict=True)
    partitions: dict[tuple[object, ...], list[int]] = {}
    for key, size in zip(keys, actions["size_bytes"].to_pylist(), strict=True):
        if size < _SMALL_BYTES:
            partitions.setdefault(key, []).append(size)
    place = table.partition_by.index(column)
    small = {k: sizes for k, sizes in partitions.items() if len(sizes) > 1 and _date(k[place]) < today}
    sizes = [size for found in small.values() for size in found]
    return Compaction(tuple(sorted({_date(key[place]) for key in small})), len(sizes), sum(sizes))


def compact(settings: Settings, spark: SparkSource, table: Table, opened: DeltaTable, found: Compaction) -> None:
    """Do what `due` found, in one commit. Raises StepError."""
    if not found.dates:
        return
    ensure_held(settings)
    column = next(name for name in table.partition_by if name.endswith("_date"))
    try:
        if table.layer in ("bronze", "silver"):
            _compact_with_spark(settings, spark(), table, column, found.dates)
        else:
            opened.optimize.compact(
                partition_filters=[(column, "in", [str(day) for day in found.dates])],
                target_size=TARGET_BYTES,
                writer_properties=WRITER,
                post_commithook_properties=HOOKS,
            )
    except (DeltaError, PySparkException) as error:
        raise StepError(f"{table.name} could not be compacted and is as it was: {error}") from error


def _compact_with_spark(
    settings: Settings, spark: SparkSession, table: Table, column: str, dates: Sequence[date]
) -> None:
    spark.conf.set("spark.databricks.delta.optimize.maxFileSize", str(TARGET_BYTES))
    listed = ", ".join(f"DATE '{day}'" for day in dates)
    spark.sql(f"OPTIMIZE delta.`{spark_uri(settings, table.name)}` WHERE {column} IN ({listed})").collect()


def _date(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))
