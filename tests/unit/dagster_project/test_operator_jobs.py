"""What the jobs of the launchpad ask for; the work itself is done in the integration tests."""

from pathlib import Path
from typing import Any

import pytest
from dagster import Definitions, JobDefinition, validate_run_config
from dagster._core.errors import DagsterInvalidConfigError

from dagster_project.operator_jobs import OPERATOR_JOBS, erase, release
from dagster_project.resources import run_resources
from runtime.settings import Settings


def fields_of(job: JobDefinition, step: str) -> dict[str, Any]:
    """What the launchpad asks for."""
    schema: Any = job.graph.node_named(step).definition.config_schema
    return dict(schema.as_field().config_type.fields)


def test_every_field_says_what_it_is(tmp_path: Path) -> None:
    """The launchpad shows a description of each with an example; what is needed is asked for."""
    definitions = Definitions(jobs=OPERATOR_JOBS, resources=run_resources(Settings(home=tmp_path, lake_uri="lake")))
    fields = fields_of(release, "slice_release")
    for name, field in fields.items():
        assert "Example: " in field.description, name
    assert {name for name, field in fields.items() if field.is_required} == {"held_slice", "why"}
    asked = {"held_slice": "2026-11-20T05", "why": "known"}
    job = definitions.resolve_job_def("release")
    assert validate_run_config(job, {"ops": {"slice_release": {"config": asked}}})
    with pytest.raises(DagsterInvalidConfigError, match="held_slice"):
        validate_run_config(job, {"ops": {"slice_release": {"config": {"why": "known"}}}})


def test_an_erasure_asks_for_the_device_and_is_typed(tmp_path: Path) -> None:
    """Only the device is required; a word in the place of a yes or no is refused before anything runs."""
    definitions = Definitions(jobs=OPERATOR_JOBS, resources=run_resources(Settings(home=tmp_path, lake_uri="lake")))
    fields = fields_of(erase, "device_erasure")
    assert {name for name, field in fields.items() if field.is_required} == {"device"}
    assert all(field.description for field in fields.values())
    job = definitions.resolve_job_def("erase")
    assert validate_run_config(job, {"ops": {"device_erasure": {"config": {"device": "d", "cannot_be_undone": True}}}})
    with pytest.raises(DagsterInvalidConfigError, match="cannot_be_undone"):
        validate_run_config(
            job, {"ops": {"device_erasure": {"config": {"device": "d", "cannot_be_undone": "certainly"}}}}
        )
