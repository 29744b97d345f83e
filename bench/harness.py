"""The harness: sides that do the same work in turn, their times, and the file that the results land in.

Belongs here: taking turns, checking that the answers agree, medians and spread. What is measured is each bench's own.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Side:
    """Who does the work. `prepare` and `answer` are not timed; all sides must agree on the answer, None excepted."""

    name: str
    work: Callable[[], object]
    prepare: Callable[[], object] = lambda: None
    answer: Callable[[], object] = lambda: None


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
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


@dataclass(frozen=True)
class Result:
    """What a bench came to. `amount` of `unit` is done in a round; the first side is ours, the others stand beside."""

    bench: str
    what: str
    amount: float
    unit: str
    sides: tuple[Times, ...]
    goal: str = ""

    def lines(self) -> list[str]:
        """One line a side: median, spread, rate, and how many times our rate it is."""
        ours = self.sides[0].median
        return [
            f"{self.bench:<10} {each.side:<22} {each.median:>9.3f} s  ({min(each.seconds):.3f} to {each.p99:.3f})"
            f"  {self.amount / each.median:>12,.0f} {self.unit}/s  x {ours / each.median:.2f}"
            for each in self.sides
        ]


class DifferenceError(AssertionError):
    """Two sides did not come to the same."""


def take_turns(sides: Sequence[Side], rounds: int) -> tuple[Times, ...]:
    """Each side once uncounted, then `rounds` times in turn. Raises DifferenceError."""
    times: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(rounds + 1):
        answers: dict[str, object] = {}
        for side in sides:
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


def store(result: Result, is_quick: bool) -> Path:
    """Write the result, and the machine that it is of, to bench/results; a quick one beside, never over, a full one."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{result.bench}{'-quick' if is_quick else ''}.json"
    about: dict[str, Any] = {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
    }
    path.write_text(json.dumps(about | asdict(result), indent=2) + "\n")
    return path
