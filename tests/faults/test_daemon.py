"""Dagster's daemon dies, or the run that it has started.

Belongs here: faults of what runs by itself. The cases start Dagster as `lakehouse up` does, on the Kafka and the Spark
of the other cases, and await what it does of its own accord.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from dagster import DagsterRunStatus

from dagster_project.programs import DAEMON, RUN_SERVER
from dagster_project.runs.instance import open_instance
from dagster_project.runs.under_way import run_processes
from lake.models.catalog import known_models
from lake.records import publications
from pipeline.gold.stale import stale_slices
from runtime import processes
from runtime.ports import free_port
from runtime.settings import Settings
from tests.end_to_end.lakehouse import lakehouse
from tests.faults.base import Scene
from tests.faults.catalogue import Case
from tests.faults.invariants import Invariants
from tests.support.awaiting import awaited

# a whole line, of which nobody has imported anything: on two busy cores that takes minutes
_LIMIT_S = 480.0


def program(settings: Settings, name: str) -> psutil.Process:
    """A program of `up` that runs."""
    record = processes.find(settings, name)
    assert record is not None
    return psutil.Process(record.pid)


@contextmanager
def stopped_run(settings: Settings) -> Iterator[psutil.Process]:
    """All of `up`, and the first run of its daemon standing still."""
    try:
        lakehouse(settings, "up", "--detach", "--port", str(free_port()))
        with open_instance(settings) as instance:
            awaited(lambda: bool(run_processes(instance)), "a run")
            (process,) = run_processes(instance)
            process.suspend()
            yield process
    finally:
        lakehouse(settings, "down")


def all_is_published(settings: Settings) -> bool:
    """Whether a publication after the first one has everything."""
    return len(publications.list_all(settings)) > 1 and not stale_slices(settings, known_models(settings)).hours


def statuses(settings: Settings) -> list[DagsterRunStatus]:
    """How the runs of this home have ended, the first one first."""
    with open_instance(settings) as instance:
        return [run.status for run in reversed(instance.get_runs())]


def is_first_run_retried(settings: Settings) -> bool:
    """Whether a run that was made of the first one, or of its retry, has come to its end."""
    with open_instance(settings) as instance:
        first, *others = reversed(instance.get_runs())
        return any(run.root_run_id == first.run_id and run.status is DagsterRunStatus.SUCCESS for run in others)


def retried(settings: Settings) -> None:
    """Wait until the first run was started again, and has ended well."""
    try:
        what = "the end of the run that was started again"
        awaited(lambda: is_first_run_retried(settings), what, limit_s=_LIMIT_S)
    except AssertionError:
        with open_instance(settings) as instance:
            for run in reversed(instance.get_runs()):
                print(run.run_id, run.status, run.tags)  # which of the ways to fail it was
                for entry in instance.all_logs(run.run_id):
                    print("   ", entry.timestamp, entry.dagster_event_type or "", entry.message[:300])
        raise


def daemon_killed(scene: Scene, invariants: Invariants) -> None:
    """The run goes on without it, and another daemon goes on with the line."""
    with stopped_run(scene.settings) as run:
        program(scene.settings, DAEMON).kill()
        run.resume()
        psutil.wait_procs([run], timeout=_LIMIT_S)
        lakehouse(scene.settings, "up", "--detach")
        awaited(lambda: all_is_published(scene.settings), "a publication", limit_s=_LIMIT_S)
        awaited(lambda: DagsterRunStatus.SUCCESS in statuses(scene.settings), "the end of a run", limit_s=_LIMIT_S)
        assert DagsterRunStatus.FAILURE not in statuses(scene.settings)
    invariants.hold(scene.settings, scene.manifest)


def run_killed(scene: Scene, invariants: Invariants) -> None:
    """The daemon notices, and starts the run again."""
    with stopped_run(scene.settings) as run:
        run.kill()
        awaited(lambda: all_is_published(scene.settings), "a publication", limit_s=_LIMIT_S)
        assert statuses(scene.settings)[0] is DagsterRunStatus.FAILURE
        retried(scene.settings)
    invariants.hold(scene.settings, scene.manifest)


def run_server_killed(scene: Scene, invariants: Invariants) -> None:
    """Runs begin without it."""
    with stopped_run(scene.settings) as run:
        program(scene.settings, RUN_SERVER).kill()
        run.kill()
        awaited(lambda: all_is_published(scene.settings), "a publication", limit_s=_LIMIT_S)
        retried(scene.settings)
        assert processes.find(scene.settings, RUN_SERVER) is None
    invariants.hold(scene.settings, scene.manifest)


CASES = (
    Case(
        "daemon killed in a run",
        "SIGKILL to Dagster's daemon while the refresh that it has started is under way, and `lakehouse up` again",
        "the run comes to its end without the daemon, what it has brought is published, and the next daemon goes on",
        daemon_killed,
    ),
    Case(
        "the daemon's run killed",
        "SIGKILL to the process of a refresh that the daemon has started",
        "the daemon marks it as failed, starts it again and publishes, without anybody's doing",
        run_killed,
    ),
    Case(
        "the run server killed",
        "SIGKILL to the process that runs are forked from, and to the refresh that it has forked",
        "the daemon starts the refresh again without it, and publishes",
        run_server_killed,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_daemon(case: Case, half: Scene, home: Path, invariants: Invariants) -> None:
    """What the case says holds."""
    case.prove(half.copy(home), invariants)
