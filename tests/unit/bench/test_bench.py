"""The benches' harness and page: who agrees, what is counted, what the page says."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import __main__ as command
from bench import harness
from bench.harness import DifferenceError, Result, Side, Times, slower, take_turns
from bench.ingest import check_repeats
from bench.memory import peak_memory
from bench.page import page, plot

RESULT = Result("tick", "a tick", 5000, "messages", (Times("ours", (2.0, 1.0, 3.0)), Times("a < b", (4.0,))), "fast")


def test_the_first_round_is_not_counted() -> None:
    """Each side works once more than is counted, and in turn with the others."""
    done: list[str] = []
    sides = [Side(name, lambda name=name: done.append(name)) for name in ("a", "b")]
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
    stored = vars(RESULT) | {"sides": sides, "measured_on": "2026-11-23", "cores": 2, "memory_gib": 24, "peak_mb": 4321}
    text = page([stored])
    assert "| ours | 2.000 | 1.000 to 3.000 | 2,500 | 1.00 |" in text
    assert "| a < b | 4.000 | 4.000 to 4.000 | 1,250 | 0.50 |" in text
    assert "2026-11-23, 2 cores, 24 GiB; the bench took 4,321 MB at most." in text


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


def test_memory_of_children_counts() -> None:
    """What a program takes that was started meanwhile, although it has ended by then."""
    with peak_memory() as alone:
        pass
    hold = "import sys; held = bytearray(b'x') * 300_000_000; print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with peak_memory() as together:
            pass
        child.communicate()
    assert 280 < together.mb - alone.mb < 400


@pytest.mark.parametrize(("limit", "code", "said"), [(8192, 0, ""), (1, 1, r"tick took [\d,]+ MB, more than 1\.")])
def test_a_bench_that_takes_too_much_memory_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    limit: int,
    code: int,
    said: str,
) -> None:
    """The limit is named, and what it took lands in the result."""
    monkeypatch.setattr(command, "BENCHES", {"tick": "made_up"})
    monkeypatch.setattr(command, "LIMIT_MB", limit)
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setitem(sys.modules, "bench.made_up", SimpleNamespace(run=lambda folder, is_quick: [RESULT]))
    assert command.main([]) == code
    assert re.fullmatch(said, capsys.readouterr().err.strip())
    assert json.loads((tmp_path / "tick.json").read_text())["peak_mb"] > 10


def test_a_script_that_leaves_readings_out_stops_the_bench() -> None:
    """It may have repeats that we do not have, two in a hundred, and nothing less or more."""
    check_repeats({"silver.thermostats": 1000}, {"silver.thermostats": 1015})
    for count in (999, 1021):
        with pytest.raises(DifferenceError, match=f"{count} readings in silver.thermostats"):
            check_repeats({"silver.thermostats": 1000}, {"silver.thermostats": count})
