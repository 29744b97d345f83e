"""Sites on the real line: declarations from Kafka to published gold."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.reading.reader import open_reader
from pipeline.gold.gold_refresh import Outcome, refresh_gold
from pipeline.proof.lineage import trace_message, trace_row
from pipeline.proof.lineage_sql import rows_of
from pipeline.proof.verification import verify
from pipeline.run import Run
from runtime.settings import Settings
from tests.support.landing import reading, registered, run_tick, send
from wire.envelope import Message, rfc3339, site_message

SPRING = datetime(2026, 3, 28, tzinfo=UTC)  # the clocks of Berlin go forward on the 29th
Row = tuple[Any, ...]


def select(settings: Settings, sql: str) -> list[Row]:
    """What readers of published gold see."""
    with open_reader(settings, known_models(settings)) as reader:
        return [tuple(row.values()) for row in rows_of(reader, sql)]


def declared(site: str, minute: int, **attributes: str) -> Message:
    """A declaration of a site, at a minute of the first day."""
    return site_message(site, f"{site}-{minute}", rfc3339(SPRING + timedelta(minutes=minute)), attributes)


def readings(device: str, first: datetime, hours: Sequence[int]) -> Iterator[Message]:
    """A reading at the half past of each hour since `first`, its value the number of the hour."""
    for hour in hours:
        moment = first + timedelta(hours=hour, minutes=30)
        yield reading(device, f"{device}-{rfc3339(moment)}", moment, float(hour))


def refreshed(settings: Settings, spark: SparkSession, messages: Sequence[Message]) -> Outcome | None:
    """Send, then a tick and a refresh."""
    assert settings.kafka_bootstrap is not None
    send(settings.kafka_bootstrap, messages)
    run_tick(spark, settings)
    return refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))


def assert_verified(settings: Settings, spark: SparkSession, outcome: Outcome | None) -> None:
    """Everything that is published is what bronze comes to when it is built at once."""
    assert outcome is not None
    assert outcome.publication is not None
    assert outcome.held == []
    verified = verify(spark, settings, known_models(settings), outcome.publication, code_version="")
    assert [each for each in verified.comparisons if not each.is_same] == []


def test_declared_sites_are_published(settings: Settings, spark: SparkSession) -> None:
    """A declaration is kept, judged and published; one that cannot be is refused and named; a later one counts."""
    messages = [
        registered("d1", SPRING, site="hall"), registered("d2", SPRING, site="nowhere"),
        declared("plant", 1, name="Plant", zone="Europe/Berlin"), declared("hall", 1, parent_id="plant"),
        declared("moon", 1, zone="Moon/Base"),
        *readings("d1", SPRING, range(3)),
    ]  # fmt: skip
    outcome = refreshed(settings, spark, messages)
    columns = "site_id, name, zone, parent_id, path, is_declared"
    assert select(settings, f"SELECT {columns} FROM gold.sites ORDER BY site_id") == [
        ("hall", None, "Europe/Berlin", "plant", "/plant/hall", True),
        ("nowhere", None, "UTC", None, "/nowhere", False),
        ("plant", "Plant", "Europe/Berlin", None, "/plant", True),
    ]
    days = "SELECT zone, count(*), sum(hours_in_day), min(hours_in_day), max(hours_in_day) FROM gold.calendar"
    assert select(settings, f"{days} GROUP BY zone ORDER BY zone") == [
        ("Europe/Berlin", 365, 8760.0, 23.0, 25.0), ("UTC", 365, 8760.0, 24.0, 24.0)
    ]  # fmt: skip
    refused = "SELECT reason, detail FROM silver.rejected WHERE topic = 'lifecycle'"
    assert select(settings, refused) == [("out_of_range", "zone is Moon/Base, which is no IANA time zone")]
    models = known_models(settings)
    traced = trace_row(settings, models, "gold.sites", {"site_id": "plant"})
    (record,) = traced.registry
    up = trace_message(settings, models, record["topic"], record["partition"], record["offset"])
    assert (up.table, [table for table, _ in up.gold]) == ("silver.sites", ["gold.sites"])
    assert {v["table_name"] for v in traced.verdicts} >= {"gold.sites", "silver.sites"}
    assert_verified(settings, spark, outcome)
    moved = refreshed(settings, spark, [declared("plant", 2, zone="Asia/Kolkata")])
    assert select(settings, "SELECT DISTINCT zone FROM gold.sites WHERE is_declared") == [("Asia/Kolkata",)]
    assert_verified(settings, spark, moved)
