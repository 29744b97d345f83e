"""Silver to published gold: judge silver, plan, build, judge gold, publish.

Belongs here: which slices go into a build, and the order of the steps. Each step is in a module of its own.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from lake.code_version import code_version
from lake.records.publications import Publication, newest
from lake.records.verdicts import Verdict, latest_failures
from lake.slices import day_of
from lake.storage.applications import App
from lake.storage.delta import version_of
from lake.storage.lease import writer_lease
from lake.storage.locations import candidate_path
from lake.storage.spark_commits import is_changed_since, progress_of
from lake.tables.bronze import BRONZE_TELEMETRY
from lake.tables.gold import DEVICE_HOURS, DEVICE_LATEST
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, UNSLICED_SILVER
from pipeline.gate.judge import judge_gold, judge_silver
from pipeline.gold.damaged_days import check_not_held, damaged_days, with_whole_days
from pipeline.gold.dbt_process import Dbt, end_dbt, run_dbt, start_dbt
from pipeline.gold.plan import GoldPlan, write_plan
from pipeline.gold.publish import publish
from pipeline.gold.stale import Stale, silences_between, silver_versions, stale_slices
from pipeline.run import Run
from pipeline.silver.append import Models


@dataclass(frozen=True)
class Prepared:
    """A written plan, the dbt that waits for it, and what silver's judgement said; None when every slice is held.

    `damaged` are days of which gold holds a damaged file, with what is wrong: they are replaced as a whole.
    """

    plan: GoldPlan | None
    dbt: Dbt | None
    verdicts: tuple[Verdict, ...]
    stale: Stale
    damaged: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a refresh came to: the publication (None when nothing could be published), hours and days, verdicts."""

    publication: Publication | None
    published: list[str]
    days: list[str]
    held: list[Verdict]
    verdicts: list[Verdict]


def refresh_gold(run: Run, slices: Sequence[str] | None = None) -> Outcome | None:
    """Rebuild, judge and publish what is stale, and `slices`; None when there is nothing to do."""
    with writer_lease(run.settings, "refresh of gold", run.wait_s):
        return publish_stale(run, slices)


def publish_stale(run: Run, slices: Sequence[str] | None = None) -> Outcome | None:
    """The same for a caller that holds the lease."""
    prepared = prepare(run, slices)
    if prepared is None:
        return None
    if prepared.dbt is not None:
        run.progress("gold candidates")
        run_dbt(run.settings, prepared.dbt, run.progress)
    return finish(run, prepared)


def prepare(run: Run, slices: Sequence[str] | None = None) -> Prepared | None:
    """Judge the silver slices to build, and write the plan for those that pass; None when there is nothing to do.

    Stale and held slices are always among them: a publication says of every slice it does not rebuild that nothing
    has changed there.
    """
    settings, models = run.settings, run.models
    inputs = silver_versions(settings, models)
    if SILVER_DEVICES.name not in inputs:
        return None
    stale = stale_slices(settings, models)
    known = stale.with_records | set(silences_between(stale.with_records)) | stale.gone
    held = {verdict.slice for verdict in latest_failures(settings) if verdict.slice in known}
    hours = sorted({*stale.hours, *held, *(slice_ for slice_ in slices or () if slice_ in known)})
    publication = newest(settings)
    registry_moved = publication is not None and any(
        is_changed_since(settings, table.name, publication.inputs.get(table.name, -1))
        for table in UNSLICED_SILVER
        if table.name in inputs
    )
    if not hours and not registry_moved:
        return None
    damaged = damaged_days(settings, publication, hours)
    for what in damaged.values():
        run.progress(f"{what}; the whole day is built anew")
    hours, stale = with_whole_days(hours, stale, known, damaged)
    run.progress(f"judging {len(hours)} slices of silver")
    with ExitStack() as unless_needed:
        dbt = start_dbt(settings)  # loads while silver is judged
        unless_needed.callback(end_dbt, dbt)
        judgement = judge_silver(
            run,
            hours,
            inputs,
            bronze_version=version_of(settings, BRONZE_TELEMETRY.name) or 0,
            up_to_ingest_id=progress_of(settings, SILVER_REJECTED.name, App.TELEMETRY),
            newest_slice=max(stale.with_records, default=None),
        )
        bad = set(judgement.held_hours)
        check_not_held(damaged, bad)
        passing = [slice_ for slice_ in hours if slice_ not in bad]
        if hours and not passing:
            return Prepared(None, None, judgement.verdicts, stale)
        plan = _plan(passing, bad, stale, inputs, publication, models)
        write_plan(settings, plan)
        unless_needed.pop_all()
    return Prepared(plan, dbt, judgement.verdicts, stale, damaged)


def finish(run: Run, prepared: Prepared) -> Outcome:
    """Judge the built candidates and publish those that pass. Raises GateError, StepError."""
    settings, plan = run.settings, prepared.plan
    silver_held = [verdict for verdict in prepared.verdicts if not verdict.is_passing]
    if plan is None:
        return Outcome(None, [], [], silver_held, list(prepared.verdicts))
    run.progress("judging gold")
    candidates = candidate_path(settings)
    judgement = judge_gold(run, candidates)
    verdicts = [*prepared.verdicts, *judgement.verdicts]
    bad = set(judgement.held_hours)
    check_not_held(prepared.damaged, bad)
    passing = [slice_ for slice_ in plan.hours if slice_ not in bad]
    if plan.hours and not passing:
        return Outcome(None, [], [], [v for v in verdicts if not v.is_passing], verdicts)
    if judgement.must_rebuild:
        run.progress("gold candidates without the held slices")
        smaller = _plan(passing, bad, prepared.stale, plan.versions, newest(settings), run.models)
        write_plan(settings, smaller, keep_built=True)
        run_dbt(settings, start_dbt(settings), run.progress, after_holding=True)
        judgement = judge_gold(run, candidates)
        verdicts += judgement.verdicts
    run.progress("publishing")
    publication = publish(run, candidates, code_version=code_version())
    return Outcome(
        publication,
        [slice_ for slice_ in publication.slices if "T" in slice_],
        [slice_ for slice_ in publication.slices if "T" not in slice_],
        [verdict for verdict in verdicts if not verdict.is_passing],
        verdicts,
    )


def _plan(
    hours: Sequence[str],
    held: set[str],
    stale: Stale,
    inputs: Mapping[str, int],
    publication: Publication | None,
    models: Models,
) -> GoldPlan:
    """A day is built from all its hours with records, and only while none of them is held; from none, it is cleared."""
    held_days = {day_of(slice_) for slice_ in held}
    with_records, changed = stale.with_records, stale.with_records | stale.emptied | stale.gone
    days = sorted({day_of(slice_) for slice_ in hours if slice_ in changed} - held_days)
    by_day: dict[str, list[str]] = {day: [] for day in days}
    for slice_ in sorted(with_records):
        if day_of(slice_) in by_day:
            by_day[day_of(slice_)].append(slice_)
    published = {} if publication is None else publication.tables
    earlier = {name: published[name] for name in (DEVICE_HOURS.name, DEVICE_LATEST.name) if name in published}
    has_data = {slice_: slice_ in with_records for slice_ in hours}
    return GoldPlan(has_data, by_day, {**inputs, **earlier}, models, stale.gone & has_data.keys())
