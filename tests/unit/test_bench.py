"""The benches' harness and page: who agrees, what is counted, what the page says."""

from dataclasses import replace

import pytest

from bench.harness import DifferenceError, Result, Side, Times, slower, take_turns
from bench.page import page, plot

RESULT = Result("tick", "a tick", 5000, "messages", (Times("ours", (2.0, 1.0, 3.0)), Times("a < b", (4.0,))), "fast")


def test_the_first_round_is_not_counted() -> None:
    """Each side works once more than is counted, and in turn with the others."""
    done: list[str] = []
    sides = [Side(name, lambda name=name: done.append(name)) for name in ("a", "b")]  # type: ignore[misc]
    times = take_turns(sides, 2)
    assert done == ["a", "b"] * 3
    assert [len(each.seconds) for each in times] == [2, 2]


def test_a_slow_side_takes_fewer_rounds() -> None:
    """It takes the uncounted round and as many as it says; the others go on without it."""
    sides = [Side("fast", lambda: None), Side("slow", lambda: None, rounds=1)]
    assert [len(each.seconds) for each in take_turns(sides, 3)] == [3, 1]


def test_sides_that_differ_stop_the_bench() -> None:
    """A side that is quick and wrong is no side."""
    sides = [Side("right", lambda: None, answer=lambda: 1), Side("wrong", lambda: None, answer=lambda: 2)]
    with pytest.raises(DifferenceError, match="'wrong': 2"):
        take_turns(sides, 1)


def test_the_page_gives_median_spread_rate_and_ratio() -> None:
    """One row a side; the ratio is ours over theirs."""
    sides = [{"side": each.side, "seconds": list(each.seconds)} for each in RESULT.sides]
    stored = vars(RESULT) | {"sides": sides, "measured_on": "2026-11-23", "cores": 2, "memory_gib": 24}
    text = page([stored])
    assert "| ours | 2.000 | 1.000 to 3.000 | 2,500 | 1.00 |" in text
    assert "| a < b | 4.000 | 4.000 to 4.000 | 1,250 | 0.50 |" in text
    assert "2026-11-23, 2 cores, 24 GiB" in text


def test_a_plot_spells_what_xml_does_not_allow() -> None:
    """Names of sides are text."""
    assert "a &lt; b" in plot(RESULT)


def test_a_run_that_is_slower_is_told() -> None:
    """By ratio beside others, by seconds alone; not what is noise, nor where the work is another."""
    twice = replace(RESULT, sides=(Times("ours", (4.0,)), Times("a < b", (4.0,))))
    assert slower(twice, RESULT) == ["tick is slower than when its result was kept: the ratio to a < b was 0.5, is 1."]
    assert slower(RESULT, twice) == []
    assert slower(replace(twice, amount=1), RESULT) == []
    alone = replace(RESULT, is_alone=True)
    later = replace(alone, sides=(Times("ours", (2.2,)), Times("a < b", (8.0,))))
    assert slower(later, alone) == ["tick is slower than when its result was kept: seconds a < b was 4, is 8."]
