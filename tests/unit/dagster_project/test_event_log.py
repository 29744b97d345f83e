"""The event log of a real instance: what is true when an event can be read."""

from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterRun, DagsterRunStatus
from dagster._core.events.log import EventLogEntry

from dagster_project.runs.instance import open_instance
from dagster_project.runs.spanned_log import SpannedEventLogStorage
from runtime.settings import Settings


def test_a_run_has_failed_before_its_failure_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon starts a failed run again when it reads its failure and finds that status, and looks but once."""
    stored = SpannedEventLogStorage.store_event
    seen: list[DagsterRunStatus] = []
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    with open_instance(settings) as instance:
        run = instance.add_run(DagsterRun("refresh", status=DagsterRunStatus.STARTED))

        def store(log: SpannedEventLogStorage, event: EventLogEntry) -> None:
            if event.is_dagster_event and event.dagster_event_type is DagsterEventType.RUN_FAILURE:
                seen.extend(record.dagster_run.status for record in instance.get_run_records())
            stored(log, event)

        monkeypatch.setattr(SpannedEventLogStorage, "store_event", store)
        instance.report_run_failed(run)
        (record,) = instance.get_run_records()
    assert seen == [DagsterRunStatus.FAILURE]
    assert (record.dagster_run.status, record.end_time is not None) == (DagsterRunStatus.FAILURE, True)
