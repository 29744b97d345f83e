"""Schedules of timers are due when NCRONTAB says."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import UsageError
from streams.functions.http_triggers import route_of
from streams.functions.ncrontab import schedule_of

THURSDAY = datetime(2026, 11, 26, 9, 29, 30, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("0 */5 * * * *", "2026-11-26T09:30:00"),
        ("*/5 * * * *", "2026-11-26T09:30:00"),
        ("31 29 9 * * *", "2026-11-26T09:29:31"),
        ("30 29 9 * * *", "2026-11-27T09:29:30"),
        ("0 30 9 * * 1-5", "2026-11-26T09:30:00"),
        ("0 30 9 * * Sat,Sun", "2026-11-28T09:30:00"),
        ("0 0 0 * * 7", "2026-11-29T00:00:00"),
        ("0 0 9-17/4 * * *", "2026-11-26T13:00:00"),
        ("0 0 0 1 Jan *", "2027-01-01T00:00:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 10/20 * * * *", "2026-11-26T09:30:00"),
        ("0 0 0 13 * Fri", "2027-08-13T00:00:00"),
    ],
)
def test_a_schedule_is_next_due(text: str, due: str) -> None:
    """Steps, ranges, lists, names, five fields, leap days, and a day that is also a weekday."""
    assert schedule_of(text).next_after(THURSDAY) == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_a_period_is_due_after_itself() -> None:
    """As .NET writes periods."""
    assert schedule_of("00:00:30").next_after(THURSDAY) == THURSDAY + timedelta(seconds=30)


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * * *", "5-1 * * * * *", "x * * * * *", "*/0 * * * * *",
                                  "00:00:00", "0 0 0 32 * *"])  # fmt: skip
def test_what_is_no_schedule_is_refused(text: str) -> None:
    """With a sentence, before anything runs."""
    with pytest.raises(UsageError, match="schedule"):
        schedule_of(text)


def test_a_day_that_never_comes_is_said() -> None:
    """There is no 30 February."""
    with pytest.raises(UsageError, match="never due"):
        schedule_of("0 0 0 30 2 *").next_after(THURSDAY)


@settings(max_examples=50)
@given(st.integers(0, 59), st.integers(1, 30), st.integers(0, 23), st.integers(0, 10**8))
def test_the_next_moment_is_the_first_that_fits(second: int, every: int, hour: int, since_s: int) -> None:
    """Nothing between a moment and the next one fits, found second by second."""
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=since_s)
    found = schedule_of(f"{second} */{every} {hour} * * *").next_after(moment)
    assert found > moment
    assert (found.second, found.minute % every, found.hour) == (second, 0, hour)
    earlier = found - timedelta(seconds=1)
    while earlier > max(moment, found - timedelta(hours=3)):
        assert (earlier.second, earlier.minute % every, earlier.hour) != (second, 0, hour)
        earlier -= timedelta(seconds=1)


def test_routes_are_read_as_azure_writes_them() -> None:
    """Parameters with types, a rest of the path, a last part that may be left out."""
    assert route_of("api", "things/{id:int}") == ["/api/things/{id:int}"]
    assert route_of("", "files/{*rest}") == ["/files/{rest:path}"]
    assert route_of("api", "things/{id:guid}/{name:alpha?}") == [
        "/api/things/{id:uuid}/{name}",
        "/api/things/{id:uuid}",
    ]
