"""Steps: one function for each step of the line, called by the assets and by the jobs alike.

Belongs here: calling the pipeline and reporting to Dagster what came of it, slice by slice. Deciding anything about
data belongs in `pipeline`.

One run carries many slices. What they became is told by spans (see `spans`): a materialization with the partition of
the last slice, or none where the slice is held, and the gate's result. Dagster reports the partitions of a run's
outputs by itself, of which `runs.event_log` keeps those that a step said something of. The step that publishes yields
none, so that nothing is called published that is held.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    Failure,
    MetadataValue,
    OpExecutionContext,
)

from dagster_project.asset_checks import evaluations, rows_at
from dagster_project.counts import candidate_rows, written_since
from dagster_project.partitions import asset_key, note_first_slice, partition_of
from dagster_project.resources import Work, Writer
from dagster_project.spans import Slice, spans
from ingestion.bronze_ingest import BRONZE_TABLES
from ingestion.kafka_offsets import settle
from lake.models.catalog import Model
from lake.records.verdicts import Verdict
from lake.slices import day_of
from lake.storage.delta import version_of
from lake.tables.gold import GOLD_TABLES, WHOLE
from pipeline.gold.dbt_process import run_dbt
from pipeline.gold.gold_refresh import Outcome, finish, joined, portions
from pipeline.gold.stale import silver_versions, stale_slices
from pipeline.maintenance import upkeep
from pipeline.run import Run
from pipeline.silver.tick import TickReport, fill_silver, ingest, rebuild_silver
from runtime.errors import LakehouseError
from runtime.settings import Settings

Context = AssetExecutionContext | OpExecutionContext
_NAMED_IN_FAILURE = 3


@dataclass(frozen=True)
class Step:
    """A step's surroundings. `yielded` are the outputs that Dagster reports itself, for these `partitions`."""

    context: Context
    yielded: frozenset[AssetKey] = frozenset()
    partitions: frozenset[str] = frozenset()

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        settings: Settings = self.context.resources.settings
        return settings

    @property
    def models(self) -> Mapping[str, Model]:
        """The device models."""
        models: Mapping[str, Model] = self.context.resources.models
        return models

    @property
    def run(self) -> Run:
        """What the pipeline is told, as of now. The lake's commits carry Dagster's id of the run."""
        run_id = str(self.context.run.run_id)
        return Run(self.settings, self.models, run_id, datetime.now(UTC), self.say, self.writer.wait_s)

    @property
    def work(self) -> Work:
        """The memory of the run."""
        work: Work = self.context.resources.work
        return work

    @property
    def writer(self) -> Writer:
        """The lease of the run."""
        writer: Writer = self.context.resources.writer
        return writer

    @property
    def slices(self) -> list[str] | None:
        """The slices that were asked for; None when it is for the lake to say what is stale."""
        if self.partitions:
            return sorted(self.partitions)
        return None if self.work.slices is None else sorted(self.work.slices)

    @property
    def say(self) -> Callable[[str], None]:
        """Tell the run's log, and who waits for it, what is being done."""

        def say(text: str) -> None:
            self.context.log.info(text)
            self.work.progress(text)

        return say

    def materialized(self, key: AssetKey, partition: str | None, metadata: Mapping[str, Any]) -> None:
        """Report a slice: with the output that Dagster reports anyway, or by an event."""
        automatic = key in self.yielded and (partition in self.partitions if self.partitions else partition is None)
        if automatic and isinstance(self.context, AssetExecutionContext):
            self.context.add_asset_metadata(metadata, key, partition)
        else:
            self.context.log_event(AssetMaterialization(key, partition=partition, metadata=metadata))


def step_of(context: AssetExecutionContext) -> Step:
    """The step of an asset's function that yields what is selected of its assets."""
    is_partitioned = context.has_partition_key or context.has_partition_key_range
    specs = context.assets_def.specs_by_key
    yielded = {key for key in context.selected_asset_keys if (specs[key].partitions_def is not None) == is_partitioned}
    return Step(context, frozenset(yielded), frozenset(context.partition_keys) if is_partitioned else frozenset())


def land(step: Step) -> None:
    """Kafka to bronze."""
    with step.work.told():
        resources = step.context.resources
        # before the lease is taken: others may write meanwhile
        wait_s = step.work.transactions_wait_s
        left = [note for topic in BRONZE_TABLES for note in settle(resources.kafka, topic, wait_s, step.say)]
        step.writer.hold("tick")
        landed = ingest(resources.spark, step.run, resources.kafka, accept_gap=step.work.accept_gap)
        step.work.tick = replace(landed, notes=(*landed.notes, *left))
        for topic, count in landed.ingested.items():
            table = BRONZE_TABLES[topic].name
            if count or asset_key(table) in step.yielded:
                metadata = {"rows": count, "delta_version": str(version_of(step.settings, table) or 0)}
                step.materialized(asset_key(table), None, metadata)


def fill(step: Step) -> None:
    """Bronze to silver: what is new."""
    with step.work.told():
        step.writer.hold("tick")
        before = silver_versions(step.settings, step.models)
        landed = step.work.tick or TickReport()
        report = fill_silver(step.context.resources.spark, step.run)
        step.work.tick = replace(report, ingested=landed.ingested, notes=landed.notes)
        _report_silver(step, before)


def rebuild(step: Step) -> None:
    """Silver slices anew from bronze. Days in which silver has no records at all have none in bronze either."""
    with step.work.told():
        days = {day_of(slice_) for slice_ in stale_slices(step.settings, step.models).with_records}
        slices = [slice_ for slice_ in step.slices or () if day_of(slice_) in days]
        if not slices:
            step.say("no records in these slices")
            return
        before = silver_versions(step.settings, step.models)
        step.writer.give_back()  # the rebuild takes it itself
        step.work.rebuilt = rebuild_silver(step.context.resources.spark, step.run, slices)
        _report_silver(step, before)


def build(step: Step) -> bool:
    """Judge silver, and build the gold candidates of what passes; False when there is nothing to build."""
    work = step.work
    with work.told():
        _build_portion(step)
        work.is_prepared = True
        if work.prepared is None:
            step.say("nothing is stale")
            return False
    if work.prepared.plan is None:
        publish(step)
        return False
    return True


def _build_portion(step: Step) -> None:
    """The next portion of what there is to do; None is prepared when there is nothing left."""
    work = step.work
    with _begun_anew_on_failure(work):
        step.writer.hold("refresh of gold")
        work.portions = work.portions or portions(step.run, step.slices)
        work.prepared = next(work.portions, None)
        if work.prepared is not None and work.prepared.dbt is not None:
            step.say("gold candidates")
            run_dbt(step.settings, work.prepared.dbt, step.say)
            _report_candidates(step)


@contextmanager
def _begun_anew_on_failure(work: Work) -> Iterator[None]:
    """A step that is tried again asks the lake anew what there is to do: going on would take the portion that failed
    for one that is done, and what was published is stale no longer."""
    try:
        yield
    except LakehouseError:
        work.portions = work.prepared = None
        work.is_prepared = False
        raise


def publish(step: Step) -> None:
    """Judge the candidates and publish those that pass. Fails the run when a slice that it was asked for is held."""
    work = step.work
    if not work.is_prepared:  # gold alone was selected, another process built the candidates, or this is another try
        build(step)
    if work.prepared is None:
        return
    with work.told():
        while work.prepared is not None:
            with _begun_anew_on_failure(work):
                step.writer.hold("refresh of gold")
                portion = finish(step.run, work.prepared)
            for evaluation in evaluations(portion.verdicts):
                step.context.log_event(evaluation)  # type: ignore[arg-type]  # it takes them, though it does not say so
            _report_gold(step, portion)
            work.outcome = joined(work.outcome, portion)
            if not work.prepared.left:
                work.prepared = None
                break
            _build_portion(step)
    held = () if work.outcome is None else work.outcome.held
    asked = {verdict.slice for verdict in held} & step.partitions
    if asked:
        work.is_held = True
        raise Failure(_held_message(asked, held, len(step.partitions)), allow_retries=False)


def keep_up(step: Step) -> None:
    """Upkeep of every table."""
    with step.work.told():
        step.writer.hold("upkeep")
        step.work.upkeep = upkeep(step.run, step.context.resources.spark)


def _report_silver(step: Step, before: Mapping[str, int]) -> None:
    for table in silver_versions(step.settings, step.models):
        written = written_since(step.settings, table, before.get(table, -1))
        if written is None:
            continue
        key = asset_key(table)
        named = step.partitions or {None} if key in step.yielded else ()
        for span in spans(written.rows, {*written.touched, *named}, written.about):
            step.materialized(key, span.last, span.metadata | {"delta_version": str(written.version)})


def _report_candidates(step: Step) -> None:
    gold = {table.short_name for table in GOLD_TABLES}
    for name, rows in candidate_rows(step.settings).items():
        for span in spans(rows, rows):
            # a staging table has the rows of whatever slices were built
            metadata = span.metadata if name in gold else {"rows_together": f"{span.rows:,}"}
            step.materialized(AssetKey(["candidate", name]), span.last, metadata)


def _report_gold(step: Step, outcome: Outcome) -> None:
    publication = outcome.publication
    if publication is None:
        return
    if publication.first_slice:
        note_first_slice(step.settings, publication.first_slice)
    rows: dict[str, dict[Slice, int]] = {}
    for verdict in outcome.verdicts:
        for slice_ in verdict.slices:
            rows.setdefault(verdict.table, {})[partition_of(slice_)] = rows_at(verdict, slice_)
    shared = {"publication": str(publication.publication_id), "inputs": MetadataValue.json(dict(publication.inputs))}
    for table in GOLD_TABLES:
        judged = rows.get(table.name, {})
        published: list[Slice] = [None] if table in WHOLE else [s for s in publication.slices if s in judged]
        for span in spans(judged, published):
            version = {"delta_version": str(publication.tables[table.name])}
            step.materialized(asset_key(table.name), span.last, span.metadata | version | shared)


def _held_message(asked: Iterable[str], held: Iterable[Verdict], total: int) -> str:
    slices = sorted(asked)
    reasons = [f"{v.slice} {v.table}: {v.failures[0].message}" for v in held if v.slice in slices and v.failures]
    more = f" and {len(reasons) - _NAMED_IN_FAILURE} more" if len(reasons) > _NAMED_IN_FAILURE else ""
    return f"{len(slices)} of {total} slices are held: {'; '.join(reasons[:_NAMED_IN_FAILURE])}{more}."
