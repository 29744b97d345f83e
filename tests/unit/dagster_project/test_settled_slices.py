"""What was told of slices long ago, told together: asked of a real instance as Dagster's UI asks."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
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
from dagster._core.storage.event_log import SqliteEventLogStorage

from dagster_project.runs.instance import open_instance
from dagster_project.runs.settled_slices import settle
from dagster_project.spans import spans
from lake.slices import slices_between
from runtime.settings import Settings

KEY = AssetKey(["gold", "things"])
CHECK = AssetCheckKey(KEY, "gate")
MONTH = slices_between("2026-02-01T00", "2026-02-28T23")[::2]


def told(instance: DagsterInstance, passed: Mapping[str, bool]) -> None:
    """A run that tells of these slices, and whether each passed."""

    @op(out=Out(Nothing))
    def published(context: OpExecutionContext) -> None:
        for span in spans(dict.fromkeys(passed, 1), passed):
            assert span.last is not None
            context.log_event(AssetMaterialization(KEY, partition=span.last, metadata=span.metadata))
            found = AssetCheckEvaluation(KEY, "gate", passed=passed[span.last], partition=span.last)
            context.log_event(found)  # type: ignore[arg-type]

    @job
    def telling() -> None:
        published()

    telling.execute_in_process(instance=instance)


def page_of(instance: DagsterInstance, hour: str) -> list[tuple[str | None, object]]:
    """The events on the page of an hour: of which partition each is, and which slices it says that it speaks for."""
    found = instance.fetch_materializations(AssetRecordsFilter(KEY, asset_partitions=[hour]), limit=10).records
    metadata = [each.asset_materialization.metadata for each in found if each.asset_materialization is not None]
    return [
        (each.partition_key, m["slices"].value if "slices" in m else None)
        for each, m in zip(found, metadata, strict=True)
    ]


def test_old_slices_stay_materialized_by_one_event(tmp_path: Path) -> None:
    """Hours told one by one, and a span with gaps, are one event, which each of their pages shows; the newest event and
    what failed stay as they are; done again, it takes in what has become old."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    with open_instance(settings) as instance:
        events = instance.event_log_storage
        assert isinstance(events, SqliteEventLogStorage)
        told(instance, dict.fromkeys(MONTH, True))
        told(instance, {"2026-03-01T00": True, "2026-03-01T01": False})
        told(instance, {"2026-03-01T03": True})
        before = instance.get_materialized_partitions(KEY)
        assert settle(events, datetime.now(UTC)) == 2
        assert (
            instance.get_materialized_partitions(KEY)
            == before
            == {*MONTH, "2026-03-01T00", "2026-03-01T01", "2026-03-01T03"}
        )
        together = [("2026-03-01T01", "2026-02-01T00 to 2026-03-01T01")]
        assert page_of(instance, MONTH[7]) == page_of(instance, "2026-03-01T00") == together
        assert page_of(instance, "2026-02-01T01") == []
        assert page_of(instance, "2026-03-01T03") == [("2026-03-01T03", None)]
        results = events.get_asset_check_execution_history(CHECK, limit=10)
        assert [each.partition for each in results] == ["2026-03-01T03", "2026-03-01T01"]
        told(instance, {"2026-03-01T04": True})
        assert settle(events, datetime.now(UTC)) == 1
        assert page_of(instance, MONTH[7]) == [("2026-03-01T03", "2026-02-01T00 to 2026-03-01T03")]
        assert settle(events, datetime.now(UTC)) == 0
