"""Times on the wire: RFC 3339, in full.

Belongs here: which texts are such times, in Python and as a pattern for Spark and DuckDB, and which moment each names.
What a time means for a message is judged in `transforms`.

The rule: date, `T`, `t` or a space, time of day, any number of digits of a second, and `Z`, `z` or an offset up to
±23:59; nothing before or behind it, be it a line end. Digits beyond the microsecond are cut off. A leap second `:60`
is the second after it, as POSIX clocks have it; it is one only where the time in UTC is 23:59:60 on the last day of a
month, which is where leap seconds are put.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

RFC_3339 = (
    r"^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)"
    r"(?:\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
"""Begins a time; what ends a text is spelt differently by Python, Java and DuckDB. Days and leap seconds need more."""

_PATTERN = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))"
)
_LAST_OF_DAY = (23, 59)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# the calendar comes again after 400 years (the Gregorian rule of leap years)
_CYCLE_YEARS, _CYCLE = 400, timedelta(days=146_097)


def moment_of_rfc3339(text: str) -> datetime | None:
    """The moment in UTC that the whole of `text` names; None where it is no RFC 3339 time, or none of years 1 to 9999.

    Source: RFC 3339, sections 5.6 and 5.7.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zulu, sign, hours, minutes = match.groups()
    if zulu is None and (int(hours) > 23 or int(minutes) > 59):
        return None
    offset = timedelta() if zulu else timedelta(hours=int(hours), minutes=int(minutes)) * (1 if sign == "+" else -1)
    is_leap = second == "60"
    micros = int((fraction or "")[:6].ljust(6, "0"))
    try:
        local = datetime(
            int(year), int(month), int(day), int(hour), int(minute), 59 if is_leap else int(second), micros,
            timezone(offset),
        )  # fmt: skip
        moment = local.astimezone(UTC)
        if not is_leap:
            return moment
        if (moment.hour, moment.minute) != _LAST_OF_DAY or (moment + timedelta(days=1)).day != 1:
            return None
        return moment + timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None


def micros_of_rfc3339(text: str) -> int | None:
    """The same moment in microseconds since 1970, also in the year 0 and where an offset leads into the year 10000,
    which RFC 3339 can write and a datetime cannot hold."""
    moment = moment_of_rfc3339(text)
    if moment is not None:
        return (moment - _EPOCH) // timedelta(microseconds=1)
    if text[:4] not in ("0000", "0001", "9999"):
        return None
    cycles = -1 if text[:4] == "9999" else 1
    moment = moment_of_rfc3339(f"{int(text[:4]) + cycles * _CYCLE_YEARS:04}{text[4:]}")
    return None if moment is None else (moment - _EPOCH - cycles * _CYCLE) // timedelta(microseconds=1)
