"""Two writers at once, a killed Dagster run, and clocks that step.

Belongs here: what the lease, the order of commits and the times in the records are held to.
"""

import os
import signal
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from dagster import DagsterRunStatus

from dagster_project.runs.in_process import run_job
from dagster_project.runs.instance import open_instance
from lake.models.catalog import known_models
from lake.records import publications
from lake.storage.lease import current_holder, writer_lease
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.run import Run
from runtime.errors import LeaseError
from runtime.settings import Settings
from tests.faults.base import Scene
from tests.faults.catalogue import Case
from tests.faults.harness import Point, run_to, start_to
from tests.faults.invariants import Invariants, seen
from tests.faults.steps import publishing, refreshing
from tests.support.warm import start_apart

_STEP_S = 3600.0


def two_at_once(scene: Scene, invariants: Invariants) -> None:
    """One stops amid its gold commits; the other is to rebuild an hour of the same."""
    settings = scene.settings
    run = Run(settings, known_models(settings), "second", datetime.now(UTC))
    first = start_to(Point("pipeline.gold.publish._replace", 2, by=signal.SIGSTOP), refreshing, settings)
    assert first.pid is not None
    process = psutil.Process(first.pid)
    while process.status() != psutil.STATUS_STOPPED:
        assert first.is_alive()
        time.sleep(0.01)
    published = publications.newest(settings)
    assert published is not None
    hour = published.first_slice
    with pytest.raises(LeaseError, match=rf"process {first.pid} on .*refresh of gold"):
        refresh_gold(run, [hour])
    waiting = threading.Thread(target=refresh_gold, args=(replace(run, wait_s=120.0), [hour]))
    waiting.start()
    process.resume()
    waiting.join(200)
    first.join(60)
    assert first.exitcode == 0
    assert [p.run_id for p in publications.list_all(settings)][1:] == ["refresh", "second"]
    invariants.hold(settings, scene.manifest)


def publishing_job(settings: Settings) -> None:
    """A step: the Dagster job, as a command or the daemon runs it."""
    run_job(settings, "publish")


def run_killed(scene: Scene, invariants: Invariants) -> None:
    """The run's process is killed amid its gold commits."""
    before = seen(scene.settings)
    run_to(Point("pipeline.gold.publish._replace", 3, "after"), publishing_job, scene.settings)
    assert seen(scene.settings) == before
    run_job(scene.settings, "publish")
    with open_instance(scene.settings) as instance:
        statuses = [run.status for run in instance.get_runs()]
    assert statuses == [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
    invariants.hold(scene.settings, scene.manifest)


def clock_steps_under_a_holder(scene: Scene, invariants: Invariants) -> None:
    """All that the machine derives from its clock moves: the time, and the time at which it was started."""
    first = start_to(Point("pipeline.gold.publish._replace", by=signal.SIGSTOP), publishing_with_lease, scene.settings)
    assert first.pid is not None
    process = psutil.Process(first.pid)
    while process.status() != psutil.STATUS_STOPPED:
        assert first.is_alive()
        time.sleep(0.01)
    for step_s in (_STEP_S, -_STEP_S):
        second = start_apart(refused_after_a_step, step_s, scene.settings)
        second.join(60)
        assert second.exitcode == 0
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    scene.refresh()
    invariants.hold(scene.settings, scene.manifest)


def publishing_with_lease(settings: Settings) -> None:
    """A step: publishing what is judged, as a writer."""
    with writer_lease(settings, "publishing"):
        publishing(settings)


def refused_after_a_step(step_s: float, settings: Settings) -> None:
    """A step: asking for the lease when the clock is another; Linux derives the start of processes from it."""
    boot, now = psutil.boot_time(), time.time()
    with (
        patch.object(psutil._pslinux, "boot_time", lambda: boot + step_s),
        patch.object(time, "time", lambda: now + step_s),
    ):
        with pytest.raises(LeaseError, match="publishing"), writer_lease(settings, "second"):
            pass
        assert current_holder(settings) is not None


def published_in_the_past(scene: Scene, invariants: Invariants) -> None:
    """The clock goes back by two days between two publications."""
    settings = scene.settings
    first = publications.newest(settings)
    assert first is not None
    past = first.published_at - timedelta(days=2)
    outcome = refresh_gold(Run(settings, known_models(settings), "past", past))
    assert outcome is not None
    newest = publications.newest(settings)
    assert newest is not None
    assert (newest.publication_id, newest.published_at) == (2, past)
    assert scene.refresh() is None
    invariants.hold(settings, scene.manifest)


CASES = (
    Case(
        "two writers on one slice",
        "a refresh stopped amid its gold commits, and a backfill of an hour that it publishes",
        "the second is refused with the name of the first, or waits for it and publishes after it",
        two_at_once,
    ),
    Case(
        "Dagster run killed",
        "SIGKILL to the process of a Dagster run between two gold commits",
        "the next run marks it as failed and publishes",
        run_killed,
    ),
    Case(
        "clock steps under a writer",
        "the machine's clock an hour ahead, then an hour back, while a process holds the lease",
        "the holder is still known to be alive, and a second writer is refused",
        clock_steps_under_a_holder,
    ),
    Case(
        "clock goes back between publications",
        "a publication at a time two days before the one that it follows",
        "readers see the later one by number; nothing is stale",
        published_in_the_past,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_writers(case: Case, ticked: Scene, judged: Scene, home: Path, invariants: Invariants) -> None:
    """What the case says holds."""
    scene = judged if case.prove is clock_steps_under_a_holder else ticked
    case.prove(scene.copy(home), invariants)
