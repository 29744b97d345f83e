"""The launcher: how Dagster starts a run, and ends one that somebody terminates.

Belongs here: what `dagster.yaml` names as the run launcher. Runs begin in the run server where there is one, else as
they do by default, in a new process of the code server.
"""

from dagster import DagsterRun, DefaultRunLauncher
from dagster._core.errors import DagsterLaunchFailedError
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus

from dagster_project.runs import fork_server, under_way
from runtime.settings import load_settings


class ForkingRunLauncher(DefaultRunLauncher):
    """The default launcher, but for runs that know their process, and for starting them without their imports."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a run. Raises DagsterLaunchFailedError."""
        run_id = context.dagster_run.run_id
        tag = fork_server.ask(load_settings(), run_id)
        if tag is None:
            super().launch_run(context)
        elif not tag:
            message = f"The process of run {run_id} ended as it began, or never did: see the log of the run server."
            raise DagsterLaunchFailedError(message)  # type: ignore[no-untyped-call]
        else:
            self._instance.add_run_tags(run_id, {under_way.PROCESS_TAG: tag})

    def terminate(self, run_id: str) -> bool:
        """Interrupt a run; False when it does not run."""
        run = self._instance.get_run_by_id(run_id) if self.has_instance else None
        tag = under_way.process_of(self._instance, run) if run is not None and not run.is_finished else None
        if run is None or tag is None:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        return under_way.interrupt(tag)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """What the daemon asks from time to time of every run that has started."""
        tag = under_way.process_of(self._instance, run)
        if tag is None:
            return super().check_run_worker_health(run)
        if under_way.is_alive(tag):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "The process of this run has ended before its end.")
