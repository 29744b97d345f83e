"""The harness: sides that do the same work in turn, their times, and the file that the results land in.

Belongs here: taking turns, checking that the answers agree, medians and spread. What is measured is each bench's own.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import psutil

COMMAND = (sys.executable, "-c", "import sys; from lakehouse.cli import main; sys.exit(main())")
"""`lakehouse`, to be followed by its arguments, with or without an installation."""
RESULTS = Path(__file__).parent / "results"
NOISE = 1.3
"""Runs of the same code have differed by so much on machines that others use too."""


@dataclass(frozen=True)
class Side:
    """Who does the work. `prepare` and `answer` are not timed; all sides must agree on the answer, None excepted.

    `rounds` is how many rounds it takes part in at most: a side that takes minutes need not take all.
    """

    name: str
    work: Callable[[], object]
    prepare: Callable[[], object] = lambda: None
    answer: Callable[[], object] = lambda: None
    rounds: int = sys.maxsize


@dataclass(frozen=True)
class Times:
    """Wall-clock seconds of the counted rounds of a side."""

    side: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.seconds)

    @property
    def p99(self) -> float:
        """What one in a hundred exceeds; of few rounds the slowest."""
        ordered = sorted(self.seconds)
        return ordered[ceil(len(ordered) * 0.99) - 1]


@dataclass(frozen=True)
class Result:
    """What a bench came to. `amount` of `unit` is done in a round.

    The first side is ours and the others stand beside it; or, with `is_alone`, all are ours, and the first is the base.
    """

    bench: str
    what: str
    amount: float
    unit: str
    sides: tuple[Times, ...]
    goal: str = ""
    is_alone: bool = False

    @property
    def digits(self) -> int:
        """How many decimals its seconds are shown with: what is done one at a time may take less than 1 ms."""
        return 4 if self.amount == 1 else 3

    def ratio(self, side: Times) -> float:
        """Our median over the side's; alone, the side's over the first's."""
        ours = self.sides[0].median
        return side.median / ours if self.is_alone else ours / side.median

    def lines(self) -> list[str]:
        """One line a side: median, spread, rate and ratio."""
        digits = self.digits
        return [
            f"{self.bench:<10} {each.side:<22} {each.median:>9.{digits}f} s"
            f"  ({min(each.seconds):.{digits}f} to {each.p99:.{digits}f})"
            f"  {self.amount / each.median:>12,.0f} {self.unit}/s  x {self.ratio(each):.2f}"
            for each in self.sides
        ]


class DifferenceError(AssertionError):
    """Two sides did not come to the same."""


def take_turns(sides: Sequence[Side], rounds: int) -> tuple[Times, ...]:
    """Each side once uncounted, then `rounds` times in turn. Raises DifferenceError."""
    times: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(rounds + 1):
        answers: dict[str, object] = {}
        for side in (each for each in sides if number <= each.rounds):
            side.prepare()
            began = time.perf_counter()
            side.work()
            seconds = time.perf_counter() - began
            answer = side.answer()
            if answer is not None:
                answers[side.name] = answer
            if number:
                times[side.name].append(seconds)
        if len({repr(answer) for answer in answers.values()}) > 1:
            raise DifferenceError(f"the sides differ: {answers}")
    return tuple(Times(name, tuple(seconds)) for name, seconds in times.items())


def result_of(stored: Mapping[str, Any]) -> Result:
    """The result in what `store` wrote."""
    sides = tuple(Times(each["side"], tuple(each["seconds"])) for each in stored["sides"])
    values = {field.name: stored[field.name] for field in fields(Result)}
    return Result(**values | {"sides": sides})


def machine() -> dict[str, Any]:
    """What seconds can be compared on."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
    }


def slower(now: Result, before: Result) -> list[str]:
    """A line for each way in which this run is slower than an earlier one by more than noise.

    Beside others the ratio to each is compared, since machines differ; alone, the seconds. Empty where the work is
    another.
    """
    if (now.what, now.amount) != (before.what, before.amount):
        return []
    measures = _measures(now), _measures(before)
    return [
        f"{now.bench} is slower than when its result was kept: {name} was {measures[1][name]:.3g}, is {value:.3g}."
        for name, value in measures[0].items()
        if name in measures[1] and value > measures[1][name] * NOISE
    ]


def _measures(result: Result) -> dict[str, float]:
    if result.is_alone:
        return {f"seconds {each.side}": each.median for each in result.sides}
    return {f"the ratio to {each.side}": result.ratio(each) for each in result.sides[1:]}


def path_of(bench: str, is_quick: bool) -> Path:
    """Where its result is kept; a quick one beside, never over, a full one."""
    return RESULTS / f"{bench}{'-quick' if is_quick else ''}.json"


def store(result: Result, is_quick: bool, peak_mb: int) -> Path:
    """Write the result, the machine that it is of and the most memory that the bench took, to bench/results."""
    RESULTS.mkdir(exist_ok=True)
    path = path_of(result.bench, is_quick)
    about = {"measured_on": datetime.now(UTC).date().isoformat(), **machine(), "peak_mb": peak_mb}
    path.write_text(json.dumps(about | asdict(result), indent=2) + "\n")
    return path
