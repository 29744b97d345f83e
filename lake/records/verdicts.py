"""Verdicts: what the gate judged of a table's slice at an input version, stored and looked up.

Belongs here: the rows of `ops.verdicts`, which of several counts, and releases. How a slice is judged belongs in
`suites` and `pipeline.gate.judge`.

Of the verdicts on one table, slice and input version the newest counts; a release is one more verdict. A `verdict_id`
sorts by the order of writing (the table's version, then the row), so a stepped clock cannot bring an old one back.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from lake.records import publications
from lake.slices import slices_from
from lake.sql_text import quoted
from lake.storage.delta import append, arrow_schema, canonical_json, open_table, read_rows, version_of
from lake.tables.ops import OPS_VERDICTS
from runtime.errors import UsageError
from runtime.settings import Settings

NEVER_RELEASED = frozenset({"keys_are_unique", "required_columns_are_filled"})
"""Expectations of the shape of a table: what fails them is not doubtful but wrong, whatever an operator knows."""
_LAST = "coalesce(last_slice, slice)"


@dataclass(frozen=True)
class Failure:
    """One expectation that a slice failed; `limit` is what it was held to, `message` says it in words."""

    expectation: str
    column: str
    observed: float | int | str
    limit: float | int | str
    message: str


@dataclass(frozen=True)
class Verdict:
    """A judgement; `released_by` and `release_reason` are set when an operator let it pass in spite of `failures`.

    One on slices that follow each other and all pass has the first as `slice`, and `last_slice`; its `row_count` is of
    all of them. What fails or was released is a slice by itself.
    """

    table: str
    slice: str
    input_version: str
    is_passing: bool
    failures: tuple[Failure, ...]
    row_count: int
    suite_digest: str
    run_id: str
    checked_at: datetime
    released_by: str | None = None
    release_reason: str | None = None
    verdict_id: str = ""
    last_slice: str | None = None

    @property
    def slices(self) -> Sequence[str]:
        """The slices that it is on."""
        return (self.slice,) if self.last_slice is None else slices_from(self.slice, self.last_slice)


def input_version(inputs: Mapping[str, int]) -> str:
    """The canonical text of input tables' versions, e.g. `{"silver.devices":3,"silver.thermostats":12}`."""
    return canonical_json(dict(inputs))


def record_verdicts(settings: Settings, verdicts: Sequence[Verdict]) -> None:
    """Store verdicts in one commit; their ids are given here. Nothing is written for none. Raises StepError."""
    if not verdicts:
        return
    next_version = (version_of(settings, OPS_VERDICTS.name) or 0) + 1
    rows = [_row(verdict, f"{next_version:012d}-{index:06d}") for index, verdict in enumerate(verdicts)]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(OPS_VERDICTS))
    append(settings, OPS_VERDICTS, table, {"step": "verdicts", "run_id": verdicts[0].run_id})


def verdicts_at(settings: Settings, version: str) -> dict[tuple[str, str], Verdict]:
    """The verdict that counts for each (table, slice) judged at the input version `version`."""
    return _counting(_read(settings, f"input_version = {quoted(version)}"))


def passing(settings: Settings, table: str, slices: Collection[str], version: str) -> set[str]:
    """Those of `slices` of `table` whose verdict at the input version `version` lets them pass."""
    stored = verdicts_at(settings, version)
    return {s for s in slices if (table, s) in stored and stored[table, s].is_passing}


def latest_failures(settings: Settings) -> list[Verdict]:
    """What is held now, by slice and table: failing verdicts of each slice's newest input version.

    Starts from what the newest publication lists as held, so that only verdicts since that day are read.
    """
    published = publications.newest(settings)
    held = [] if published is None else [_from_entry(entry) for entry in published.held]
    recent = f"checked_date >= DATE '{published.published_at.date()}'" if published else "true"
    failing = _read(settings, f"{recent} AND is_passing = false")
    slices = {verdict.slice for verdict in (*held, *failing)}
    newer = _read(settings, f"{recent} AND {_reaching(slices)}") if slices else []
    judged: dict[str, str] = {}
    for verdict in newer:  # the newest is the last
        judged |= dict.fromkeys(slices.intersection(verdict.slices), verdict.input_version)
    counting = {
        (verdict.table, slice_): verdict
        for verdict in newer
        for slice_ in slices.intersection(verdict.slices)
        if verdict.input_version == judged[slice_]
    }
    result = [v for v in held if v.slice not in judged] + [v for v in counting.values() if not v.is_passing]
    return sorted(result, key=lambda verdict: (verdict.slice, verdict.table))


def release(settings: Settings, slice_: str, why: str, who: str, now: datetime) -> list[Verdict]:
    """Let a held slice pass in spite of its failures; returns the releases, which are stored as verdicts.

    A release stands for what was found: it carries on to later input versions as long as the same failures are found.
    The caller holds the lease: what a run finds is settled when this looks, and is not judged anew meanwhile.
    Raises UsageError when the slice is not held, when no reason is given, or when what it failed can never be released.
    """
    if not why.strip():
        raise UsageError("A release needs a reason: say why the slice may be published in spite of its failures.")
    held = latest_failures(settings)
    failing = [verdict for verdict in held if verdict.slice == slice_]
    if not failing:
        others = ", ".join(sorted({verdict.slice for verdict in held})) or "none"
        raise UsageError(f"{slice_} is not held, so there is nothing to release. Held are: {others}.")
    wrong = sorted({f"{v.table}: {f.message}" for v in failing for f in v.failures if f.expectation in NEVER_RELEASED})
    if wrong:
        raise UsageError(
            f"{slice_} cannot be released: {'; '.join(wrong)}. A release is for data that looks wrong, not for rows "
            "that contradict each other: build the slice anew with `lakehouse backfill`."
        )
    released = [replace(v, is_passing=True, released_by=who, release_reason=why, checked_at=now) for v in failing]
    record_verdicts(settings, released)
    return released


def with_earlier_releases(settings: Settings, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """`verdicts`, where a failing one passes if its slice was released when exactly the same was found.

    Input versions move with every tick; what an operator has looked at and let pass stays let pass until it changes.
    """
    slices = {verdict.slice for verdict in verdicts if not verdict.is_passing}
    if not slices:
        return list(verdicts)
    earlier = _read(settings, f"released_by IS NOT NULL AND {_among(slices)}")
    releases = {_findings(verdict): verdict for verdict in earlier}
    return [_released_like(verdict, releases.get(_findings(verdict))) for verdict in verdicts]


def held_entry(verdict: Verdict) -> dict[str, Any]:
    """A failing verdict as a publication lists it, in JSON's types."""
    entry = {name: value for name, value in asdict(verdict).items() if name not in ("released_by", "release_reason")}
    return entry | {"checked_at": verdict.checked_at.isoformat()}


def _from_entry(entry: Mapping[str, Any]) -> Verdict:
    failures = tuple(Failure(**failure) for failure in entry["failures"])
    return Verdict(**{**entry, "failures": failures, "checked_at": datetime.fromisoformat(entry["checked_at"])})


def _released_like(verdict: Verdict, earlier: Verdict | None) -> Verdict:
    if verdict.is_passing or earlier is None or any(f.expectation in NEVER_RELEASED for f in verdict.failures):
        return verdict
    return replace(verdict, is_passing=True, released_by=earlier.released_by, release_reason=earlier.release_reason)


def _findings(verdict: Verdict) -> tuple[object, ...]:
    return verdict.table, verdict.slice, verdict.row_count, verdict.failures


def _counting(verdicts: Iterable[Verdict]) -> dict[tuple[str, str], Verdict]:
    """The verdict that counts for each table and slice of one input version; `verdicts` come oldest first."""
    return {(verdict.table, slice_): verdict for verdict in verdicts for slice_ in verdict.slices}


def _among(slices: Collection[str]) -> str:
    """SQL condition; the bounds let files be skipped by their statistics."""
    first, last = quoted(min(slices)), quoted(max(slices))
    return f"slice >= {first} AND slice <= {last} AND slice IN ({', '.join(map(quoted, sorted(slices)))})"


def _reaching(slices: Collection[str]) -> str:
    """SQL condition for verdicts on any of the slices, and perhaps on others."""
    return f"slice <= {quoted(max(slices))} AND {_LAST} >= {quoted(min(slices))}"


def _read(settings: Settings, where: str) -> list[Verdict]:
    """Verdicts that fit, oldest first. A table from before verdicts were on several slices has none."""
    opened = open_table(settings, OPS_VERDICTS.name)
    if opened is not None and all(field.name != "last_slice" for field in opened.schema().fields):
        where = where.replace(_LAST, "slice")
    rows = [] if opened is None else read_rows(opened, where)
    return [_verdict(row) for row in sorted(rows, key=lambda row: str(row["verdict_id"]))]


def _row(verdict: Verdict, verdict_id: str) -> dict[str, Any]:
    row = vars(verdict) | {"verdict_id": verdict_id, "checked_date": verdict.checked_at.date()}
    row["table_name"] = row.pop("table")
    row["failures"] = canonical_json([asdict(failure) for failure in verdict.failures])
    return row


def _verdict(row: dict[str, Any]) -> Verdict:
    values = {name: value for name, value in row.items() if name not in ("table_name", "checked_date")}
    values["failures"] = tuple(Failure(**failure) for failure in json.loads(row["failures"]))
    return Verdict(table=row["table_name"], **values)
