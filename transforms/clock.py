"""Which slice a record counts in: the rule for wrong device clocks.

The rule, for a record with a readable `measured_at`:

- `ahead`: `measured_at` is more than CLOCK_AHEAD_S after `received_at`; nothing is measured in the future.
- `behind`: `measured_at` is before the device came into service; late data of a device in service is only late.
- `wrong_unit`: `measured_at` lies in 1970, and counted from its start a thousand or a million times as much is the time
  at which it was received: seconds were taken for milliseconds or microseconds.
- `ok`: everything else.

`event_at` is `measured_at` when the clock is ok, else `received_at`, the only other time there is. A record whose time
cannot be read, or is implausible, counts at `received_at` too. The rule reads the record and the registry alone, so a
rebuild comes to the same slice.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.slices import CLOCK_AHEAD_S, FIRST_IMPLAUSIBLE_YEAR, FIRST_PLAUSIBLE_YEAR

# what a device writes as whole seconds is up to a million seconds, over 11 days, early when they are scaled up
_UNIT_SLACK = "INTERVAL 12 DAYS"


def is_plausible(moment: Column) -> Column:
    """True for a time that a clock could show; false for null."""
    year = F.year(moment)
    return moment.isNotNull() & (year >= FIRST_PLAUSIBLE_YEAR) & (year < FIRST_IMPLAUSIBLE_YEAR)


def is_wrong_unit(measured: Column, received: Column) -> Column:
    """True for a time in 1970 that would be that of its reception in a unit a thousand or a million times larger."""
    earliest = F.unix_micros(received - F.expr(_UNIT_SLACK))
    latest = F.unix_micros(received + F.expr(f"INTERVAL {CLOCK_AHEAD_S} SECONDS"))
    micros = F.unix_micros(measured)
    thousand, million = (micros.between(earliest / factor, latest / factor) for factor in (1_000, 1_000_000))
    return F.coalesce(thousand | million, F.lit(False))


def with_event_at(records: DataFrame) -> DataFrame:
    """Add `clock_status`, `event_at`, `event_date` and `event_hour`.

    Needs `measured_at`, `received_at` and `in_service_at` (null for a device that the registry does not know).
    """
    measured, received = F.col("measured_at"), F.col("received_at")
    is_ahead = measured > received + F.expr(f"INTERVAL {CLOCK_AHEAD_S} SECONDS")
    is_behind = F.col("in_service_at").isNotNull() & (measured < F.col("in_service_at"))
    status = F.when(is_ahead, "ahead").when(is_behind, "behind").otherwise("ok")
    counts_as_measured = is_plausible(measured) & (F.col("clock_status") == "ok")
    otherwise = F.when(is_wrong_unit(measured, received), "wrong_unit").otherwise("ok")
    return (
        records.withColumn("clock_status", F.when(is_plausible(measured), status).otherwise(otherwise))
        .withColumn("event_at", F.when(counts_as_measured, measured).otherwise(received))
        .withColumn("event_date", F.to_date("event_at"))
        .withColumn("event_hour", F.hour("event_at"))
    )
