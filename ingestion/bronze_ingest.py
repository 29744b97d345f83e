"""Kafka to bronze: bounded reads between the committed offsets and the last stable ones.

Belongs here: which offsets come next, the Spark read, the bronze columns and the commit. Payloads are never parsed
here: whatever bytes land are kept, if their transaction was committed. The offsets travel in the Delta commit, so
bronze is its own checkpoint.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ingestion.kafka_offsets import COMMITTED_ONLY, Span, broker_offsets
from ingestion.landing_topics import topic_id
from ingestion.spark_times import moment_of_text
from lake.storage.applications import App
from lake.storage.spark_commits import Commit, append_once, ensure_table, newest_commit, progress_of
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from runtime.errors import LandingZoneError
from runtime.kafka.clients import java_client_config
from runtime.settings import Settings
from runtime.spark.connect_server import interpret_small
from wire.envelope import ATTRIBUTES, CONTENT_TYPE

BRONZE_TABLES = {"telemetry": BRONZE_TELEMETRY, "lifecycle": BRONZE_LIFECYCLE}
_RECORDS_A_FILE = 250_000
_CREATE_TIME = 0  # as Kafka numbers the kinds of a record's timestamp; 1 is the broker's

Offsets = dict[int, int]
"""Kafka partition -> offset."""


@dataclass(frozen=True)
class OffsetRange:
    """What one bronze commit reads of a topic: from `start` (inclusive) to `end` (exclusive), a partition."""

    topic: str
    start: Offsets
    end: Offsets

    @property
    def width(self) -> int:
        """Offsets in the range, as many as records or more."""
        return sum(self.end[p] - self.start[p] for p in self.end)

    @property
    def ingest_id(self) -> int:
        """Grows with every commit that brings records, and follows from the offsets alone."""
        return sum(self.end.values())


def committed_offsets(settings: Settings, topic: str) -> Offsets:
    """Where the last bronze commit of a topic ended; empty before the first."""
    return _offsets_of(newest_commit(settings, BRONZE_TABLES[topic].name, "offsets"))


def _offsets_of(commit: Commit | None) -> Offsets:
    if commit is None:
        return {}
    return {int(partition): end for partition, (_, end) in commit.metadata["offsets"].items()}


def next_range(topic: str, committed: Offsets, available: Mapping[int, tuple[int, int]]) -> OffsetRange:
    """What to read next. A partition that bronze has not seen starts at the oldest offset there is.

    Raises LandingZoneError when the broker no longer has offsets that bronze needs, or has fewer than bronze holds:
    going on would lose or repeat records.
    """
    start, end = {}, {}
    for partition, (oldest, high) in available.items():
        begin = committed.get(partition, oldest)
        if begin < oldest:
            raise LandingZoneError(
                f"Kafka topic {topic}, partition {partition}: offsets {begin} to {oldest - 1} are gone from the broker "
                f"(up to {oldest - begin} records), and bronze does not have them. Restore them, or accept the gap "
                f"with `lakehouse ingest --accept-gap`."
            )
        if begin > high:
            raise LandingZoneError(
                f"Kafka topic {topic}, partition {partition} ends at offset {high}, but bronze holds records up to "
                f"{begin - 1}: the topic was created anew or this is another broker. Point the lakehouse at the broker "
                f"it began with, or at an empty lake."
            )
        start[partition], end[partition] = begin, high
    missing = sorted(set(committed) - set(available))
    if missing:
        raise LandingZoneError(
            f"Kafka topic {topic} no longer has partitions {missing}, which bronze has read: this is another topic."
        )
    return OffsetRange(topic, start, end)


@dataclass(frozen=True)
class Landed:
    """What a tick brought of a topic: how many records, and what an operator should know of those that it did not."""

    records: int
    notes: tuple[str, ...] = ()


def ingest_topic(spark: SparkSession, settings: Settings, bootstrap: str, topic: str, run_id: str,
                 accept_gap: bool = False) -> Landed:  # fmt: skip
    """Bring all new records of a topic to bronze in one commit.

    Nothing is written when there are no new offsets; a commit without a row says that all of the new ones were ends of
    transactions and records of aborted ones. `accept_gap` starts at the oldest offset that the broker has and records
    the gap in the commit.
    """
    table = BRONZE_TABLES[topic]
    interpret_small(spark, 0)
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
    interpret_small(spark, offsets.width)
    records = read_records(spark, bootstrap, offsets, datetime.now(UTC))
    files = max(1, -(-offsets.width // _RECORDS_A_FILE))
    append_once(records.coalesce(files), settings, table, App.INGEST, offsets.ingest_id, metadata)
    commit = newest_commit(settings, table.name, "offsets")
    assert commit is not None
    return Landed(commit.rows, tuple(_said_of_loss(topic, partition, span) for partition, span in lost.items()))


def losses(committed: Offsets, available: Mapping[int, Span]) -> dict[int, Span]:
    """The offsets, a partition, that bronze has not read and the broker no longer has.

    Of a partition that bronze has never read these are all before the oldest one.
    """
    starts = {p: committed.get(p, 0) for p in available}
    return {p: (starts[p], oldest) for p, (oldest, _) in available.items() if starts[p] < oldest}


def _said_of_loss(topic: str, partition: int, span: Span) -> str:
    start, end = span
    return (
        f"lost: the offsets {start} to {end - 1} of {topic}, partition {partition} (up to {end - start} records) were "
        "gone from Kafka before bronze read them"
    )


def read_records(spark: SparkSession, bootstrap: str, offsets: OffsetRange, read_at: datetime) -> DataFrame:
    """The records of a range with the columns of bronze; `read_at` is the present."""
    records = (
        spark.read.format("kafka")
        .options(**{f"kafka.{name}": value for name, value in java_client_config(bootstrap).items()})
        .option("subscribe", offsets.topic)
        .option("startingOffsets", _offsets_json(offsets.topic, offsets.start))
        .option("endingOffsets", _offsets_json(offsets.topic, offsets.end))
        .option("includeHeaders", "true")
        .option("failOnDataLoss", "true")
        .option("kafka.isolation.level", COMMITTED_ONLY)
        # at the end of a partition the broker would hold its answer back for half a second, in case more comes
        .option("kafka.fetch.max.wait.ms", "10")
        .option("kafka.max.poll.records", "5000")
        .load()
    )
    return bronze_rows(records, offsets.ingest_id, read_at)


def bronze_rows(records: DataFrame, ingest_id: int, read_at: datetime) -> DataFrame:
    """Kafka records as Spark reads them -> the columns of bronze, nothing refused.

    `received_at` is a clock that no producer can set: the broker's, where the topic has that (LogAppendTime), else that
    of who read the record (`read_at`). What a producer has set is kept beside it.
    """
    is_producers = F.col("timestampType") == _CREATE_TIME
    read = F.timestamp_micros(_not_in_code(round(read_at.timestamp() * 1_000_000)))
    return (
        records.withColumn("received_at", F.when(is_producers, read).otherwise(F.col("timestamp")))
        .withColumn("producer_at", F.when(is_producers, F.col("timestamp")))
        .withColumn("last_names", F.reverse(F.col("headers")["key"]))
        .withColumns({name: _attribute(header) for header, name in _HEADERS.items()})
        .withColumn("headers", _other_headers())
        .withColumns(
            {
                "ingest_id": _not_in_code(ingest_id),
                "received_date": F.to_date("received_at"),
                "device_id": F.try_validate_utf8(F.col("key").cast("string")),
                "measured_at": moment_of_text("ce_time"),
            }
        )
        .withColumns({"measured_hour": _hour("measured_at"), "received_hour": _hour("received_at")})
        .select(*BRONZE_TELEMETRY.column_names)
    )


# Kafka header -> column
_HEADERS = {name: name for name in ATTRIBUTES} | {CONTENT_TYPE: "content_type"}


def _attribute(name: str) -> Column:
    """The last header of that name as text; null when it is missing or not UTF-8.

    Looked for in the list of names, last one first: with a map a record, a million cost 1.6 s of CPU more. A name that
    is missing has position 0 there, so it is looked up past the end of the headers.
    """
    index = F.size("headers") - F.array_position("last_names", F.lit(name)).cast("int")
    return F.try_validate_utf8(F.get("headers", index)["value"].cast("string"))


def _other_headers() -> Column:
    """The headers that the columns do not hold whole; null for an ordinary message.

    Writing all headers again cost more than the rest of a record. A column that is not null has taken one header, so
    equal counts leave none over. `array_except` and not `filter`: Spark generates no code for a step that has a lambda.
    """
    taken = sum((F.col(name).isNotNull().cast("int") for name in _HEADERS.values()), F.lit(0))
    held = [
        F.struct(F.lit(header).alias("key"), F.col(name).cast("binary").alias("value"))
        for header, name in _HEADERS.items()
    ]
    is_repeated = F.size("headers") > F.size(F.array_distinct("last_names"))
    others = F.when(is_repeated, F.col("headers")).otherwise(F.array_except("headers", F.array(*held)))
    return F.when(F.size("headers") > taken, others)


def _not_in_code(number: int) -> Column:
    """A number that differs from tick to tick, looked up in a list of one.

    Spark writes a plain number into the code that it generates, which would be new code in every tick: a million
    records cost 2 s of CPU more, to compile it and to run it until the JVM has. `isnull` keeps the optimiser from
    writing it there after all.
    """
    return F.get(F.array(F.lit(number).cast("bigint")), F.isnull("partition").cast("int"))


def _hour(moment: str) -> Column:
    return F.floor(F.unix_seconds(F.col(moment)) / 3600).cast("bigint")


def _offsets_json(topic: str, offsets: Offsets) -> str:
    return json.dumps({topic: {str(partition): offset for partition, offset in offsets.items()}})
