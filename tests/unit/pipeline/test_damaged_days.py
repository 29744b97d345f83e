"""Damaged days: the hours that are built of them, and what cannot be."""

import pytest

from pipeline.gold.damaged_days import check_not_held, with_whole_days
from pipeline.gold.stale import Stale
from runtime.errors import StepError

H4, H5, H6, OTHER = "2026-11-20T04", "2026-11-20T05", "2026-11-20T06", "2026-11-21T05"
DAY = "2026-11-20"


def test_a_damaged_day_is_built_as_a_whole() -> None:
    """All of its hours are done, those that nothing is known of by leaving gold; other days are as they were."""
    hours, stale = with_whole_days([H5, OTHER], Stale(gone=frozenset({H4})), {H4, H5, H6, OTHER}, [DAY])
    assert hours == [f"{DAY}T{hour:02d}" for hour in range(24)] + [OTHER]
    assert stale.gone == {H4, *hours} - {H5, H6, OTHER}
    assert with_whole_days([H5], Stale(), {H5}, []) == ([H5], Stale())


def test_a_held_hour_of_a_damaged_day_is_an_error() -> None:
    """What is published of it cannot be kept; a held hour of another day is no matter."""
    check_not_held({DAY: "gold.device_minutes is damaged"}, [OTHER])
    with pytest.raises(StepError, match=rf"damaged\. Its day .* since {H5} is held"):
        check_not_held({DAY: "gold.device_minutes is damaged"}, [OTHER, H5])
