"""Local days: where the days of a zone begin and end, in UTC."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from lake.local_days import days_of_slice, is_zone, local_day, local_days, zone_of
from runtime.errors import UsageError


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day", "starts_at", "hours", "slices"),
    [
        ("UTC", "2026-03-29", "2026-03-29T00:00", 24, 24),
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00", 23, 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00", 25, 25),
        ("Asia/Kolkata", "2026-01-01", "2025-12-31T18:30", 24, 25),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00", 24.5, 25),
        # clocks go forward over midnight, so that the day begins at one o'clock
        ("America/Sao_Paulo", "2017-10-15", "2017-10-15T03:00", 23, 23),
        # clocks go back to midnight: the first of the two begins the day
        ("America/Havana", "2024-11-03", "2024-11-03T04:00", 25, 25),
    ],
)
def test_a_day_has_the_length_that_clocks_give_it(
    zone: str, day: str, starts_at: str, hours: float, slices: int
) -> None:
    """Its start, its hours and the UTC hours that it has a part of, over the setting of clocks both ways."""
    found = local_day(zone, date.fromisoformat(day))
    assert found is not None
    assert (found.starts_at, found.hours, len(found.slices)) == (at(starts_at), hours, slices)


def test_a_day_may_be_left_out() -> None:
    """Samoa went from 29 to 31 December 2011; the days beside the gap touch."""
    assert local_day("Pacific/Apia", date(2011, 12, 30)) is None
    days = list(local_days("Pacific/Apia", date(2011, 12, 29), date(2011, 12, 31)))
    assert [each.day.day for each in days] == [29, 31]
    assert days[0].ends_at == days[1].starts_at


@pytest.mark.parametrize("zone", ["America/Goose_Bay", "Asia/Kathmandu", "Europe/Berlin", "Pacific/Apia", "Etc/GMT+12"])
def test_days_follow_each_other_and_know_their_hours(zone: str) -> None:
    """No moment lies between two days, and an hour is in the days that say so, and in no other."""
    days = list(local_days(zone, date(2009, 12, 20), date(2012, 1, 10)))
    assert all(one.ends_at == next_.starts_at for one, next_ in pairwise(days))
    by_slice: dict[str, list[date]] = {}
    for each in days:
        for slice_ in each.slices:
            by_slice.setdefault(slice_, []).append(each.day)
    within = [s for s in by_slice if days[1].starts_at < at(f"{s}:00") < days[-1].starts_at - timedelta(days=1)]
    assert len(within) > 17_000
    assert all(days_of_slice(zone, slice_) == by_slice[slice_] for slice_ in within)


def test_what_is_no_zone_is_refused() -> None:
    """Names of files and folders beside the zones are none, and the error says how to write one."""
    assert is_zone("Europe/Berlin")
    assert not any(map(is_zone, ("", "Europe", "../etc/passwd", "tzdata.zi", "Mars/Base", "europe berlin")))
    assert not any(map(is_zone, ("a" * 300, "a/" * 3000 + "a")))
    with pytest.raises(UsageError, match="write one as Europe/Berlin"):
        zone_of("Mars/Base")
