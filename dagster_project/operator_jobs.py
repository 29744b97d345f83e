"""Operator's jobs: what a person starts in the launchpad, with what he says as config.

Belongs here: `release`, as the command of the same name: the same functions under the lake's lease, refused in the same
words. What it did stands in the metadata of its steps. Jobs that start by themselves are in `jobs`.

It is not tried again by itself: a person asked for it, and sees what came of it.
"""

import getpass
from datetime import UTC, datetime

from dagster import (
    Config,
    Failure,
    In,
    JobDefinition,
    MetadataValue,
    Nothing,
    OpExecutionContext,
    Out,
    in_process_executor,
    job,
    op,
)
from pydantic import Field

from dagster_project import steps
from dagster_project.jobs import candidate_build, gold_publication
from lake.records.verdicts import release as let_pass

_BY = "Who says so. By default the login under which this lakehouse runs. Example: ada"


class ReleaseConfig(Config):
    """What is released, and why."""

    held_slice: str = Field(
        description="The held slice as `lakehouse status` and the failed check `gate` name it. Example: 2026-11-20T05"
    )
    why: str = Field(
        description="The reason; it stands in the publication and is shown with the data. "
        "Example: the sensor was being replaced"
    )
    by: str = Field(default="", description=_BY)


@op(required_resource_keys={"settings", "models", "work", "writer"}, out=Out(Nothing))
def slice_release(context: OpExecutionContext, config: ReleaseConfig) -> None:
    """The held slice is let pass in spite of its verdicts."""
    step = steps.Step(context)
    with step.work.told():
        step.writer.hold("release")
        who = config.by or getpass.getuser()
        released = let_pass(step.settings, config.held_slice, config.why, who, datetime.now(UTC))
    step.work.released = config.held_slice
    if "T" in config.held_slice:  # a day, or a whole table, is built with what is stale
        step.work.slices = [*(step.work.slices or ()), config.held_slice]
    findings = [f"- **{verdict.table}**: {failure.message}" for verdict in released for failure in verdict.failures]
    context.add_output_metadata(
        {
            "slice": config.held_slice,
            "released_by": who,
            "release_reason": config.why,
            "tables": ", ".join(sorted({verdict.table for verdict in released})),
            "in_spite_of": MetadataValue.md("\n".join(findings)),
        }
    )


@op(required_resource_keys={"settings", "models", "work", "writer"}, ins={"publication": In(Nothing)})
def release_outcome(context: OpExecutionContext) -> None:
    """Whether the released slice is published; fails where something else was found that holds it."""
    work = steps.Step(context).work
    outcome = work.outcome
    held = [] if outcome is None else [verdict for verdict in outcome.held if verdict.slice == work.released]
    if held:
        found = "; ".join(f"{verdict.table}: {failure.message}" for verdict in held for failure in verdict.failures)
        raise Failure(f"{work.released} is still held, so not published: {found}.", allow_retries=False)
    publication = None if outcome is None else outcome.publication
    if publication is None:
        context.add_output_metadata({"slice": work.released, "outcome": "Nothing was left to publish."})
        return
    context.add_output_metadata(
        {
            "slice": work.released,
            "publication": publication.publication_id,
            "outcome": f"Publication {publication.publication_id} has it.",
        }
    )


@job(
    executor_def=in_process_executor,
    description="A held slice published as it is, with a reason that is shown with the data; as `lakehouse release`. "
    "Started by a person alone. It stands for what was found: when the findings change, the slice is judged anew.",
)
def release() -> None:
    release_outcome(gold_publication(candidate_build(slice_release())))


OPERATOR_JOBS: list[JobDefinition] = [release]
