"""Portions: where a long refresh is cut, what it says, and that nothing is lost that it did not come to."""

from pathlib import Path

import pytest

from pipeline.gold import gold_refresh, portions
from pipeline.gold.declared_sites import DeclaredSites
from pipeline.gold.gold_refresh import Basis
from pipeline.gold.portions import Pace, first_portion
from pipeline.gold.stale import Stale
from runtime.settings import Settings

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


@pytest.mark.parametrize(
    ("zones", "elsewhere", "days"),
    [
        (("UTC",), (), ["2026-11-20", "2026-11-21"]),
        (("UTC",), (HOURS[5],), ["2026-11-20", "2026-11-21"]),
        (("UTC", "Europe/Berlin"), (), ["2026-11-20", "2026-11-21"]),
        (("UTC", "Europe/Berlin"), ("2026-11-21T23",), ["2026-11-20"]),
        (("America/New_York", "UTC"), ("2026-11-22T03",), ["2026-11-20"]),
        (("Asia/Kolkata", "UTC"), ("2026-11-20T17",), ["2026-11-21"]),
        (("Asia/Kolkata", "UTC"), ("2026-11-20T18",), []),
    ],
)
def test_a_day_is_built_when_all_its_hours_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zones: tuple[str, ...], elsewhere: tuple[str, ...], days: list[str]
) -> None:
    """None of an hour that is left to another portion, or was held in one, whichever zone's day it is."""
    monkeypatch.setattr(gold_refresh, "declared_sites", lambda *_: DeclaredSites((), zones))
    hours = HOURS[:5]
    stale = Stale(dict.fromkeys(hours, ("new",)), frozenset({*hours, *elsewhere}))
    basis = Basis({}, stale, None, {}, left=frozenset(elsewhere))
    plan = gold_refresh._plan(Settings(tmp_path, str(tmp_path)), hours, set(), basis)
    assert list(plan.days) == days
