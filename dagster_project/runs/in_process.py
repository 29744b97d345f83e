"""Running a job in this process: how the commands execute what Dagster defines.

Belongs here: a run in the home's instance, so that the UI shows it, without Dagster's own output on the terminal, and
what came of it. What the job does is in `jobs` and `assets`.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dagster import BetaWarning, DagsterInstance, ExecuteInProcessResult, PreviewWarning
from dagster_shared.error import SerializableErrorInfo

from dagster_project.jobs import JOBS
from dagster_project.partitions import calendar_of
from dagster_project.resources import Work, run_resources
from dagster_project.runs.instance import LOG_NAME, open_instance
from dagster_project.runs.under_way import end_abandoned, process_tag
from ingestion.kafka_offsets import TRANSACTIONS_WAIT_S
from lake.records.verdicts import Verdict
from pipeline.gold.gold_refresh import Outcome
from pipeline.maintenance import Upkeep
from pipeline.run import Progress, silent
from pipeline.silver.append import SilverReport
from pipeline.silver.tick import TickReport
from runtime.errors import LakehouseError, StepError, UsageError
from runtime.settings import Settings

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class RunSummary:
    """What a run did; a part is None when the job has no such step or there was nothing to do."""

    run_id: str
    tick: TickReport | None = None
    rebuilt: SilverReport | None = None
    outcome: Outcome | None = None
    upkeep: Upkeep | None = None

    @property
    def held(self) -> list[Verdict]:
        """The verdicts that hold slices."""
        return [] if self.outcome is None else self.outcome.held


def run_job(
    settings: Settings,
    job_name: str,
    *,
    slices: Sequence[str] | None = None,
    accept_gap: bool = False,
    progress: Progress = silent,
) -> RunSummary:
    """Execute `ingest`, `publish`, `refresh`, `upkeep`, `backfill` or `backfill_gold` in this process.

    A backfill does all hours from the first to the last of `slices`; for the others they are done besides what is
    stale. Held slices are no failure. Raises LakehouseError (the step's own, or StepError for what nobody foresaw), and
    KeyboardInterrupt when the run was interrupted, which leaves it as cancelled.
    """
    work = Work(
        progress=progress,
        slices=slices,
        accept_gap=accept_gap,
        retries=0,
        transactions_wait_s=TRANSACTIONS_WAIT_S,
    )
    with _quiet(), open_instance(settings) as instance:
        end_abandoned(instance)
        result = _execute(settings, job_name, work, instance)
        if not result.success and _is_interrupted(result):
            # to Dagster an interruption that it was not asked for is a failure; here the user asked
            instance.report_run_canceled(result.dagster_run, "Interrupted. Nothing is lost: run it again.")
            raise KeyboardInterrupt
    if not result.success and not work.is_held:
        raise work.error or _unforeseen(settings, result)
    return RunSummary(result.run_id, work.tick, work.rebuilt, work.outcome, work.upkeep)


def _execute(settings: Settings, job_name: str, work: Work, instance: DagsterInstance) -> ExecuteInProcessResult:
    tags = process_tag() | {"dagster/max_retries": "0"}  # who waits for it decides whether to run it again
    if job_name in JOBS:
        # these need neither assets nor dbt's manifest, whose imports take longer than a small tick
        return JOBS[job_name].execute_in_process(
            _QUIET, instance, tags=tags, raise_on_error=False, resources=run_resources(settings, work)
        )
    from dagster_project.definitions import build_definitions

    calendar = calendar_of(settings).since(min(work.slices or ["9999"]))
    hours = calendar.within(work.slices or ())
    if not hours:
        raise UsageError("A backfill needs hours that are not in the future: give them as 2026-11-20T05.")
    tags |= {_RANGE_START: hours[0], _RANGE_END: hours[-1]}
    definition = build_definitions(settings, work=work, calendar=calendar).resolve_job_def(job_name)
    return definition.execute_in_process(_QUIET, instance, tags=tags, raise_on_error=False)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        for category in (BetaWarning, PreviewWarning):
            warnings.simplefilter("ignore", category)
        yield


def _is_interrupted(result: ExecuteInProcessResult) -> bool:
    names = {"DagsterExecutionInterruptedError", "KeyboardInterrupt", "SystemExit"}
    return any(error.cls_name in names for error in _errors(result))


def _unforeseen(settings: Settings, result: ExecuteInProcessResult) -> LakehouseError:
    """The innermost message of what failed; the whole trace stands in the log and in the UI."""
    innermost = [error for error in _errors(result) if error.cause is None]
    message = innermost[0].message.strip().splitlines()[0] if innermost else "it gave no reason"
    return StepError(f"The run {result.run_id} failed: {message} (all of it is in {settings.log_folder / LOG_NAME}).")


def _errors(result: ExecuteInProcessResult) -> Iterator[SerializableErrorInfo]:
    """Every error of the run's failures, each followed by its causes."""
    for event in result.all_events:
        error = getattr(event.event_specific_data, "error", None) if event.is_failure else None
        while error is not None:
            yield error
            error = error.cause
