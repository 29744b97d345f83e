"""Profiles read exactly the slices asked for, from as few files as partitions allow."""

from datetime import date
from itertools import pairwise

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.slices import slices_between
from lake.sql_text import Query
from pipeline.gate import profiles
from pipeline.gate.profiles import covering_runs, hour_number, partition_boxes, repeats

FIRST = hour_number("2026-11-20T00")
hours = st.lists(st.integers(min_value=0, max_value=200), min_size=1, max_size=60, unique=True)


def _text(hour: int) -> str:
    return slices_between("2026-11-20T00", "2026-11-30T23")[hour]


@pytest.mark.parametrize(("first", "last"), [(0, 0), (5, 9), (5, 30), (0, 47), (23, 24), (1, 100), (24, 70)])
def test_boxes_select_each_hour_of_a_run_once(first: int, last: int) -> None:
    """Boxes of a run together select exactly its hours, none of them twice."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE hours (event_date DATE, event_hour INTEGER)")
    for hour in range(200):
        connection.execute("INSERT INTO hours VALUES (?, ?)", [date(2026, 11, 20 + hour // 24), hour % 24])
    boxes = partition_boxes(FIRST + first, FIRST + last)
    union = " UNION ALL ".join(f"SELECT * FROM hours WHERE {box}" for box in boxes)
    found = connection.sql(f"SELECT (event_date - DATE '2026-11-20') * 24 + event_hour FROM ({union})").fetchall()
    assert sorted(hour for (hour,) in found) == list(range(first, last + 1))


def test_whole_days_are_selected_by_date_alone() -> None:
    """A table that is partitioned by date only can be asked for whole days."""
    assert all("event_hour" not in box for box in partition_boxes(FIRST, FIRST + 47))


@given(hours)
def test_covering_runs_cover_every_slice(chosen: list[int]) -> None:
    """However the slices are scattered, a bounded number of runs covers them, in order and apart."""
    runs = covering_runs(_text(hour) for hour in chosen)
    assert len(runs) <= 24
    assert all(any(first <= FIRST + hour <= last for first, last in runs) for hour in chosen)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(runs))
    if len(runs) < 24:
        assert sum(last - first + 1 for first, last in runs) == len(chosen)


def test_the_smallest_gaps_are_read_over() -> None:
    """With too many runs the nearest ones are joined, so that few needless hours are read."""
    chosen = [0, 100, *range(200, 250, 2)]
    runs = covering_runs(_text(hour) for hour in chosen)
    assert (FIRST, FIRST) in runs
    assert (FIRST + 100, FIRST + 100) in runs


@pytest.mark.parametrize("at_once", [2, 1000])
@pytest.mark.parametrize("repeated", [[], [("a", 3, None)], [("a", 3, None), ("a", 3, None), ("b", 7, "x")]])
def test_repeats_are_counted_by_slice(
    monkeypatch: pytest.MonkeyPatch, at_once: int, repeated: list[tuple[str, int, str | None]]
) -> None:
    """The rows that repeat a key within their slice are counted, nulls in it too, in one part of the hashes or many."""
    monkeypatch.setattr(profiles, "_HASHES_AT_ONCE", at_once)
    connection = duckdb.connect()
    connection.execute("CREATE TABLE source (slice VARCHAR, number INTEGER, word VARCHAR)")
    rows = [(slice_, number, word) for slice_ in ("a", "b") for number in range(10) for word in ("x", None)]
    connection.executemany("INSERT INTO source VALUES (?, ?, ?)", [*rows, *repeated])
    counting = repeats(connection, Query("FROM source"), ("number", "word"), "repeated")
    found = connection.sql(f"WITH rows AS (FROM source), counted AS ({counting}) FROM counted ORDER BY slice")
    expected = {slice_: sum(row[0] == slice_ for row in repeated) for slice_ in ("a", "b")}
    assert found.fetchall() == [(slice_, count) for slice_, count in expected.items() if count]
