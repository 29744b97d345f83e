"""Assets: the tables of the lake, from the topics to published gold.

Belongs here: keys, partitions, dependencies, descriptions, and the functions that a materialization or a backfill from
the UI runs; they call the same `steps` as the jobs. The candidates, which dbt builds, are in `candidates`.

Silver, candidate and gold tables of an hour are done again by launching a backfill of their partitions: one run for the
whole range. Tables of days and tables without slices go out with the hours that they are made of, in one publication,
so they are not materialized by themselves: they are external assets that the runs report to.
"""

from collections.abc import Iterator, Mapping

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    MaterializeResult,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
    multi_asset,
)

from dagster_project import steps
from dagster_project.asset_checks import gate_checks
from dagster_project.partitions import Calendar, asset_key, candidate_key
from ingestion.bronze_ingest import BRONZE_TABLES
from ingestion.landing_topics import TOPICS
from lake.models.catalog import Model, silver_tables
from lake.tables.contracts import Table
from lake.tables.gold import GOLD_TABLES, HOURLY
from lake.tables.silver import SILVER_REJECTED, UNSLICED_SILVER

OWNERS = ["team:lakehouse"]
TOGETHER = "Published together with the hours that it is made of; backfill those to have it done again."


def lake_assets(models: Mapping[str, Model], calendar: Calendar) -> list[AssetsDefinition | AssetSpec]:
    """Topics, bronze, silver and gold."""
    return [*_topics(), _bronze(), _silver(models, calendar), _gold(models, calendar), *_gold_made_of_hours(calendar)]


def _topics() -> list[AssetSpec]:
    return [
        AssetSpec(
            ["kafka", topic.name],
            description=f"The landing zone's topic {topic.name}: CloudEvents in Kafka's binary mode.",
            kinds={"kafka"},
            group_name="landing_zone",
            owners=OWNERS,
            metadata={"kafka_partitions": topic.partitions},
        )
        for topic in TOPICS
    ]


def _bronze() -> AssetsDefinition:
    specs = [
        AssetSpec(
            asset_key(table.name),
            deps=[["kafka", topic]],
            description=f"One row per {table.grain}: everything that landed, as it came.",
            kinds={"spark", "deltalake"},
            group_name="bronze",
            owners=OWNERS,
            metadata=_columns(table),
        )
        for topic, table in BRONZE_TABLES.items()
    ]

    @multi_asset(
        name="bronze",
        specs=specs,
        required_resource_keys={"settings", "models", "work", "writer", "spark", "kafka"},
    )
    def bronze(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        step = steps.step_of(context)
        steps.land(step)
        for key in sorted(step.yielded):
            yield MaterializeResult(asset_key=key)

    return bronze


def _silver(models: Mapping[str, Model], calendar: Calendar) -> AssetsDefinition:
    tables = [*silver_tables(models.values()).values(), SILVER_REJECTED, *UNSLICED_SILVER]
    topics = {**{t.name: ["lifecycle"] for t in UNSLICED_SILVER}, SILVER_REJECTED.name: ["telemetry", "lifecycle"]}
    specs = [
        AssetSpec(
            asset_key(table.name),
            deps=[["bronze", topic] for topic in topics.get(table.name, ["telemetry"])],
            description=f"One row per {table.grain}.",
            kinds={"duckdb", "deltalake"},
            group_name="silver",
            owners=OWNERS,
            partitions_def=calendar.of_silver(table.name),
            metadata=_columns(table),
        )
        for table in tables
    ]

    @multi_asset(
        name="silver",
        specs=specs,
        can_subset=True,
        backfill_policy=BackfillPolicy.single_run(),
        required_resource_keys={"settings", "models", "work", "writer", "spark"},
    )
    def silver(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        """Chosen hours are judged anew from bronze, in every table; without hours, what is new is judged."""
        step = steps.step_of(context)
        if step.partitions:
            steps.rebuild(step)
        else:
            steps.fill(step)
        for key in sorted(step.yielded):
            yield MaterializeResult(asset_key=key)

    return silver


def _gold(models: Mapping[str, Model], calendar: Calendar) -> AssetsDefinition:
    @multi_asset(
        name="gold",
        specs=[_gold_spec(table, calendar) for table in GOLD_TABLES if table in HOURLY],
        check_specs=gate_checks(models, calendar),
        can_subset=True,
        backfill_policy=BackfillPolicy.single_run(),
        required_resource_keys={"settings", "models", "work", "writer"},
        allow_arbitrary_check_specs=True,
    )
    def gold(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        # nothing is yielded: an output would count as published for every hour of the run, held or not
        step = steps.step_of(context)
        steps.publish(steps.Step(context, partitions=step.partitions))
        yield from ()

    return gold


def _gold_made_of_hours(calendar: Calendar) -> list[AssetSpec]:
    return [_gold_spec(table, calendar) for table in GOLD_TABLES if table not in HOURLY]


def _gold_spec(table: Table, calendar: Calendar) -> AssetSpec:
    note = "" if table in HOURLY else f" {TOGETHER}"
    return AssetSpec(
        asset_key(table.name),
        deps=[candidate_key(table)],
        description=f"One row per {table.grain}: judged and published.{note}",
        kinds={"deltalake", "greatexpectations"},
        group_name="gold",
        owners=OWNERS,
        partitions_def=calendar.of_gold(table),
        skippable=table in HOURLY,
        metadata=_columns(table),
    )


def _columns(table: Table) -> Mapping[str, object]:
    columns = [
        TableColumn(c.name, c.type, c.description, TableColumnConstraints(nullable=c.nullable)) for c in table.columns
    ]
    return {"dagster/column_schema": TableSchema(columns), "dagster/table_name": table.name}
