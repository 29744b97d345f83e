"""Verifying a publication: silver and gold of it once more from bronze, beside the lake, and row by row the same?

Belongs here: what is rebuilt, from how much of bronze, and the comparison. The rebuild calls the very steps that fill
the lake, on a lake of its own in the folder `_verify`; the lake itself is only read.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta

import duckdb
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lake.local_days import days_held, days_touched
from lake.models.kind_columns import kind_columns
from lake.models.kinds import carried_hours
from lake.reading.site_periods import NEEDS, SITE_PERIODS
from lake.records import gold_hashes
from lake.records.publications import Publication
from lake.slices import day_of, predicate, slices_of_day, slices_of_runs
from lake.storage.applications import App
from lake.storage.delta import open_table
from lake.storage.duckdb_connection import connect, scan
from lake.storage.lake_files import LakeFiles
from lake.storage.lease import writer_lease
from lake.storage.locations import table_uri
from lake.storage.retention import final_before
from lake.storage.slice_files import records_by_slice
from lake.storage.spark_commits import append_once, ensure_table, read_table
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY, OF_TELEMETRY
from lake.tables.contracts import Table
from lake.tables.gold import DAILY, DEVICE_SILENCES, GOLD_TABLES, HOURLY, UNSLICED
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, SILVER_SITES, UNSLICED_SILVER
from pipeline.gate.candidates import SCHEMA, attached
from pipeline.gold.declared_sites import declared_sites
from pipeline.gold.plan import GoldPlan, build_candidates
from pipeline.gold.silences import silences_amid, silent_hours
from pipeline.gold.stale import silver_versions, stale_slices
from pipeline.proof.comparison import Comparison, compare
from pipeline.run import Progress, silent
from pipeline.silver.append import Models, ensure_silver, rebuild_slices
from pipeline.silver.device_registry import update_registry
from pipeline.silver.stored import newest_rows
from runtime.errors import StepError
from runtime.settings import Settings

_RUN = "verify"
_UNSLICED = frozenset(table.name for table in UNSLICED_SILVER)
# what one rebuild takes at once: it bounds the memory, and each costs some seconds whatever its size
_RECORDS_AT_ONCE = 3_000_000


@dataclass(frozen=True)
class Verification:
    """What verifying a publication came to. `notes` say what has changed since that decides figures."""

    publication: Publication
    comparisons: tuple[Comparison, ...]
    damages: tuple[gold_hashes.Damage, ...]
    notes: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """True when all of it is as it was published."""
        return not self.damages and all(comparison.is_same for comparison in self.comparisons)


def verify(spark: SparkSession, settings: Settings, models: Models, publication: Publication, *, code_version: str,
           progress: Progress = silent) -> Verification:  # fmt: skip
    """Rebuild what `publication` pins from bronze and compare. Raises LeaseError while another one verifies."""
    progress("hashing the files of gold")
    damages = tuple(gold_hashes.damaged(settings, publication))
    ours = {model_id: model for model_id, model in models.items() if model_id in publication.models}
    with lake_beside(settings) as beside:
        rebuilding = _Rebuilding(spark, settings, beside, publication, ours, progress)
        _copy_bronze(rebuilding)
        _rebuild_silver(rebuilding, final := final_before(settings))
        # what is still to be built is of an earlier publication, as what is held is
        held = {*(str(entry["slice"]) for entry in publication.held), *slices_of_runs(publication.pending)}
        zones = declared_sites(settings, publication.inputs.get(SILVER_SITES.name)).zones
        plan = _plan(beside, ours, (held, zones), is_by_hour=DEVICE_SILENCES.name not in publication.tables)
        progress("gold")
        candidates = build_candidates(beside, plan, progress)
        progress("comparing")
        with attached(beside, candidates) as connection:
            silver = [
                compare(connection, name, _pinned(settings, publication, name), scan(table_uri(beside, name), version),
                        _since(final) if name not in _UNSLICED else "true")
                for name, version in plan.versions.items()
            ]  # fmt: skip
            gold = [
                _compare_gold(
                    connection, settings, publication, table, (held, zones, _compared_from(table, ours, final))
                )
                for table in GOLD_TABLES
                if table.kind is None or table.name in publication.tables
            ]  # else it is older than the table
            periods = _compare_periods(connection, settings, publication, is_whole=not (held or final))
    notes = tuple(_notes(publication, models, code_version))
    return Verification(publication, (*silver, *gold, *periods), damages, notes)


@contextmanager
def lake_beside(settings: Settings) -> Iterator[Settings]:
    """A lake of its own beside the lake, empty now and gone afterwards; what a killed verification left goes first.

    Only one at a time: raises LeaseError while another process has it.
    """
    beside = replace(settings, home=settings.work_folder / _RUN, lake_uri=f"{settings.lake_uri}/_{_RUN}")
    with writer_lease(beside, "verification of a publication"):
        _sweep(beside)
        try:
            yield beside
        finally:
            _sweep(beside)


def _sweep(beside: Settings) -> None:
    for layer in ("bronze", "silver"):
        LakeFiles(beside).delete_folder(layer)


@dataclass(frozen=True)
class _Rebuilding:
    """What is rebuilt of a publication, with its models, from the lake of `settings` in the one `beside` it."""

    spark: SparkSession
    settings: Settings
    beside: Settings
    publication: Publication
    models: Models
    progress: Progress


def _copy_bronze(of: _Rebuilding) -> None:
    """Bronze up to where the pinned silver had come, and silver's tables with no rows and that progress."""
    spark, settings, beside, publication = of.spark, of.settings, of.beside, of.publication
    pinned = open_table(settings, SILVER_REJECTED.name, publication.inputs[SILVER_REJECTED.name])
    for table, app in ((BRONZE_TELEMETRY, App.TELEMETRY), (BRONZE_LIFECYCLE, App.LIFECYCLE)):
        of.progress(f"copying {table.name}")
        reached = None if pinned is None else pinned.transaction_version(app)
        ensure_table(lambda: spark, beside, table)
        if reached is not None:
            rows = read_table(spark, settings, table.name).where(F.col("ingest_id") <= reached)
            append_once(rows, beside, table, App.INGEST, int(reached), {"step": _RUN})
    ensure_silver(lambda: spark, beside, of.models)
    reached = None if pinned is None else pinned.transaction_version(App.TELEMETRY)
    if reached is not None:
        nothing = read_table(spark, beside, SILVER_REJECTED.name).limit(0)
        append_once(nothing, beside, SILVER_REJECTED, App.TELEMETRY, int(reached), {"step": _RUN})


def _rebuild_silver(of: _Rebuilding, final: str) -> None:
    """Slices before `final` are left out, as bronze no longer has all of them."""
    spark, settings, beside, models, publication = of.spark, of.settings, of.beside, of.models, of.publication
    of.progress(SILVER_DEVICES.name)
    update_registry(beside, models, _RUN)
    records: dict[str, int] = {}
    for name, version in publication.inputs.items():
        opened = None if name in _UNSLICED else open_table(settings, name, version)
        for slice_, count in ({} if opened is None else records_by_slice(settings, name, opened)).items():
            if slice_ >= final:
                records[slice_] = records.get(slice_, 0) + count
    for slices in _portions(records):
        of.progress(f"silver {slices[0]} to {slices[-1]}")
        rebuild_slices(lambda: spark, beside, models, list(slices), _RUN)
    tables = {model.table for model in models.values()} | {SILVER_REJECTED.name}
    bronze, *silver = (f"SELECT topic FROM {newest_rows(beside, name)}" for name in (BRONZE_TELEMETRY.name, *tables))
    of_silver, n = f"FROM ({' UNION ALL '.join(silver)}) WHERE {OF_TELEMETRY}", "SELECT count(*)"
    with connect(beside) as connection:  # Spark takes longer to plan it
        ((copied, judged),) = connection.sql(f"SELECT ({n} FROM ({bronze})), ({n} {of_silver})").fetchall()
    if judged != copied and not final:
        raise StepError(
            f"Of {copied} messages that publication {publication.publication_id} was made of {copied - judged} lie in "
            "hours of which its silver has nothing: run `lakehouse status`, then `lakehouse backfill` those hours."
        )


def _portions(records: Mapping[str, int]) -> Iterator[Sequence[str]]:
    """The slices in order, as many at once as a rebuild may take."""
    portion, total = list[str](), 0
    for slice_ in sorted(records):
        if portion and total + records[slice_] > _RECORDS_AT_ONCE:
            yield portion
            portion, total = [], 0
        portion.append(slice_)
        total += records[slice_]
    if portion:
        yield portion


def _plan(beside: Settings, models: Models, held_of: tuple[set[str], Collection[str]], *, is_by_hour: bool) -> GoldPlan:
    """All of gold at once, without what was held; silences as ranges, or by hour as earlier publications have them."""
    held, zones = held_of
    stale = stale_slices(beside, models)
    with_records, carried = stale.with_records, frozenset() if is_by_hour else stale.carried
    hours = (with_records | carried | set(silent_hours(with_records) if is_by_hour else ())) - held
    silences = [] if is_by_hour else silences_amid(with_records)
    touched = days_touched(zones, with_records | carried) - days_held(zones, held)
    days: dict[str, list[str]] = {day: [] for day in touched}
    for slice_ in sorted(with_records):
        if day_of(slice_) in days:
            days[day_of(slice_)].append(slice_)
    has_data = {slice_: slice_ in with_records for slice_ in hours}
    return GoldPlan(has_data, days, silver_versions(beside, models), models, carried=carried & hours, silences=silences)


def _compare_gold(connection: duckdb.DuckDBPyConnection, settings: Settings, publication: Publication, table: Table,
                  without: tuple[set[str], Collection[str], str]) -> Comparison:  # fmt: skip
    """A gold table less what is held or final: those rows, and the newest ones a device, may be of an earlier one.

    `without` are the held slices, the zones by which days are cut, and the first day that is compared.
    """
    held, zones, final = without
    if (held or final) and table not in (*HOURLY, *DAILY):
        return Comparison(table.name, left_out=(UNSLICED,))
    days = sorted(days_held(zones, held))
    if final and table in DAILY and len(set(zones)) > 1:
        days = sorted({*days, final})  # some zone's day of that date began before it
    hours = sorted(held) if table in HOURLY else [hour for day in days for hour in slices_of_day(day)]
    left_out = ([f"all before {final}"] if final else []) + (hours if table in HOURLY else days)
    others = f"NOT ({predicate(hours)})" + (f" AND {_since(final)}" if table in (*HOURLY, *DAILY) else "")
    pinned = _pinned(settings, publication, table.name)
    rebuilt = f"{SCHEMA}.{table.short_name}"
    return replace(compare(connection, table.name, pinned, rebuilt, others), left_out=tuple(left_out))


def _compare_periods(connection: duckdb.DuckDBPyConnection, settings: Settings, publication: Publication, *,
                     is_whole: bool) -> list[Comparison]:  # fmt: skip
    """Weeks and months of sites: what the views say over the pinned tables, and over those built anew.

    What is held or final is missing from the days built anew, and so are the sums that it is part of: then none is
    compared.
    """
    pinned = {name: _pinned(settings, publication, name) for name in NEEDS}
    if not all(pinned.values()):
        return []  # it is older than the calendar
    return [
        compare(connection, view.name, f"({view.select(lambda name: str(pinned[name]))})",
                f"({view.select(lambda name: f'candidate.{name}')})")
        if is_whole
        else Comparison(view.name, left_out=(UNSLICED,))
        for view in SITE_PERIODS
    ]  # fmt: skip


def _compared_from(table: Table, models: Models, final: str) -> str:
    """The first day of which a gold table is compared: hours may carry from days that bronze no longer has."""
    if not final or table.kind is None:
        return final
    reach = carried_hours(each.kind for each in kind_columns(models.values()))
    return str(date.fromisoformat(final) + timedelta(days=-(-reach // 24)))


def _since(final: str) -> str:
    return f"event_date >= DATE '{final}'" if final else "true"


def _pinned(settings: Settings, publication: Publication, table: str) -> str | None:
    version = {**publication.inputs, **publication.tables}.get(table)
    return None if version is None else scan(table_uri(settings, table), version)


def _notes(publication: Publication, models: Models, code_version: str) -> Iterator[str]:
    if publication.code_version != code_version:
        yield f"it was made by version {publication.code_version} of the code, this is {code_version}"
    for model_id, digest in sorted(publication.models.items()):
        if model_id not in models:
            yield f"the model {model_id} is not declared any more"
        elif models[model_id].digest != digest:
            yield f"the model {model_id} or its limits have changed since"
