"""Publishing: judged gold slices into the gold Delta tables, then one record that moves all readers.

Belongs here: refusing what has no passing verdict, the commits and their order, what a publication says. Judging is in
`gate`, storing records in `lake.records.publications`.

Readers see nothing of the commits before the record, which is written last and alone. What a killed run committed and
never published is rolled back first, so that it cannot ride along with a later publication.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lake.local_days import days_held
from lake.records import gold_hashes, publications
from lake.records.publications import Publication
from lake.records.verdicts import Verdict, held_entry, input_version, latest_failures, verdicts_at
from lake.slices import day_of, predicate, runs_of, slices_of_day
from lake.storage.delta import arrow_schema, replace, require_table, roll_back
from lake.tables.contracts import Table
from lake.tables.gold import (
    BUILT_UPON,
    DAILY,
    DEVICE_COMPLETENESS,
    GOLD_TABLES,
    HOURLY,
    UNSLICED,
    WHOLE,
)
from lake.tables.silver import UNSLICED_SILVER
from pipeline.gate.candidates import SCHEMA, Plan, attached, check_tables, read_plan
from pipeline.gold.published_hours import hours_of
from pipeline.run import Run
from runtime.errors import GateError, StepError
from runtime.settings import Settings

Verdicts = Mapping[tuple[str, str], Verdict]
_BATCH_ROWS = 100_000
# a commit keeps some 0.6 MB for each date that it writes, and takes the time of many small files
_DATES_A_COMMIT = 300
_HOURS_A_DAY = 24
_SHOWN = 5
# what a build reads of earlier gold; a publication in between would be undone by a candidate built upon an older one
_BUILT_UPON = tuple(table.name for table in BUILT_UPON)


def publish(run: Run, candidates: Path, *, code_version: str, pending: Collection[str] = ()) -> Publication:
    """Publish the passing slices of the gold candidate in the DuckDB file `candidates`; held ones are passed over.

    `pending` are slices that are still to be built from the same inputs: they stay stale.

    An hour needs a passing verdict in every silver and every hourly gold table, a day in every daily table and no held
    hour. Raises GateError when a verdict is missing, when an unsliced table does not pass, or when all that was planned
    is held; StepError when the candidate was built upon another publication, or a commit fails. Then nothing is
    published. Published again by the same run it changes nothing.
    """
    settings = run.settings
    with attached(settings, candidates) as connection:
        plan = read_plan(connection)
        check_tables(connection, plan)
        verdicts = verdicts_at(settings, input_version(plan.inputs))
        held = _held(settings, verdicts)
        hours, days = _to_publish(plan, verdicts, held)
        previous = publications.newest(settings)
        if previous is not None and _is_done(previous, plan, [*hours, *days], run.run_id):
            return previous
        _check_basis(plan, previous)
        tables = {
            t.name: roll_back(settings, t, previous.tables.get(t.name, 0) if previous else 0) for t in GOLD_TABLES
        }
        metadata = {"step": "publish", "inputs": dict(plan.inputs), "slices": runs_of(hours), "run_id": run.run_id}
        for table in GOLD_TABLES:
            slices = hours if table in HOURLY else days if table in DAILY else [UNSLICED]
            if slices and not _stays_empty(connection, settings, table):
                tables[table.name] = _commit(connection, settings, table, slices, metadata)
    first, last = _span(settings, previous, [hour for hour in hours if hour not in plan.gone], plan, tables)
    publication = Publication(
        publication_id=previous.publication_id + 1 if previous else 1,
        published_at=run.now,
        tables=tables,
        inputs=plan.inputs,
        slices=(*hours, *days),
        held=tuple(held_entry(verdict) for verdict in held),
        releases=tuple(_releases(previous, verdicts, {*hours, *days, UNSLICED})),
        first_slice=first,
        last_slice=last,
        models={model_id: model.digest for model_id, model in run.models.items()},
        code_version=code_version,
        run_id=run.run_id,
        pending=tuple(runs_of(pending)),
    )
    gold_hashes.record(settings, publication.publication_id, previous.tables if previous else {}, tables)
    publications.record(settings, publication)
    return publication


def _span(
    settings: Settings, previous: Publication | None, hours: Collection[str], plan: Plan, tables: Mapping[str, int]
) -> tuple[str, str]:
    """The first and the last hour that completeness covers, asked of it when hours have left it; empty without any."""
    if previous is None or not previous.first_slice:
        covered = set(hours)
    elif plan.gone:
        covered = {*hours, *hours_of(settings, tables[DEVICE_COMPLETENESS.name])}
    else:
        covered = {*hours, previous.first_slice, previous.last_slice}
    return min(covered, default=""), max(covered, default="")


def _held(settings: Settings, verdicts: Verdicts) -> list[Verdict]:
    """What is held now: what fails at this input version, and what failed before and is not judged at this one."""
    judged = {slice_ for _, slice_ in verdicts}
    earlier = [verdict for verdict in latest_failures(settings) if verdict.slice not in judged]
    now = [verdict for verdict in verdicts.values() if not verdict.is_passing]
    return sorted([*earlier, *now], key=lambda verdict: (verdict.slice, verdict.table))


def _to_publish(plan: Plan, verdicts: Verdicts, held: Sequence[Verdict]) -> tuple[list[str], list[str]]:
    """The hours and days of the plan that may be published. Raises GateError."""
    whole = [table.name for table in UNSLICED_SILVER if table.name in plan.inputs]
    silver = [name for name in plan.inputs if name not in whole]
    needed = [(name, hour) for hour in plan.hours for name in (*silver, *(table.name for table in HOURLY))]
    needed += [(table.name, day) for day in plan.days for table in DAILY]
    unsliced = [(name, UNSLICED) for name in (*whole, *(table.name for table in WHOLE))]
    missing = [place for place in (*needed, *unsliced) if place not in verdicts]
    if missing:
        raise GateError(
            f"No verdict is stored for {_listed(f'{name} {slice_}' for name, slice_ in missing)} at the versions that "
            "the candidate was built from: judge it before publishing (lakehouse refresh does both)."
        )
    failing = [verdict for verdict in held if verdict.slice == UNSLICED and (verdict.table, UNSLICED) in unsliced]
    held_slices = {verdict.slice for verdict in held}
    # a day with a held hour is held, whichever zone's day it is
    held_days = days_held(plan.zones, held_slices)
    hours = [hour for hour in plan.hours if hour not in held_slices]
    days = [day for day in plan.days if day not in held_days]
    if failing or ((plan.hours or plan.days) and not hours and not days):
        reasons = _listed(f"{v.table} {v.slice}: {f.message}" for v in failing or held for f in v.failures)
        raise GateError(f"Nothing is published, since {reasons}. 'lakehouse status' lists what is held.")
    return hours, days


def _check_basis(plan: Plan, previous: Publication | None) -> None:
    published = dict(previous.tables) if previous else {}
    expected = {name: published[name] for name in {*_BUILT_UPON, *plan.published} if name in published}
    if dict(plan.published) != expected:
        raise StepError(
            f"The gold candidate was built upon {dict(plan.published) or 'nothing'}, and published is now "
            f"{expected or 'nothing'}. Build gold again."
        )


def _is_done(previous: Publication, plan: Plan, slices: Sequence[str], run_id: str) -> bool:
    """True when this very run published this very candidate and was interrupted after that."""
    return previous.run_id == run_id and previous.inputs == plan.inputs and previous.slices == tuple(slices)


def _commit(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: Table,
    slices: Sequence[str],
    metadata: Mapping[str, Any],
) -> int:
    """Replace slices of a gold table by the candidate's rows; a slice without rows is cleared. Returns the version."""
    if table not in (*HOURLY, *DAILY):
        return _replace(connection, settings, table, None, metadata)
    version = 0
    for some in _whole_dates_apart(slices) if table in HOURLY else [slices]:
        for part in _of_dates(some):
            hours = part if table in HOURLY else [hour for day in part for hour in slices_of_day(day)]
            version = _replace(connection, settings, table, predicate(hours), metadata)
    return version


def _stays_empty(connection: duckdb.DuckDBPyConnection, settings: Settings, table: Table) -> bool:
    """Whether there is no row of a table, neither in the candidate nor published: nothing is to be committed."""
    rows = connection.sql(f"SELECT count(*) FROM {SCHEMA}.{table.short_name}").fetchall()[0][0]
    return rows == 0 and require_table(settings, table.name).get_add_actions().num_rows == 0


def _of_dates(slices: Sequence[str]) -> Iterator[Sequence[str]]:
    """Slices in order, as many as lie in _DATES_A_COMMIT dates at a time, so that no date's file is written twice."""
    start, dates = 0, set[str]()
    for place, slice_ in enumerate(slices):
        if len(dates) == _DATES_A_COMMIT and day_of(slice_) not in dates:
            yield slices[start:place]
            start, dates = place, set()
        dates.add(day_of(slice_))
    yield slices[start:]


def _whole_dates_apart(hours: Sequence[str]) -> list[Sequence[str]]:
    """The hours of dates that are replaced as a whole, then the others.

    delta-rs drops the files of a predicate on dates alone and reads none of them, be they damaged.
    """
    counts = Counter(day_of(hour) for hour in hours)
    is_whole = [counts[day_of(hour)] == _HOURS_A_DAY for hour in hours]
    parts = ([h for h, whole in zip(hours, is_whole, strict=True) if whole is wanted] for wanted in (True, False))
    return [part for part in parts if part]


def _replace(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: Table,
    selection: str | None,
    metadata: Mapping[str, Any],
) -> int:
    where = f"WHERE {selection}" if selection else ""
    columns, order = ", ".join(table.column_names), ", ".join(dict.fromkeys([*table.partition_by, *table.key]))
    query = f"SELECT {columns} FROM {SCHEMA}.{table.short_name} {where} ORDER BY {order}"

    def rows() -> pa.RecordBatchReader:
        reader = connection.sql(query).to_arrow_reader(_BATCH_ROWS)
        return reader.cast(
            pa.schema([_as_stored(found, arrow_schema(table).field(found.name)) for found in reader.schema])
        )

    return replace(settings, table, rows, selection, metadata)


def _as_stored(found: pa.Field, declared: pa.Field) -> pa.Field:
    """A text that is enumerated is handed on as it is: writing it takes half the time of writing texts."""
    return declared.with_type(found.type) if pa.types.is_dictionary(found.type) else declared


def _releases(
    previous: Publication | None, verdicts: Verdicts, published: Collection[str]
) -> Iterator[Mapping[str, Any]]:
    """Released slices that readers see: those published now, and earlier ones that were not published anew."""
    yield from (entry for entry in (previous.releases if previous else ()) if entry["slice"] not in published)
    for verdict in verdicts.values():
        if verdict.released_by is not None and verdict.slice in published:
            yield {
                "slice": verdict.slice,
                "table": verdict.table,
                "who": verdict.released_by,
                "when": verdict.checked_at.isoformat(),
                "why": verdict.release_reason,
            }


def _listed(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return "; ".join(every[:_SHOWN]) + more
