"""A step that is tried again after a service did not answer does what the first try left undone.

The pipeline's part is replaced by portions that say what was asked of them: which ones are done, and in what order, is
all that is looked at here. Real services that go away are in `tests/faults`.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from dagster import RetryRequested

from dagster_project import steps
from dagster_project.resources import Work, Writer
from dagster_project.steps import Step
from pipeline.gold.gold_refresh import Basis, Outcome, Prepared
from pipeline.gold.plan import GoldPlan
from pipeline.gold.stale import Stale
from runtime.errors import PlatformError
from runtime.settings import Settings

HOURS = ["2026-11-20T05", "2026-11-20T06", "2026-11-20T07"]


class Line:
    """A lake with three stale hours, built in portions of one; `fails` says which calls of it get no answer."""

    def __init__(self, *fails: str) -> None:
        self.stale = list(HOURS)
        self.fails = list(fails)
        self.published: list[str] = []

    def portions(self, _run: object, _slices: object) -> Iterator[Prepared]:
        done: set[str] = set()
        while hours := [hour for hour in self.stale if hour not in done]:
            self._answers(f"prepare {hours[0]}")
            plan = GoldPlan({hours[0]: True}, {}, {}, {})
            yield Prepared(plan, "dbt", (), BASIS, hours[:1], hours[1:])  # type: ignore[arg-type]  # nobody runs it
            done.add(hours[0])

    def dbt(self, *_: object) -> None:
        self._answers("dbt")

    def finish(self, _run: object, prepared: Prepared) -> Outcome:
        (hour,) = prepared.hours
        self._answers(f"finish {hour}")
        self.stale.remove(hour)
        self.published.append(hour)
        return Outcome(None, [hour], [], [], [])

    def _answers(self, what: str) -> None:
        if what in self.fails:
            self.fails.remove(what)
            raise PlatformError(f"{what}: no answer")


BASIS = Basis({}, Stale(), None, {})


def step_on(line: Line, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Step:
    monkeypatch.setattr(steps, "portions", line.portions)
    monkeypatch.setattr(steps, "run_dbt", line.dbt)
    monkeypatch.setattr(steps, "finish", line.finish)
    monkeypatch.setattr(steps, "_report_candidates", lambda _: None)
    resources = SimpleNamespace(settings=settings, models={}, work=Work(), writer=Writer(settings))
    context = SimpleNamespace(resources=resources, run=SimpleNamespace(run_id="r"), log=logging.getLogger())
    return Step(context)  # type: ignore[arg-type]  # what a step asks of Dagster's own


def until_done(step: Step, tries: int) -> int:
    """Run both steps as Dagster does, each again while it asks for it; how many tries there were."""
    taken = 0
    for run in (steps.build, steps.publish):
        while True:
            taken += 1
            assert taken <= tries
            try:
                run(step)
            except RetryRequested:
                continue
            break
    return taken


@pytest.mark.parametrize(
    "fails",
    [
        [],
        [f"prepare {HOURS[0]}"],
        ["dbt"],
        [f"finish {HOURS[0]}"],
        [f"prepare {HOURS[1]}"],
        [f"finish {HOURS[1]}", f"finish {HOURS[1]}"],
        [f"prepare {HOURS[0]}", f"prepare {HOURS[2]}"],
    ],
)
def test_another_try_does_all_that_was_left(
    fails: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a service did not answer, all three hours are published once, and the run's outcome names all three."""
    line = Line(*fails)
    step = step_on(line, Settings(home=tmp_path, lake_uri=str(tmp_path / "lake")), monkeypatch)
    assert until_done(step, 2 + len(fails)) == 2 + len(fails)
    assert line.published == HOURS
    assert step.work.outcome is not None
    assert step.work.outcome.published == HOURS
    step.writer.give_back()
