"""Asset checks: the gate's verdicts as Dagster shows them.

Belongs here: declaring the checks and turning verdicts into evaluations, one a slice. Judging is in
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
    PartitionsDefinition,
    PreviewWarning,
)

from dagster_project.partitions import HOURS, asset_key, gold_partitions, partition_of, silver_partitions
from lake.models.catalog import Model, silver_tables
from lake.records.verdicts import Verdict
from lake.tables.gold import GOLD_TABLES
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED

GATE = "gate"
# a result takes Dagster some 3 ms; a year of hours has 9,000 a table
_MANY = 5_000


def gate_checks(models: Mapping[str, Model]) -> list[AssetCheckSpec]:
    """One check for each table that the gate judges, with a result a slice."""
    silver = [*silver_tables(models.values()), SILVER_REJECTED.name, SILVER_DEVICES.name]
    partitions = {name: silver_partitions(name) for name in silver}
    partitions |= {table.name: gold_partitions(table) for table in GOLD_TABLES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PreviewWarning)  # a check with partitions is a preview; the version is pinned
        return [_gate_check(name, each) for name, each in partitions.items()]


def _gate_check(table: str, partitions: PartitionsDefinition[str] | None) -> AssetCheckSpec:
    return AssetCheckSpec(
        GATE,
        asset=asset_key(table),
        description="The table's quality suite. A slice that fails it is held: it is not published.",
        # the checks of one step have one kind of partitions; a day's results carry their day all the same
        partitions_def=HOURS if partitions is HOURS else None,
    )


def evaluations(verdicts: Iterable[Verdict]) -> Iterator[AssetCheckEvaluation]:
    """One evaluation for each table and slice; of several verdicts the last.

    Failing ones come last, since the UI shows the last result as the asset's own. Of very many, those are left out that
    pass a table which has no rows in the slice: there is nothing to look at.
    """
    newest = {(verdict.table, verdict.slice): verdict for verdict in verdicts}
    for verdict in sorted(newest.values(), key=lambda each: not each.is_passing):
        if len(newest) > _MANY and verdict.is_passing and verdict.row_count == 0:
            continue
        metadata: dict[str, Any] = {"rows": verdict.row_count, "input_version": verdict.input_version}
        if verdict.failures:
            metadata["failures"] = MetadataValue.md(
                "\n".join(f"- **{failure.expectation}**: {failure.message}" for failure in verdict.failures)
            )
        if verdict.released_by is not None:
            metadata |= {"released_by": verdict.released_by, "release_reason": verdict.release_reason or ""}
        yield AssetCheckEvaluation(
            asset_key=asset_key(verdict.table),
            check_name=GATE,
            passed=verdict.is_passing,
            partition=partition_of(verdict.slice),
            severity=AssetCheckSeverity.ERROR,
            description="; ".join(failure.message for failure in verdict.failures) or None,
            metadata=metadata,
        )
