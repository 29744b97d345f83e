"""The gate: judging silver slices and gold candidates, and storing the verdicts.

Belongs here: which tables are judged, in which order, and what holds what. The checks are in `pipeline.gate.suites`,
the figures that they judge in `pipeline.gate.silver_profiles` and `pipeline.gate.gold_profiles`; refusing to publish
is in `publish`.

One judgement carries many slices: one profile and one validation a table, and still a verdict for each slice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lake.records.verdicts import Failure, Verdict, input_version, record_verdicts, verdicts_at, with_earlier_releases
from lake.slices import together
from lake.storage.duckdb_connection import connect
from lake.storage.page_checks import pages_checked
from lake.tables.contracts import Table
from lake.tables.gold import DAILY, HOURLY, UNSLICED, WHOLE
from lake.tables.silver import UNSLICED_SILVER
from pipeline.gate.candidates import attached, check_tables, read_plan
from pipeline.gate.gold_profiles import Gold
from pipeline.gate.silver_profiles import Silver
from pipeline.gate.suites import Suite, gold_suite, reading_suite, registry_suite, slice_suite
from pipeline.run import Run
from runtime.settings import Settings

_Profile = tuple[Suite, pd.DataFrame]
# so many slices that follow each other have a verdict each; more of them, as of a history, one together
_SINGLY = 24


@dataclass(frozen=True)
class Judgement:
    """The stored verdicts of one call; a released slice passes."""

    verdicts: tuple[Verdict, ...]

    @property
    def failing(self) -> tuple[Verdict, ...]:
        """The verdicts that hold a slice."""
        return tuple(verdict for verdict in self.verdicts if not verdict.is_passing)

    @property
    def held_hours(self) -> tuple[str, ...]:
        """Hours that some table fails, and which are therefore held in all of them."""
        return tuple(sorted({v.slice for v in self.failing if "T" in v.slice}))

    @property
    def must_rebuild(self) -> bool:
        """True when an unsliced gold table holds rows of held hours: build again without those, and judge again."""
        return any(v.slice == UNSLICED for v in self.failing) and bool(self.held_hours)


def judge_silver(
    run: Run,
    slices: Collection[str],
    inputs: Mapping[str, int],
    *,
    bronze_version: int,
    up_to_ingest_id: int,
    newest_slice: str | None = None,
) -> Judgement:
    """Judge slices of every silver table at `inputs` (table to Delta version), and the registry; store the verdicts.

    Raises StepError, and stores none, when a file of these slices is not as it was written.
    Bronze is counted at `bronze_version`, up to the `ingest_id` that silver has come to. Staleness is
    judged of `newest_slice` alone, the newest that the lake has, when it is among `slices`.
    """
    judged = list[_Profile]()
    with pages_checked(run.settings, inputs, slices), connect(run.settings) as connection:
        silver = Silver(connection, run.settings, run.models, inputs, tuple(sorted(set(slices))))
        for table in UNSLICED_SILVER:
            if table.name in inputs:
                judged.append((registry_suite(table), silver.registry(table)))
        if silver.slices:
            silver.prepare(bronze_version, up_to_ingest_id)
            for table in silver.reading_tables.values():
                suite = reading_suite(table, run.models.values())
                profile = _with_staleness(silver.readings(table), suite, silver, table, newest_slice)
                judged.append((suite, profile))
            judged.append((slice_suite(), silver.whole_slices()))
    return _stored(run.settings, _verdicts(judged, input_version(inputs), run))


def judge_gold(run: Run, candidates: Path) -> Judgement:
    """Judge every slice of the gold candidate in the DuckDB file `candidates`, and store the verdicts.

    Raises StepError when the file is not what its plan and the declared tables say.
    """
    settings = run.settings
    with attached(settings, candidates) as connection:
        plan = read_plan(connection)
        check_tables(connection, plan)
        version = input_version(plan.inputs)
        gold = Gold(connection, settings, run.models, plan)
        gold.prepare()

        def judged(tables: Iterable[Table]) -> list[Verdict]:
            planned = [table for table in tables if plan.slices_of(table)]
            return _verdicts([(gold_suite(table), gold.profile(table)) for table in planned], version, run)

        sliced = with_earlier_releases(settings, judged((*HOURLY, *DAILY)))
        of_silver = [v for v in verdicts_at(settings, version).values() if v.table.startswith("silver.")]
        gold.hold(set(Judgement((*sliced, *of_silver)).held_hours) & set(plan.hours))
        return _stored(settings, [*sliced, *judged(WHOLE)])


def _with_staleness(
    profile: pd.DataFrame, suite: Suite, silver: Silver, table: Table, newest_slice: str | None
) -> pd.DataFrame:
    """Add `staleness_s`, 0 for all slices but the newest, if the suite has a limit on it."""
    for check in suite.checks:
        if check.observed == "staleness_s":
            profile["staleness_s"] = 0
            if newest_slice is not None and newest_slice in silver.slices:
                age_s = silver.staleness_s(table, newest_slice, int(check.at_most))
                profile.loc[profile["slice"] == newest_slice, "staleness_s"] = age_s
    return profile


def _verdicts(judged: Sequence[_Profile], version: str, run: Run) -> list[Verdict]:
    from pipeline.gate.validation import all_failures  # takes seconds to import, and only judging needs it

    found = zip(judged, all_failures(judged), strict=True)
    return [verdict for each, failures in found for verdict in _of_table(each, failures, version, run)]


def _of_table(judged: _Profile, failures: Mapping[str, tuple[Failure, ...]], version: str, run: Run) -> list[Verdict]:
    suite, profile = judged
    rows = dict(zip(profile["slice"], map(int, profile["rows"]), strict=True))
    digest = suite.digest

    def verdict(slices: Sequence[str]) -> Verdict:
        first, last = slices[0], None if len(slices) == 1 else slices[-1]
        why = failures.get(first, ())
        count = sum(rows[slice_] for slice_ in slices)
        return Verdict(suite.table, first, version, not why, why, count, digest, run.run_id, run.now, last_slice=last)

    found = [verdict([slice_]) for slice_ in failures]
    for stretch in together(sorted(rows.keys() - failures.keys())):
        found += [verdict([slice_]) for slice_ in stretch] if len(stretch) <= _SINGLY else [verdict(stretch)]
    return sorted(found, key=lambda each: each.slice)


def _stored(settings: Settings, verdicts: Sequence[Verdict]) -> Judgement:
    final = with_earlier_releases(settings, verdicts)
    record_verdicts(settings, final)
    return Judgement(tuple(final))
