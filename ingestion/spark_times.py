"""Times on the wire as Spark reads them.

Belongs here: the rule of `wire.times` as a Spark expression. Both are held together by a test.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from wire.times import RFC_3339

# what Spark's own reading gets right, which is what devices send
_USUAL = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-7]):[0-5][0-9])\z"
)
_ALL = RFC_3339 + r"\z"
_S = 1_000_000
_LAST_SECOND = 86_399


def moment_of_text(name: str) -> Column:
    """The moment that a column of texts names; null where one is no RFC 3339 time."""
    text = F.col(name)
    return F.when(text.rlike(_USUAL), F.try_to_timestamp(text)).when(text.rlike(_ALL), _closely(text))


def _closely(text: Column) -> Column:
    """Lower case, digits beyond the microsecond, offsets beyond 18 hours, and leap seconds."""
    is_leap = F.substring(text, 18, 2) == "60"
    fraction = F.regexp_extract(text, r"\.[0-9]{1,6}", 0)
    second = F.when(is_leap, F.lit("59")).otherwise(F.substring(text, 18, 2))
    local = F.concat(F.substring(text, 1, 10), F.lit("T"), F.substring(text, 12, 6), second, fraction, F.lit("Z"))
    # after the sign; empty for Z
    offset = F.regexp_extract(text, r"[+-]([0-9]{2}:[0-9]{2})\z", 1)
    minutes = F.substring(offset, 1, 2).try_cast("bigint") * 60 + F.substring(offset, 4, 2).try_cast("bigint")
    sign = F.when(F.regexp_extract(text, r"([+-])[0-9]{2}:[0-9]{2}\z", 1) == "-", -1).otherwise(1)
    micros = F.unix_micros(F.try_to_timestamp(local)) - sign * F.coalesce(minutes, F.lit(0)) * 60 * _S
    moment = F.timestamp_micros(micros)
    is_last = (F.pmod(F.unix_seconds(moment), F.lit(86_400)) == _LAST_SECOND) & (
        F.last_day(moment) == F.to_date(moment)
    )
    return F.when(~is_leap, moment).when(is_last, F.timestamp_micros(micros + _S))
