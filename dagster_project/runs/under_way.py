"""Runs: which of them are under way, and ending those whose process is gone.

Belongs here: questions about the instance's runs. Executing one is in `in_process`.

A run lives in one process. When that is killed, nobody tells Dagster, and a run that never ends would block the queue:
so a run carries its process in its tags, and whoever comes next looks.
"""

import platform
import signal

import psutil
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter, SkipReason

from runtime.process_ids import ProcessId

PROCESS_TAG = "lakehouse/process"
_UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def process_tag(pid: int | None = None) -> dict[str, str]:
    """A process, by default this one, as a run's tag: its machine's name and its identity.

    Raises psutil.NoSuchProcess.
    """
    return {PROCESS_TAG: f"{platform.node()} {ProcessId.of(pid)}"}


def under_way(instance: DagsterInstance, *jobs: str) -> str | None:
    """The name of one of `jobs` that is queued or runs; None when none is."""
    end_abandoned(instance)
    runs = instance.get_runs(RunsFilter(statuses=_UNDER_WAY))
    return next((run.job_name for run in runs if run.job_name in jobs), None)


def busy_with(instance: DagsterInstance, *jobs: str) -> SkipReason | None:
    """Why a sensor or schedule asks for nothing while one of `jobs` is under way; None when none is."""
    job = under_way(instance, *jobs)
    return None if job is None else SkipReason(f"{job} is under way.")


def run_processes(instance: DagsterInstance) -> list[psutil.Process]:
    """The processes in which runs are executed on this machine."""
    tags = [process_of(instance, run) for run in instance.get_runs(RunsFilter(statuses=_UNDER_WAY))]
    return [process for tag in tags if tag is not None and (process := find_process(tag)) is not None]


def end_abandoned(instance: DagsterInstance) -> list[str]:
    """Mark runs whose process is gone as failed; returns their ids."""
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=_UNDER_WAY)):
        tag = process_of(instance, run)
        if tag is not None and not is_alive(tag):
            instance.report_run_failed(run, "The process of this run was killed. Nothing is lost: run it again.")
            ended.append(run.run_id)
    return ended


def process_of(instance: DagsterInstance, run: DagsterRun) -> str | None:
    """The tag that names the process of a run; None as long as it has none of its own."""
    tag = run.tags.get(PROCESS_TAG)
    return None if tag is None or _is_inherited(instance, run, tag) else tag


def _is_inherited(instance: DagsterInstance, run: DagsterRun, tag: str) -> bool:
    """True for a retry that waits or starts: until it has a process of its own it has the tag of the run before it."""
    parent = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    return parent is not None and parent.tags.get(PROCESS_TAG) == tag


def is_alive(tag: str) -> bool:
    """Whether the process that a tag names runs; of another machine's nobody else can tell, so it does."""
    return not tag.startswith(f"{platform.node()} ") or find_process(tag) is not None


def interrupt(tag: str) -> bool:
    """Do as Ctrl-C does to the process that a tag names; False when it does not run on this machine."""
    process = find_process(tag)
    if process is None:
        return False
    process.send_signal(signal.SIGINT)
    return True


def find_process(tag: str) -> psutil.Process | None:
    """The process that a tag names; None when it does not run, or not on this machine."""
    host, _, identity = tag.partition(" ")
    if host != platform.node():
        return None
    try:
        process = ProcessId.parse(identity)
    except ValueError:
        return None
    return process.find() if process.is_alive() else None
