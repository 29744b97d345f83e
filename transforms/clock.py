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

Times are compared and cut as microseconds since 1970: with a time zone DuckDB goes through a calendar for each.
"""

from datetime import UTC, datetime

from lake.slices import CLOCK_AHEAD_S, FIRST_IMPLAUSIBLE_YEAR, FIRST_PLAUSIBLE_YEAR, HOUR_MICROS
from lake.sql_text import Expression

_S = 1_000_000
# what a device writes as whole seconds is up to a million seconds, over 11 days, early when they are scaled up
_UNIT_SLACK = 12 * 24 * HOUR_MICROS


def _first_of(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * _S


def is_plausible(moment: Expression) -> Expression:
    """True for a time that a clock could show; false for null."""
    first, end = _first_of(FIRST_PLAUSIBLE_YEAR), _first_of(FIRST_IMPLAUSIBLE_YEAR)
    return Expression(f"coalesce(epoch_us({moment}) >= {first} AND epoch_us({moment}) < {end}, false)")


def is_wrong_unit(measured: Expression, received: Expression) -> Expression:
    """True for a time in 1970 that would be that of its reception in a unit a thousand or a million times larger."""
    earliest, latest = f"(epoch_us({received}) - {_UNIT_SLACK})", f"(epoch_us({received}) + {CLOCK_AHEAD_S * _S})"
    thousand, million = (
        f"epoch_us({measured}) BETWEEN {earliest} / {factor} AND {latest} / {factor}" for factor in (1_000, 1_000_000)
    )
    return Expression(f"coalesce({thousand} OR {million}, false)")


def clock_status(measured: Expression, received: Expression, in_service_at: Expression) -> Expression:
    """`clock_status`; `in_service_at` is null for a device that the registry does not know."""
    return Expression(f"""CASE
        WHEN NOT {is_plausible(measured)} THEN
            CASE WHEN {is_wrong_unit(measured, received)} THEN 'wrong_unit' ELSE 'ok' END
        WHEN epoch_us({measured}) > epoch_us({received}) + {CLOCK_AHEAD_S * _S} THEN 'ahead'
        WHEN {measured} < {in_service_at} THEN 'behind'
        ELSE 'ok' END""")


def event_at(status: Expression, measured: Expression, received: Expression) -> Expression:
    """`event_at`, from the status above."""
    return Expression(f"CASE WHEN {status} = 'ok' AND {is_plausible(measured)} THEN {measured} ELSE {received} END")


def event_date(moment: Expression) -> Expression:
    """The UTC date of `event_at`."""
    return Expression(f"make_timestamp(epoch_us({moment}))::DATE")


def event_hour(moment: Expression) -> Expression:
    """The UTC hour of `event_at`, 0 to 23."""
    return Expression(f"(epoch_us({moment}) // {HOUR_MICROS} % 24)::INTEGER")
