"""Retention: how long the rows of each layer are kept, and which slices are final because of it.

Belongs here: taking old rows out of bronze and silver, and saying which slices can no longer be built from bronze. When
that happens is decided by `pipeline.maintenance`; how long is a setting, and without one rows are kept for ever.

Gold of a slice is a function of bronze, so where bronze is incomplete it may not be computed again: such slices are
final. Bronze says so itself, in a property of the table, before its first row goes. Lifecycle records are never taken
out, since the registry is made from all of them; gold and ops are small and stay.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lake.storage.delta import open_table
from lake.storage.locations import spark_uri
from lake.storage.spark_commits import committing
from lake.tables.bronze import BRONZE_TELEMETRY
from runtime.errors import UsageError
from runtime.settings import Settings

_FINAL_BEFORE = "lakehouse.finalBefore"


def final_before(settings: Settings) -> str:
    """The first day of which bronze still has all records; slices before it are final. Empty when there are none."""
    opened = open_table(settings, BRONZE_TELEMETRY.name)
    return "" if opened is None else str(opened.metadata().configuration.get(_FINAL_BEFORE, ""))


def cutoffs(settings: Settings, tables: Iterable[str], now: datetime) -> dict[str, date]:
    """Table -> the day before which its rows are to go; tables without one keep all. Raises UsageError.

    Silver is not kept shorter than bronze: a slice that is not final must add up with bronze whenever late data comes.
    """
    bronze, silver = settings.keep_bronze_days, settings.keep_silver_days
    if silver is not None and (bronze is None or silver < bronze):
        raise UsageError(
            f"LAKEHOUSE_KEEP_SILVER_DAYS is {silver} and LAKEHOUSE_KEEP_BRONZE_DAYS is "
            f"{'not set' if bronze is None else bronze}: silver must add up with bronze, so keep it at least as long."
        )
    days = {name: silver for name in tables if name.startswith("silver.")} | {BRONZE_TELEMETRY.name: bronze}
    return {name: now.date() - timedelta(days=kept) for name, kept in days.items() if kept is not None}


def has_before(opened: DeltaTable, table: str, day: date) -> bool:
    """True when the table has rows that `drop_before` would take out."""
    column, first = _first_kept(table, day)
    return any(str(row[column]) < str(first) for row in opened.partitions())


def drop_before(spark: SparkSession, settings: Settings, table: str, day: date) -> None:
    """Take the rows of days before `day` out, whole partitions in one commit."""
    column, first = _first_kept(table, day)
    name = f"delta.`{spark_uri(settings, table)}`"
    if table == BRONZE_TELEMETRY.name and final_before(settings) < str(day):
        spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('{_FINAL_BEFORE}' = '{day}')").collect()
    # without slices: what was made of these rows stays as it is
    with committing(spark, settings, {"step": "retention"}):
        spark.sql(f"DELETE FROM {name} WHERE {column} < DATE '{first}'").collect()


def _first_kept(table: str, day: date) -> tuple[str, date]:
    """The column to compare and its first value that stays."""
    if table == BRONZE_TELEMETRY.name:
        # a clock that is a little ahead puts a record's event into the day after the one that it was received on
        return "received_date", day - timedelta(days=1)
    return "event_date", day
