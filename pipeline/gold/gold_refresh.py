"""Silver to published gold: judge silver, plan, build, judge gold, publish.

Belongs here: which slices go into a build, and the order of the steps. Each step is in a module of its own.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from lake.code_version import code_version
from lake.local_days import days_touched
from lake.records.publications import Publication, newest
from lake.records.verdicts import Verdict, latest_failures
from lake.slices import day_of
from lake.storage.applications import App
from lake.storage.delta import version_of
from lake.storage.lease import writer_lease
from lake.storage.locations import candidate_path
from lake.storage.open_logs import open_logs
from lake.storage.retention import final_before
from lake.storage.spark_commits import is_changed_since, progress_of
from lake.tables.bronze import BRONZE_TELEMETRY
from lake.tables.gold import BUILT_UPON, DEVICE_MINUTES
from lake.tables.gold_kinds import COUNTER_MINUTES
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, SILVER_SITES, UNSLICED_SILVER
from pipeline.gate.judge import Judgement, judge_gold, judge_silver
from pipeline.gold.carried_hours import hours_that_depend, is_carrying
from pipeline.gold.damaged_days import check_not_held, damaged_days, with_whole_days
from pipeline.gold.dbt_process import Dbt, end_dbt, run_dbt, start_dbt
from pipeline.gold.declared_sites import declared_sites, is_rebuildable
from pipeline.gold.plan import GoldPlan, write_plan
from pipeline.gold.portions import Pace, first_portion
from pipeline.gold.publish import publish
from pipeline.gold.published_hours import published_silences
from pipeline.gold.silences import silences_amid
from pipeline.gold.stale import Stale, silver_versions, stale_slices
from pipeline.run import Run
from pipeline.silver.append import Models
from runtime.settings import Settings
from runtime.wording import counted

# a build reads these of what is published: newest values, and the hours and minutes of days that it builds a part of
_BUILT_UPON = tuple(table.name for table in (*BUILT_UPON, DEVICE_MINUTES, COUNTER_MINUTES))
# of the hours that are left, which follow those of a portion, more are in no local day that has some of both
_NEAR_HOURS = 48


@dataclass(frozen=True)
class Basis:
    """What gold is built upon: versions of silver's tables, what is stale in them, the publication before, silences.

    `held` are hours that portions before have judged and held, `left` some that follow, of portions to come: no day is
    built of either.
    """

    inputs: Mapping[str, int]
    stale: Stale
    publication: Publication | None
    models: Models
    silences: Sequence[tuple[str, str]] = ()
    held: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Prepared:
    """A written plan, the dbt that waits for it, and what silver's judgement said; None when every slice is held.

    `hours` are those that it is about, held or not, and `left` those that are to be built after it. `damaged` are days
    of which gold holds a damaged file, with what is wrong: they are replaced as a whole.
    """

    plan: GoldPlan | None
    dbt: Dbt | None
    verdicts: tuple[Verdict, ...]
    basis: Basis
    hours: Sequence[str] = ()
    left: Sequence[str] = ()
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
    outcome: Outcome | None = None
    for prepared in portions(run, slices):
        if prepared.dbt is not None:
            run.progress("gold candidates")
            run_dbt(run.settings, prepared.dbt, run.progress)
        outcome = joined(outcome, finish(run, prepared))
    return outcome


def portions(run: Run, slices: Sequence[str] | None = None) -> Iterator[Prepared]:
    """What there is to do, prepared portion by portion (see `portions`); each is to be finished before the next one."""
    done: set[str] = set()
    pace = Pace()
    prepared = prepare(run, slices)
    while prepared is not None:
        yield prepared
        if not prepared.left:
            return
        done.update(prepared.hours)
        run.progress(pace.said(len(done), len(prepared.left)))
        prepared = prepare(run, slices, done)


def joined(earlier: Outcome | None, later: Outcome) -> Outcome:
    """What portions one after the other came to."""
    if earlier is None:
        return later
    return Outcome(
        later.publication or earlier.publication,
        earlier.published + later.published,
        earlier.days + later.days,
        earlier.held + later.held,
        earlier.verdicts + later.verdicts,
    )


@open_logs()
def prepare(run: Run, slices: Sequence[str] | None = None, done: Collection[str] = ()) -> Prepared | None:
    """Judge the silver slices to build, and write the plan for those that pass; None when there is nothing to do.

    Stale and held slices are always among them, but for those that are `done` in portions before: a publication says of
    every slice it does not rebuild, and that is not left to a next one, that nothing has changed there.
    """
    basis = _basis(run)
    if SILVER_DEVICES.name not in basis.inputs:
        return None
    failing = {verdict.slice for verdict in latest_failures(run.settings) if "T" in verdict.slice}
    basis = replace(basis, stale=basis.stale.with_lost(failing, final_before(run.settings)))
    known = basis.stale.with_records | basis.stale.carried | basis.stale.gone
    held = failing & known
    asked = {*held, *(slice_ for slice_ in slices or () if slice_ in known)}.difference(basis.stale.hours, done)
    # what is held now, or no more, is carried into no later hour, or again
    asked |= hours_that_depend(run.settings, run.models, basis.publication, basis.inputs, asked, known)
    wanted = {*basis.stale.hours, *asked}.difference(done)
    if not wanted and not _registry_moved(run.settings, basis):
        return None
    hours, left = first_portion(sorted(wanted))
    damaged = damaged_days(run.settings, basis.publication, hours)
    for what in damaged.values():
        run.progress(f"{what}; the whole day is built anew")
    hours, stale = with_whole_days(hours, basis.stale, known, damaged)
    silences, near = _silences(run.settings, basis.publication, stale), frozenset(left[:_NEAR_HOURS])
    basis = replace(basis, stale=stale, silences=silences, held=frozenset(held.intersection(done)), left=near)
    run.progress(f"judging {counted(len(hours), 'slice')} of silver")
    with ExitStack() as unless_needed:
        dbt = start_dbt(run.settings)  # loads while silver is judged
        unless_needed.callback(end_dbt, dbt)
        judgement = _judged(run, basis, hours)
        bad = set(judgement.held_hours)
        check_not_held(damaged, bad)
        passing = [slice_ for slice_ in hours if slice_ not in bad]
        if hours and not passing:
            return Prepared(None, None, judgement.verdicts, basis, hours, left)
        plan = _plan(run.settings, passing, bad, basis)
        write_plan(run.settings, plan)
        unless_needed.pop_all()
    return Prepared(plan, dbt, judgement.verdicts, basis, hours, left, damaged)


def _basis(run: Run) -> Basis:
    inputs = silver_versions(run.settings, run.models)
    return Basis(inputs, stale_slices(run.settings, run.models), newest(run.settings), run.models)


def _registry_moved(settings: Settings, basis: Basis) -> bool:
    """True when a table of silver that has no slices has changed since the publication."""
    publication = basis.publication
    return publication is not None and any(
        is_changed_since(settings, table.name, publication.inputs.get(table.name, -1))
        for table in UNSLICED_SILVER
        if table.name in basis.inputs
    )


def _judged(run: Run, basis: Basis, hours: Sequence[str]) -> Judgement:
    return judge_silver(
        run,
        hours,
        basis.inputs,
        bronze_version=version_of(run.settings, BRONZE_TELEMETRY.name) or 0,
        up_to_ingest_id=progress_of(run.settings, SILVER_REJECTED.name, App.TELEMETRY),
        newest_slice=max(basis.stale.with_records, default=None),
    )


@open_logs()
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
    if judgement.must_rebuild or (bad and is_carrying(run.models)):
        run.progress("gold candidates without the held slices")
        bad |= {verdict.slice for verdict in silver_held if "T" in verdict.slice}
        smaller = _plan(settings, passing, bad, prepared.basis)
        write_plan(settings, smaller, keep_built=True)
        run_dbt(settings, start_dbt(settings), run.progress, after_holding=True)
        judgement = judge_gold(run, candidates)
        verdicts += judgement.verdicts
    run.progress("publishing")
    publication = publish(run, candidates, code_version=code_version(), pending=prepared.left)
    return Outcome(
        publication,
        [slice_ for slice_ in publication.slices if "T" in slice_],
        [slice_ for slice_ in publication.slices if "T" not in slice_],
        [verdict for verdict in verdicts if not verdict.is_passing],
        verdicts,
    )


def _plan(settings: Settings, hours: Sequence[str], held: set[str], basis: Basis) -> GoldPlan:
    """A day is built from all its hours with records, and only while none of them is held; from none, it is cleared.

    A date names the day of UTC and that of every zone, and all of them are built together. One that hours of several
    portions lie in is built with the last of those.
    """
    stale, publication = basis.stale, basis.publication
    with_records, changed = stale.with_records, stale.with_records | stale.emptied | stale.gone
    changed |= stale.carried
    zones = declared_sites(settings, basis.inputs.get(SILVER_SITES.name)).zones
    final = final_before(settings)
    touched = days_touched(zones, (slice_ for slice_ in hours if slice_ in changed))
    touched -= days_touched(zones, held | basis.held | basis.left)
    by_day: dict[str, list[str]] = {day: [] for day in sorted(touched) if is_rebuildable(zones, day, final)}
    for slice_ in sorted(with_records):
        if day_of(slice_) in by_day:
            by_day[day_of(slice_)].append(slice_)
    published = {} if publication is None else publication.tables
    earlier = {name: published[name] for name in _BUILT_UPON if name in published}
    has_data = {slice_: slice_ in with_records for slice_ in hours}
    gone, carried = stale.gone & has_data.keys(), stale.carried & has_data.keys()
    versions = {**basis.inputs, **earlier}
    return GoldPlan(has_data, by_day, versions, basis.models, gone, carried, basis.silences, held | basis.held)


def _silences(settings: Settings, publication: Publication | None, stale: Stale) -> list[tuple[str, str]]:
    """All silences; those before the first hour of which bronze still has all records are as they were published."""
    first = min(stale.with_records, default="")
    earlier = published_silences(settings, publication, first) if publication and final_before(settings) else []
    return [*earlier, *silences_amid(stale.with_records)]
