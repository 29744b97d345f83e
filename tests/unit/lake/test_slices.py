"""Slices as text, runs and predicates."""

from datetime import UTC, date, datetime, timedelta, timezone

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.slices import hours_by_date, predicate, runs_of, slice_of, slice_start, slices_between, slices_of_runs
from runtime.errors import UsageError

hours = st.integers(min_value=0, max_value=24 * 400)
slices = hours.map(lambda h: slice_of(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=h)))


@given(st.lists(slices))
def test_runs_keep_exactly_the_slices(some: list[str]) -> None:
    """Runs hold each slice once, in order, whatever order and repeats they were made from."""
    assert slices_of_runs(runs_of(some)) == sorted(set(some))


def test_a_whole_week_is_one_run() -> None:
    """Consecutive hours, also across midnight, become one run."""
    assert runs_of(slices_between("2026-02-27T00", "2026-03-05T23")) == [("2026-02-27T00", 168)]


@given(st.lists(slices, max_size=60))
def test_predicate_selects_exactly_the_slices(some: list[str]) -> None:
    """As SQL the predicate is true for the slices given and for no other hour of their dates or of a neighbour's."""
    dates = {*hours_by_date(some), date(2026, 1, 1), date(2027, 1, 1)}
    rows = ", ".join(f"(DATE '{d}', {h})" for d in dates for h in range(24))
    selected = duckdb.sql(
        f"SELECT event_date, event_hour FROM (VALUES {rows}) AS t(event_date, event_hour) WHERE {predicate(some)}"
    ).fetchall()
    assert sorted(f"{d}T{h:02d}" for d, h in selected) == sorted(set(some))


def test_a_month_of_days_is_a_short_predicate() -> None:
    """Whole days share one term without hours, so that the text does not grow with the hours."""
    text = predicate(slices_between("2026-01-01T00", "2026-01-30T23"))
    assert text.count("event_date") == 1
    assert "event_hour" not in text


def test_slice_is_utc() -> None:
    """A moment in another zone falls into its UTC hour."""
    assert slice_of(datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))) == "2025-12-31T23"


@pytest.mark.parametrize("text", ["2026-01-01", "2026-01-01T24", "yesterday", "2026-01-01T05:00"])
def test_bad_slice_is_named(text: str) -> None:
    """Text that is not a slice is refused in words that show how to write one."""
    with pytest.raises(UsageError, match="2026-11-20T05"):
        slice_start(text)
