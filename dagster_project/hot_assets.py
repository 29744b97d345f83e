"""The hot path as Dagster shows it: its topic of windows, and the table that reconciles it with gold.

Belongs here: one asset, its check, its job and the sensor that asks for it. What is compared, and how, is in
`pipeline.proof.hot_reconciliation`.
"""

from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSelection,
    AssetSpec,
    DefaultSensorStatus,
    MaterializeResult,
    MetadataValue,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    TableColumn,
    TableRecord,
    TableSchema,
    define_asset_job,
    multi_asset,
    sensor,
)

from dagster_project import steps
from dagster_project.partitions import asset_key
from dagster_project.runs.under_way import busy_with
from ingestion.waiting import running_bootstrap
from lake.tables.gold import DEVICE_MINUTES
from lake.tables.ops import OPS_HOT_RECONCILIATION
from pipeline.proof.hot_reconciliation import HotReport, news_of, reconcile_hot, unexplained
from runtime.errors import LakehouseError
from runtime.settings import Settings
from wire.hot_topics import WINDOWS

EXPLAINED = "explained"
KEY = asset_key(OPS_HOT_RECONCILIATION.name)
_SHOWN = 10

reconcile_hot_path = define_asset_job(
    "reconcile_hot_path",
    selection=AssetSelection.assets(KEY),
    description="The hot path's final minutes compared with published gold; fails its check on one without a cause.",
)


def hot_assets(owners: list[str]) -> list[AssetsDefinition | AssetSpec]:
    """The topic and the table."""
    topic = AssetSpec(
        ["kafka", WINDOWS],
        description="What the hot path tells of windows, within seconds and provisional.",
        kinds={"kafka"},
        group_name="hot_path",
        owners=owners,
    )
    return [topic, _reconciliation(owners)]


def _reconciliation(owners: list[str]) -> AssetsDefinition:
    @multi_asset(
        name="hot_reconciliation",
        specs=[
            AssetSpec(
                KEY,
                deps=[["kafka", WINDOWS], asset_key(DEVICE_MINUTES.name)],
                description=f"One row per {OPS_HOT_RECONCILIATION.grain}.",
                kinds={"duckdb", "deltalake"},
                group_name="hot_path",
                owners=owners,
            )
        ],
        check_specs=[
            AssetCheckSpec(
                EXPLAINED,
                asset=KEY,
                description="Every minute in which the hot path and gold differ has a cause that is proved. It shows a "
                "defect and stops nothing: publication is decided by the checks `gate` alone.",
            )
        ],
        required_resource_keys={"settings", "models", "work", "writer", "kafka"},
    )
    def hot_reconciliation(context: AssetExecutionContext) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
        step = steps.step_of(context)
        with step.work.told():
            step.writer.hold("hot reconciliation")
            report = reconcile_hot(step.run, context.resources.kafka)
            left = unexplained(step.settings)
        yield MaterializeResult(asset_key=KEY, metadata=_compared(report))
        shown = "\n".join(
            f"- {row['device_id']} {row['metric_name']} {row['minute_at']:%Y-%m-%dT%H:%M}: {row['detail']}"
            for row in left[:_SHOWN]
        )
        yield AssetCheckResult(
            passed=not left,
            asset_key=KEY,
            check_name=EXPLAINED,
            metadata={"unexplained_minutes": len(left), "minutes": MetadataValue.md(shown)},
        )

    return hot_reconciliation


def _compared(report: HotReport) -> dict[str, MetadataValue]:
    """As a table: each comparison is of other hours, which no curve should join."""
    records = [TableRecord({"outcome": name, "minutes": count}) for name, count in sorted(report.minutes.items())]
    minutes = MetadataValue.table(records, TableSchema([TableColumn("outcome"), TableColumn("minutes", "int")]))
    return {"hours": MetadataValue.text(f"{len(report.hours):,}"), "minutes": minutes}


@sensor(
    job=reconcile_hot_path,
    minimum_interval_seconds=300,
    default_status=DefaultSensorStatus.RUNNING,
    required_resource_keys={"settings"},
    description="Compares the hot path with gold when either has news.",
)
def hot_minutes(context: SensorEvaluationContext) -> RunRequest | SkipReason:
    """Ask for a comparison when the hot path has told something, or gold was published, since the last one."""
    settings: Settings = context.resources.settings
    busy = busy_with(context.instance, reconcile_hot_path.name)
    if busy is not None:
        return busy
    bootstrap = running_bootstrap(settings)
    if bootstrap is None:
        return SkipReason("No broker runs.")
    try:
        news = news_of(settings, bootstrap)
    except LakehouseError as error:
        return SkipReason(str(error))
    if news is None:
        return SkipReason("Neither the hot path nor gold has news.")
    # one request a state of both: what is told besides final minutes is no reason to look again
    if context.cursor == news:
        return SkipReason("This was compared.")
    context.update_cursor(news)
    return RunRequest()


HOT_SENSORS: list[SensorDefinition] = [hot_minutes]
