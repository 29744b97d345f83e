"""Upkeep: old rows dropped, small files compacted, files and log entries that nothing needs deleted.

Belongs here: what is kept and for how long, and the order of the steps. How a table's files and log are read is in
`lake.storage.log_files`, compaction in `lake.storage.compaction`.

No step changes a row of published gold, and each is safe to repeat: publications are let go before the files that they
pin, so that a publication that is listed can be read, whenever upkeep is killed. Tables come in the order of the
layers: bronze says which slices are final before silver loses any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from deltalake import DeltaTable

from ingestion.bronze_ingest import BRONZE_TABLES
from lake.models.catalog import Model, silver_tables
from lake.records import publications
from lake.records.publications import Publication
from lake.storage.applications import App
from lake.storage.compaction import Compaction, compact, due
from lake.storage.delta import newest_metadata, open_table, require_table
from lake.storage.lake_files import LakeFiles, StoredFile
from lake.storage.log_files import KeptVersions, checkpoint, current_at, droppable_log, table_files, unread_files
from lake.storage.retention import cutoffs, drop_before, has_before
from lake.storage.spark_commits import newest_commit, progress_of
from lake.tables.contracts import Table
from lake.tables.every import FIXED_TABLES
from lake.tables.ops import OPS_HOT_RECONCILIATION
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED
from pipeline.run import Run
from runtime.settings import Settings
from runtime.spark.connect_server import SparkSource
from runtime.wording import counted

# the newest checkpoint is written anew when a reader would have to read more commits than this beside it
_COMMITS_WITHOUT_CHECKPOINT = 20


@dataclass(frozen=True)
class TableUpkeep:
    """What there is to do in a table: rows of days before `drop_before` to take out, files to compact, data files and
    log files to delete, a checkpoint to write."""

    table: Table
    drop_before: date | None
    compaction: Compaction
    unread: tuple[StoredFile, ...]
    log: tuple[StoredFile, ...]
    needs_checkpoint: bool

    @property
    def is_nothing(self) -> bool:
        """True when the table is in order."""
        return not (self.drop_before or self.compaction.dates or self.unread or self.log or self.needs_checkpoint)


@dataclass(frozen=True)
class Upkeep:
    """What upkeep does, or did: table by table, and the ids of the publications that are let go."""

    tables: tuple[TableUpkeep, ...]
    expired: tuple[int, ...]


def plan_upkeep(settings: Settings, models: Mapping[str, Model], *, now: datetime) -> Upkeep:
    """What there is to do at `now`; looks and writes nothing."""
    everything = publications.list_all(settings)
    kept = _kept(everything, now - timedelta(days=settings.keep_publications_days))
    expired = tuple(each.publication_id for each in everything if each not in kept)
    plans = []
    drops = cutoffs(settings, (*silver_tables(models.values()), SILVER_REJECTED.name), now)
    for table in every_table(models):
        opened = open_table(settings, table.name)
        if opened is not None:
            plans.append(_table_plan(settings, table, opened, kept, drops.get(table.name), now))
    return Upkeep(tuple(plans), expired)


def upkeep(run: Run, spark: SparkSource) -> Upkeep:
    """Do what `plan_upkeep` finds, and return it. The caller holds the lease. Raises StepError."""
    settings = run.settings
    plan = plan_upkeep(settings, run.models, now=run.now)
    if plan.expired:
        run.progress(f"letting go {counted(len(plan.expired), 'publication')}")
        publications.forget(settings, max(plan.expired) + 1)
    files = LakeFiles(settings)
    for each in plan.tables:
        if each.is_nothing:
            continue
        run.progress(each.table.name)
        if each.drop_before is not None:
            drop_before(spark(), settings, each.table.name, each.drop_before)
        opened = require_table(settings, each.table.name)
        compact(settings, spark, each.table, opened, each.compaction)
        if each.needs_checkpoint:
            checkpoint(files, require_table(settings, each.table.name), each.table.name)
        files.delete(file.path for file in (*each.unread, *each.log))
    return plan


def every_table(models: Mapping[str, Model]) -> list[Table]:
    """Every declared table, of the layers in their order."""
    tables = {table.name: table for table in (*FIXED_TABLES, *silver_tables(models.values()).values())}
    return [tables[name] for name in sorted(tables)]


def _kept(everything: Sequence[Publication], cutoff: datetime) -> list[Publication]:
    """The publications since the cutoff, and the newest whatever its age."""
    return [each for each in everything if each.published_at >= cutoff] or list(everything[-1:])


def _table_plan(
    settings: Settings, table: Table, opened: DeltaTable, kept: Sequence[Publication], drop: date | None, now: datetime
) -> TableUpkeep:
    files = LakeFiles(settings)
    lying = table_files(files, table.name)
    newest = opened.version()
    before = (now - timedelta(hours=settings.keep_files_hours)).timestamp()
    since = current_at(lying, newest, before)
    pinned = {p for each in kept if (p := {**each.inputs, **each.tables}.get(table.name)) is not None and p <= newest}
    may_be_read = KeptVersions(require_table(settings, table.name, min([since, *pinned])), pinned, since, newest)
    progress = {since, *pinned, *_progress_versions(settings, table)}
    return TableUpkeep(
        table,
        drop if drop is not None and has_before(opened, table.name, drop) else None,
        due(opened, table, now.astimezone(UTC).date()),
        tuple(unread_files(files, lying, may_be_read, before)),
        tuple(droppable_log(lying, min(progress))),
        newest - max(lying.checkpoints, default=0) > _COMMITS_WITHOUT_CHECKPOINT,
    )


def _progress_versions(settings: Settings, table: Table) -> list[int]:
    """Versions whose commits say how far the line has come: where bronze stands in Kafka, what is judged anew."""
    if table in BRONZE_TABLES.values():
        commit = newest_commit(settings, table.name, "offsets")
        return [] if commit is None else [commit.version]
    if table == SILVER_DEVICES:
        return [max(0, progress_of(settings, SILVER_REJECTED.name, App.REJUDGE))]
    if table == OPS_HOT_RECONCILIATION:
        said = newest_metadata(settings, table.name, "windows")
        return [] if said is None else [said[0]]
    return []
