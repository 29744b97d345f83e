"""Asset checks: the gate's verdicts as Dagster shows them.

Belongs here: declaring the checks and turning verdicts into evaluations. Judging is in
`pipeline.gate.judge` and `pipeline.gate.suites`. A check here stops nothing: what may be published is decided by the
stored verdicts, whoever asks.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetCheckSpec,
    MetadataValue,
    PreviewWarning,
)

from dagster_project.partitions import Calendar, asset_key, partition_of
from dagster_project.spans import Slice, spans
from lake.models.catalog import Model, silver_tables
from lake.records.verdicts import Verdict
from lake.tables.gold import GOLD_TABLES
from lake.tables.silver import SILVER_REJECTED, UNSLICED_SILVER

GATE = "gate"
_MOST_HELD = 100
_ENFORCED = (
    "The table's quality suite. Publication enforces it: a slice goes out with a passing verdict on its data alone, "
    "stored in `ops.verdicts`, whoever asks, and one that fails is held. This check shows the verdicts and decides "
    "nothing: whatever becomes of it, what fails stays held. To publish a held slice as it is, start the job `release`."
)


def gate_checks(models: Mapping[str, Model], calendar: Calendar) -> list[AssetCheckSpec]:
    """One check for each table that the gate judges, with a result a slice."""
    silver = [*silver_tables(models.values()), SILVER_REJECTED.name, *(t.name for t in UNSLICED_SILVER)]
    partitions = {name: calendar.of_silver(name) for name in silver}
    partitions |= {table.name: calendar.of_gold(table) for table in GOLD_TABLES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PreviewWarning)  # a check with partitions is a preview; the version is pinned
        return [_gate_check(name, each is calendar.hours, calendar) for name, each in partitions.items()]


def _gate_check(table: str, is_hourly: bool, calendar: Calendar) -> AssetCheckSpec:
    return AssetCheckSpec(
        GATE,
        asset=asset_key(table),
        description=_ENFORCED,
        # the checks of one step have one kind of partitions; a day's results carry their day all the same
        partitions_def=calendar.hours if is_hourly else None,
    )


def evaluations(verdicts: Iterable[Verdict]) -> Iterator[AssetCheckEvaluation]:
    """The results of every table: those that fail or were released one by one, those that pass by spans.

    Of several verdicts on a table and slice the last counts. Failing ones come last, since the UI shows the last result
    as the asset's own; of very many, as when a limit is wrong, the first are told and the number of the others.
    """
    newest = {(verdict.table, slice_): verdict for verdict in verdicts for slice_ in verdict.slices}
    passing: dict[str, dict[Slice, int]] = {}
    failing: dict[str, list[Verdict]] = {}
    for (table, slice_), verdict in newest.items():
        if not verdict.is_passing:
            failing.setdefault(table, []).append(verdict)
        elif verdict.released_by is None:
            passing.setdefault(table, {})[partition_of(slice_)] = rows_at(verdict, slice_)
        else:
            released = {"released_by": verdict.released_by, "release_reason": verdict.release_reason or ""}
            yield _evaluation(verdict, _told(verdict) | released)
    versions = {verdict.table: verdict.input_version for verdict in newest.values()}
    for table, rows in passing.items():
        for span in spans(rows, rows):
            metadata = _no_curve(span.metadata) | {"input_version": versions[table]}
            yield AssetCheckEvaluation(
                asset_key=asset_key(table), check_name=GATE, passed=True, partition=span.last, metadata=metadata
            )
    for each in failing.values():
        more = {"more_held_slices": f"{len(each) - _MOST_HELD:,}"} if len(each) > _MOST_HELD else {}
        for verdict in each[:_MOST_HELD]:
            yield _evaluation(verdict, _told(verdict) | more)


def rows_at(verdict: Verdict, slice_: str) -> int:
    """The rows of a slice; those of a verdict on several stand at the first, so that sums are right."""
    return verdict.row_count if slice_ == verdict.slice else 0


def _told(verdict: Verdict) -> dict[str, Any]:
    metadata: dict[str, Any] = _no_curve({"rows": verdict.row_count}) | {"input_version": verdict.input_version}
    if verdict.failures:
        metadata["failures"] = MetadataValue.md(
            "\n".join(f"- **{failure.expectation}**: {failure.message}" for failure in verdict.failures)
        )
    return metadata


def _no_curve(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """With text in place of numbers: the UI draws a check's numbers by time, whatever slices they are of."""
    return {name: f"{value:,}" if isinstance(value, int) else value for name, value in metadata.items()}


def _evaluation(verdict: Verdict, metadata: Mapping[str, Any]) -> AssetCheckEvaluation:
    return AssetCheckEvaluation(
        asset_key=asset_key(verdict.table),
        check_name=GATE,
        passed=verdict.is_passing,
        partition=partition_of(verdict.slice),
        severity=AssetCheckSeverity.ERROR,
        description="; ".join(failure.message for failure in verdict.failures) or None,
        metadata=metadata,
    )
