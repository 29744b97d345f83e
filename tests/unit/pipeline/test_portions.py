"""Portions: where a long refresh is cut, what it says, and that nothing is lost that it did not come to."""

import pytest

from pipeline.gold import portions
from pipeline.gold.portions import Pace, first_portion

HOURS = ["2026-11-20T22", "2026-11-20T23", "2026-11-21T00", "2026-11-21T01", "2026-11-21T02", "2026-11-23T05"]


@pytest.mark.parametrize(("at_once", "cut"), [(1, 2), (2, 2), (3, 2), (4, 2), (5, 5), (6, 6), (7, 6)])
def test_a_portion_has_whole_days(monkeypatch: pytest.MonkeyPatch, at_once: int, cut: int) -> None:
    """It is as long as allowed without the rest of a day, and one day where that alone is longer."""
    monkeypatch.setattr(portions, "HOURS_AT_ONCE", at_once)
    assert first_portion(HOURS) == (HOURS[:cut], HOURS[cut:])


def test_nothing_is_one_portion() -> None:
    """As when the registry alone has changed."""
    assert first_portion([]) == ([], [])


def test_what_is_left_is_told_by_the_pace_so_far() -> None:
    """In seconds, then in minutes."""
    moments = iter([100.0, 110.0, 140.0])
    pace = Pace(lambda: next(moments))
    assert pace.said(1000, 3000) == "1,000 of 4,000 hours done, about 30 s left"
    assert pace.said(1000, 3000) == "1,000 of 4,000 hours done, about 2 min left"
