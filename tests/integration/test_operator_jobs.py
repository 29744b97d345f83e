"""The jobs that a person starts in Dagster's launchpad, on a folder lake with the real gate and dbt."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, resource
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from dagster_project.operator_jobs import release
from dagster_project.resources import Writer, run_resources
from dagster_project.runs.in_process import run_job
from dagster_project.runs.instance import open_instance
from lake.records import publications
from lake.records.verdicts import release as let_pass
from lake.storage.applications import App
from lake.storage.lease import current_holder, writer_lease
from lake.storage.locations import table_uri
from lake.tables.silver import SILVER_REJECTED
from runtime.errors import UsageError
from runtime.settings import Settings
from tests.support.small_lake import H5, H6, Lake


def judged_by_a_tick(lake: Lake) -> None:
    """Write a lake as a tick leaves it: silver says how far of bronze it has judged."""
    lake.write()
    rejected = table_uri(lake.settings, SILVER_REJECTED.name)
    nothing = DeltaTable(rejected).to_pyarrow_table().slice(0, 0)
    said = CommitProperties(app_transactions=[Transaction(App.TELEMETRY, 10)])
    write_deltalake(rejected, nothing, mode="append", commit_properties=said)


def launched(
    settings: Settings, instance: DagsterInstance, wait_s: float = 60.0, **config: str
) -> ExecuteInProcessResult:
    """The job as the launchpad starts it; it waits for `wait_s` for another writer."""
    asked = {"ops": {"slice_release": {"config": config}}}

    @resource
    def writer() -> Iterator[Writer]:
        held = Writer(settings, wait_s=wait_s)
        yield held
        held.give_back()

    resources = run_resources(settings) | {"writer": writer}
    return release.execute_in_process(asked, instance, raise_on_error=False, resources=resources)


def failure(result: ExecuteInProcessResult) -> str:
    """What the run says of why it failed."""
    (event,) = [each for each in result.all_events if each.is_step_failure]
    said = event.step_failure_data.user_failure_data
    assert said is not None
    return str(said.description)


def output(result: ExecuteInProcessResult, step: str) -> dict[str, object]:
    """The metadata of a step's output."""
    (event,) = [e for e in result.all_events if e.is_successful_output and e.step_key == step]
    return {name: each.value for name, each in event.step_output_data.metadata.items()}


def test_a_held_slice_is_released_from_the_launchpad(tmp_path: Path) -> None:
    """What is not held and what has no reason is refused in the words of the command, and with another writer's name;
    a held hour is published with its reason, and the run says so."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"), spark="sc://127.0.0.1:1")
    lake = Lake(settings)
    lake.fill(H5)
    lake.fill(H6)
    for minute in range(30, 55):
        lake.refuse(H6, minute, "not_json")
    judged_by_a_tick(lake)
    run_job(settings, "publish")
    first = publications.newest(settings)
    assert first is not None
    assert (H5 in first.slices, H6 in first.slices) == (True, False)

    with open_instance(settings) as instance:
        for slice_, why in ((H5, "it is fine"), (H6, " ")):
            with pytest.raises(UsageError) as refusal:
                let_pass(settings, slice_, why, "ada", datetime.now(UTC))
            refused = launched(settings, instance, held_slice=slice_, why=why)
            assert not refused.success
            assert failure(refused) == str(refusal.value)
        with writer_lease(settings, "the other one"):
            other = launched(settings, instance, 0.1, held_slice=H6, why="known")
        assert "the other one" in failure(other)
        assert publications.newest(settings) == first

        done = launched(settings, instance, held_slice=H6, why="the sensor was being replaced", by="ada")
        assert done.success
        said = output(done, "slice_release")
        assert (said["slice"], said["released_by"]) == (H6, "ada")
        assert said["release_reason"] == "the sensor was being replaced"
        assert said["tables"] == "silver.thermostats"
        assert output(done, "release_outcome")["publication"] == first.publication_id + 1
    assert current_holder(settings) is None
    second = publications.newest(settings)
    assert second is not None
    assert H6 in second.slices
    assert {each["who"] for each in second.releases if each["slice"] == H6} == {"ada"}
