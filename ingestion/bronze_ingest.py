"""Kafka to bronze: bounded reads between the committed offsets and the last stable ones.

Belongs here: who reads, and the commit. Payloads are never parsed here: whatever bytes land are kept, if their
transaction was committed. The offsets travel in the Delta commit, so bronze is its own checkpoint. Which offsets come
next is `offset_ranges`; the reads are `spark_records` and `local_records`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ingestion.executor_probe import check_executors
from ingestion.kafka_offsets import Span, broker_offsets
from ingestion.landing_topics import topic_id
from ingestion.local_records import append_records
from ingestion.offset_ranges import OffsetRange, Offsets, losses, next_range
from ingestion.spark_records import read_records
from lake.storage.applications import App
from lake.storage.spark_commits import Commit, append_once, ensure_table, newest_commit, progress_of
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from runtime.errors import LandingZoneError
from runtime.settings import Settings
from runtime.spark.connect_server import SparkSource, interpret_small

BRONZE_TABLES = {"telemetry": BRONZE_TELEMETRY, "lifecycle": BRONZE_LIFECYCLE}
READ_HERE = 250_000
"""Up to as many records are read by this process, whatever Spark there is (docs/decisions/016)."""
_RECORDS_A_FILE = 250_000


def committed_offsets(settings: Settings, topic: str) -> Offsets:
    """Where the last bronze commit of a topic ended; empty before the first."""
    return _offsets_of(newest_commit(settings, BRONZE_TABLES[topic].name, "offsets"))


def _offsets_of(commit: Commit | None) -> Offsets:
    if commit is None:
        return {}
    return {int(partition): end for partition, (_, end) in commit.metadata["offsets"].items()}


@dataclass(frozen=True)
class Landed:
    """What a tick brought of a topic: how many records, and what an operator should know of those that it did not."""

    records: int
    notes: tuple[str, ...] = ()


def ingest_topic(spark: SparkSource, settings: Settings, bootstrap: str, topic: str, run_id: str,
                 accept_gap: bool = False) -> Landed:  # fmt: skip
    """Bring all new records of a topic to bronze in one commit.

    Nothing is written when there are no new offsets; a commit without a row says that all of the new ones were ends of
    transactions and records of aborted ones. `accept_gap` starts at the oldest offset that the broker has and records
    the gap in the commit.
    """
    table = BRONZE_TABLES[topic]
    ensure_table(spark, settings, table)
    last, identity = newest_commit(settings, table.name, "offsets"), topic_id(bootstrap, topic)
    if last is not None and last.metadata.get("topic_id", identity) != identity:
        raise LandingZoneError(
            f"Kafka topic {topic} was created anew since bronze read it up to {_offsets_of(last)}, so its offsets "
            f"are others. Point the lakehouse at the broker it began with, or at an empty lake."
        )
    committed, available = _offsets_of(last), broker_offsets(bootstrap, topic)
    lost = losses(committed, available)
    gaps = {p: [start, end] for p, (start, end) in lost.items() if p in committed}
    if accept_gap:
        committed |= {p: end for p, (_, end) in gaps.items()}
    offsets = next_range(topic, committed, available)
    if offsets.width == 0:
        return Landed(0)
    if offsets.ingest_id <= progress_of(settings, table.name, App.INGEST):
        raise LandingZoneError(
            f"Kafka topic {topic}: its offsets add up to {offsets.ingest_id}, no more than bronze has committed. "
            f"Is this the broker that the lake began with?"
        )
    metadata: dict[str, Any] = {
        "step": "ingest",
        "offsets": {p: [offsets.start[p], offsets.end[p]] for p in offsets.end},
        "topic_id": identity,
        "run_id": run_id,
        **({"lost": lost} if lost else {}),
        **({"accepted_gaps": gaps} if gaps else {}),
    }
    _append(spark, settings, bootstrap, offsets, metadata)
    commit = newest_commit(settings, table.name, "offsets")
    assert commit is not None
    return Landed(commit.rows, tuple(_said_of_loss(topic, partition, span) for partition, span in lost.items()))


def _append(
    spark: SparkSource, settings: Settings, bootstrap: str, offsets: OffsetRange, metadata: Mapping[str, Any]
) -> None:
    """Read the range, here or by Spark, and commit it unless it is."""
    table, read_at = BRONZE_TABLES[offsets.topic], datetime.now(UTC)
    is_here = _is_read_here(settings, offsets.width)
    if is_here and append_records(settings, table, bootstrap, offsets, read_at, metadata):
        return
    session = spark()
    check_executors(session, settings, bootstrap, offsets.topic)
    interpret_small(session, offsets.width)
    records = read_records(session, bootstrap, offsets, read_at)
    files = max(1, -(-offsets.width // _RECORDS_A_FILE))
    append_once(records.coalesce(files), settings, table, App.INGEST, offsets.ingest_id, metadata)


def _is_read_here(settings: Settings, records: int) -> bool:
    if settings.ingest_engine == "auto":
        return records <= READ_HERE
    return settings.ingest_engine == "here"


def _said_of_loss(topic: str, partition: int, span: Span) -> str:
    start, end = span
    return (
        f"lost: the offsets {start} to {end - 1} of {topic}, partition {partition} (up to {end - start} records) were "
        "gone from Kafka before bronze read them"
    )
