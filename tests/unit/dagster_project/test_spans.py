"""Spans: how many slices an event speaks for."""

import pytest
from dagster import AssetMaterialization

from dagster_project.spans import MOST, Slice, Span, slices_told, span_told, spans
from lake.slices import slices_between, slices_from


def counted(slices: list[str]) -> dict[Slice, int]:
    """A row a slice."""
    return dict.fromkeys(slices, 1)


def test_few_slices_are_told_one_by_one() -> None:
    """A day of hours, each with its rows; one without rows has none."""
    day = slices_between("2026-11-20T00", "2026-11-20T23")
    assert spans({day[0]: 5}, day)[:2] == [Span(day[0], day[0], 1, 5), Span(day[1], day[1], 1, 0)]
    assert len(spans({}, day)) == MOST


def test_many_slices_are_told_without_a_gap() -> None:
    """Hours that follow each other, over midnight and the turn of a year too, and days likewise."""
    hours = slices_between("2025-12-31T00", "2026-01-01T23")
    rest = slices_between("2026-01-03T00", "2026-01-03T05")
    assert spans(counted(hours + rest), hours + rest) == [
        Span(hours[0], hours[-1], 48, 48), Span(rest[0], rest[-1], 6, 6)
    ]  # fmt: skip
    days = [f"2026-01-{day:02d}" for day in range(1, 31)]
    assert spans(counted(days), days) == [Span(days[0], days[-1], 30, 30)]


def test_slices_with_many_gaps_are_one_span() -> None:
    """An hour in eleven days, for years: no event for each."""
    sparse = slices_between("2023-01-01T00", "2024-12-31T23")[:: 11 * 24]
    (span,) = spans(counted(sparse), sparse)
    assert (span.first, span.last, span.count, span.rows) == (sparse[0], sparse[-1], len(sparse), len(sparse))
    assert span.metadata["slice_count"] == str(len(sparse))


def test_what_has_no_slices_is_told_by_itself() -> None:
    """A table that is not sliced has one span without any."""
    assert spans({None: 3}, [None]) == [Span(None, None, 1, 3)]
    assert spans({}, []) == []


@pytest.mark.parametrize("step", [1, 2, 11 * 24])
def test_a_span_knows_its_slices(step: int) -> None:
    """Of hours and days, with gaps and without, the text that an event tells has each slice and no other, in a few
    kilobytes for five years."""
    hours, days = slices_between("2020-02-28T05", "2024-12-31T07"), slices_from("2020-02-28", "2024-12-31")
    for slices in (hours[::step], list(days)[:: min(step, 7)]):
        (span,) = spans(counted(slices), slices)
        materialization = AssetMaterialization("key", partition=span.last, metadata=span.metadata)
        told = span_told(materialization.metadata)
        assert told is not None
        assert slices_told(told) == slices
        assert len(told) < 3000


def test_an_event_of_one_slice_speaks_for_no_other() -> None:
    """What is told one by one has no span."""
    (span,) = spans({"2026-11-20T05": 7}, ["2026-11-20T05"])
    assert span_told(AssetMaterialization("key", partition=span.last, metadata=span.metadata).metadata) is None
