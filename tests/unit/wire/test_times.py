"""Times on the wire: RFC 3339 in full, and nothing else."""

import re

import pytest

from wire.times import RFC_3339, micros_of_rfc3339, moment_of_rfc3339

TIMES = {
    "2025-03-01T00:05:00Z": "2025-03-01T00:05:00.000000",
    "2025-03-01t00:05:00z": "2025-03-01T00:05:00.000000",
    "2025-03-01 00:06:00+00:00": "2025-03-01T00:06:00.000000",
    "2025-03-01T00:04:00-00:00": "2025-03-01T00:04:00.000000",
    "2025-03-01T05:40:00+05:30": "2025-03-01T00:10:00.000000",
    "2025-03-01T23:59:00+23:59": "2025-03-01T00:00:00.000000",
    "2025-02-28T00:01:00-23:59": "2025-03-01T00:00:00.000000",
    "2025-03-01T00:07:00.1234567891Z": "2025-03-01T00:07:00.123456",
    "2025-03-01T00:07:00.1z": "2025-03-01T00:07:00.100000",
    "2024-02-29T12:00:00Z": "2024-02-29T12:00:00.000000",
    # leap seconds stand at the end of a month in UTC, wherever the clock is
    "2016-12-31T23:59:60Z": "2017-01-01T00:00:00.000000",
    "2016-12-31T23:59:60.25z": "2017-01-01T00:00:00.250000",
    "1990-12-31T15:59:60-08:00": "1991-01-01T00:00:00.000000",
    "2017-01-01T08:59:60+09:00": "2017-01-01T00:00:00.000000",
}
"""Texts and the moments in UTC that they name."""

OTHERS = (
    "", "noon", "1740787740", "2025-03-01", "2025-03-01T00:03:00", "2025-03-01T00:09Z", "2025-03-01T00:00:00+0530",
    "2025-03-01T00:00:00+05", "2025-03-01T24:00:00Z", "2025-03-01T00:60:00Z", "2025-03-01T00:00:61Z",
    "2025-02-30T00:08:00Z", "2025-13-01T00:00:00Z", "2025-00-01T00:00:00Z", "2025-03-01T00:00:00+24:00",
    "2025-03-01T00:00:00+05:60", "2025-03-01T00:00:00.Z", "2025-03-01T00:00:00,5Z", "2025-03-01T00:00:00Z\n",
    " 2025-03-01T00:00:00Z", "2025-03-01T00:00:00Z ", "2025-03-01T00:00:00Zx", "+2025-03-01T00:00:00Z",
    "2025-03-01T00:00:60Z", "2016-12-30T23:59:60Z", "2016-12-31T23:59:60+01:00", "٢025-03-01T00:00:00Z",
    "2025-03-01_00:00:00Z", "2025-3-1T00:00:00Z", "20250301T000000Z", "2025-02-29T00:00:00Z",
)  # fmt: skip
"""Texts that are no RFC 3339 times."""


@pytest.mark.parametrize(("text", "moment"), TIMES.items())
def test_every_spelling_of_rfc_3339_is_read(text: str, moment: str) -> None:
    """In either case, with any offset and any digits, and leap seconds as the second after them."""
    found = moment_of_rfc3339(text)
    assert found is not None
    assert f"{found:%Y-%m-%dT%H:%M:%S.%f}" == moment
    assert re.fullmatch(RFC_3339, text)


@pytest.mark.parametrize("text", OTHERS)
def test_nothing_else_is(text: str) -> None:
    """Be it a line end behind it."""
    assert moment_of_rfc3339(text) is None


def test_moments_that_a_datetime_cannot_hold() -> None:
    """The year 0, and what an offset leads before the year 1 or behind 9999, in microseconds since 1970."""
    day, first = 86_400_000_000, -62_135_596_800_000_000  # of 0001-01-01
    assert micros_of_rfc3339("0001-01-01T00:00:00Z") == first
    assert micros_of_rfc3339("0000-12-31T00:00:00Z") == first - day
    assert micros_of_rfc3339("0000-02-29T00:00:00Z") == first - 307 * day
    assert micros_of_rfc3339("0000-02-30T00:00:00Z") is None
    assert micros_of_rfc3339("0001-01-01T00:00:00+01:00") == first - day // 24
    last = 253_402_300_799_000_000  # of 9999-12-31T23:59:59
    assert micros_of_rfc3339("9999-12-31T23:59:59-01:00") == last + day // 24
    assert micros_of_rfc3339("9999-12-31T23:59:59Z") == last
    assert micros_of_rfc3339("0000") is None
