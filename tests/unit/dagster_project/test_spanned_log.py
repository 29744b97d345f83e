"""Spans in Dagster's event log, asked of a real instance as its UI asks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterInstance,
    Nothing,
    OpExecutionContext,
    Out,
    job,
    op,
)
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from dagster_project.partitions import Calendar
from dagster_project.runs.instance import open_instance
from dagster_project.runs.pruning import prune
from dagster_project.spans import spans
from lake.slices import slices_between
from runtime.settings import Settings

KEY = AssetKey(["gold", "things"])
HOURS = Calendar("2025-01-01").hours
SPARSE = slices_between("2025-01-01T05", "2025-12-31T05")[::24]
WHOLE = slices_between("2026-02-01T00", "2026-05-31T23")


def told(instance: DagsterInstance, slices: Sequence[str]) -> None:
    """A run that tells of these slices as a step does."""

    @op(out=Out(Nothing))
    def published(context: OpExecutionContext) -> None:
        for span in spans(dict.fromkeys(slices, 1), slices):
            context.log_event(AssetMaterialization(KEY, partition=span.last, metadata=span.metadata))

    @job
    def telling() -> None:
        published()

    telling.execute_in_process(instance=instance)


def shown(instance: DagsterInstance) -> list[str]:
    """The hours that the page of the asset shows as materialized."""
    value = get_and_update_asset_status_cache_value(instance, KEY, HOURS)
    assert value is not None
    return sorted(value.deserialize_materialized_partition_subsets(HOURS).get_partition_keys())


def events_of(instance: DagsterInstance, hour: str) -> list[str | None]:
    """The partitions of the events on the page of an hour."""
    found = instance.fetch_materializations(AssetRecordsFilter(KEY, asset_partitions=[hour]), limit=10)
    return [record.partition_key for record in found.records]


def test_each_hour_of_a_span_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A year with gaps and months without are materialized hour by hour though each is one event, those in a gap are
    not; an hour amid them leads to its span's event, also once the runs are forgotten."""
    monkeypatch.setattr("dagster_project.runs.pruning.KEPT_RUNS", 2)
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    with open_instance(settings) as instance:
        told(instance, SPARSE)
        assert shown(instance) == SPARSE
        told(instance, WHOLE)
        assert shown(instance) == [*SPARSE, *WHOLE]
        told(instance, WHOLE[5:7])
        assert events_of(instance, SPARSE[7]) == [SPARSE[-1]]
        assert events_of(instance, "2025-01-01T06") == []
        assert events_of(instance, WHOLE[3]) == [WHOLE[-1]]
        assert events_of(instance, WHOLE[5]) == [WHOLE[5], WHOLE[-1]]
        told(instance, ["2026-06-01T00"])
        told(instance, ["2026-06-01T01"])
        assert prune(instance, datetime.now(UTC), everything=True) == 3
    with open_instance(settings) as instance:
        assert instance.get_materialized_partitions(KEY) == {*SPARSE, *WHOLE, "2026-06-01T00", "2026-06-01T01"}
        assert events_of(instance, SPARSE[7]) == [SPARSE[-1]]
        instance.wipe_assets([KEY])
        assert instance.get_materialized_partitions(KEY) == set()
        assert events_of(instance, WHOLE[3]) == []
