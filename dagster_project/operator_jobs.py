"""Operator's jobs: what a person starts in the launchpad, with what he says as config.

Belongs here: `release` and `erase`, as the commands of the same names: the same functions under the lake's lease,
refused in the same words. What they did stands in the metadata of their steps. Jobs that start by themselves are in
`jobs`.

They are not tried again by themselves: a person asked for it, and sees what came of it.
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
from dagster_project.runs.redaction import forget_device
from lake.records.verdicts import release as let_pass
from pipeline.erasure.mentions import Mentions
from pipeline.erasure.removal import Request, refuse_if_named
from pipeline.erasure.removal import erase as erase_device
from runtime.errors import UsageError

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


class EraseConfig(Config):
    """Which device is erased, and why."""

    device: str = Field(
        description="The device's id; once it is erased, `[erased]` takes its place here, too. Example: pump-0001"
    )
    why: str = Field(default="", description="The reason; it stands in the certificate. Example: sold; request 4711")
    by: str = Field(default="", description=_BY)
    purges_kafka: bool | None = Field(
        default=None,
        description="Delete from Kafka what bronze has, of every device. By default only from the embedded broker.",
    )
    cannot_be_undone: bool = Field(
        default=False,
        description="Say true: the device leaves every layer, and all earlier publications are withdrawn.",
    )


@op(required_resource_keys={"settings", "models", "work", "writer", "spark", "kafka"}, tags={"kind": "deltalake"})
def device_erasure(context: OpExecutionContext, config: EraseConfig) -> None:
    """The device out of every layer, version, file and log, and of Dagster's runs of this job."""
    step = steps.Step(context)
    with step.work.told():
        if not config.device.strip():
            raise UsageError("Name the device: an empty id is none.")
        if not config.cannot_be_undone:
            raise UsageError("Say cannot_be_undone: true. All earlier publications are withdrawn with the device.")
        purges_kafka = step.settings.kafka_address is None if config.purges_kafka is None else config.purges_kafka
        done = erase_device(
            step.run,
            context.resources.spark(),
            context.resources.kafka,
            Request(config.device, config.by or getpass.getuser(), config.why),
            clock=lambda: datetime.now(UTC),
            purges_kafka=purges_kafka,
        )
        refuse_if_named(done)
    forget_device(context.instance, context.job_name, Mentions(config.device))
    context.add_output_metadata(
        {
            "rows_removed": sum(figures["rows_removed"] for figures in done.tables.values()),
            "files_deleted": len(done.files),
            "files_read": done.scan["files"],
            "publication": done.publication or "Nothing was published.",
            "publications_withdrawn": len(done.withdrawn),
            "still_counted_in_days_of_sites": ", ".join(done.not_rebuilt) or "none",
            "kafka": done.kafka,
            "certificate": f"{step.settings.lake_uri}/{done.path}",
        }
    )


@job(
    executor_def=in_process_executor,
    description="A device taken out of every layer, every old version, file and log, with a certificate; as "
    "`lakehouse erase`. Started by a person alone; it can be stopped, and started again with the same config.",
)
def erase() -> None:
    device_erasure()


OPERATOR_JOBS: list[JobDefinition] = [release, erase]
