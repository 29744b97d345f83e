"""Status: where the lake stands, read from logs and records alone.

Belongs here: collecting what an operator asks for. Starting anything, and how it is printed, does not: a broker that
does not run is reported as such.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingestion.bronze_ingest import BRONZE_TABLES, committed_offsets
from ingestion.kafka_offsets import Span, broker_offsets, open_transactions, records_in
from lake.models.catalog import Model, silver_tables
from lake.records.publications import Publication, newest
from lake.records.verdicts import Verdict, latest_failures
from lake.storage.delta import open_table
from lake.storage.lease import current_holder
from lake.storage.lease_holder import Holder
from lake.tables.every import FIXED_TABLES
from pipeline.gold.stale import stale_slices
from pipeline.proof.hot_reconciliation import unexplained
from runtime.errors import LandingZoneError
from runtime.kafka.broker import NAME as BROKER
from runtime.kafka.broker import answers
from runtime.process_records import ProcessRecord, recorded
from runtime.processes import find, log_path, running_processes
from runtime.settings import Settings

_ANSWER_S = 1.0
_LAYERS = ("bronze", "silver", "gold", "ops")


@dataclass(frozen=True)
class PartitionLag:
    """One Kafka partition: where bronze stands, and what the broker has (None when it cannot be asked).

    `high` is the last stable offset, `behind_open` how many offsets lie behind it, in or after a transaction that is
    open. `lag` are committed records that the broker has and bronze has not; more than a few are not counted, then
    `is_exact` is false and there may be fewer. `lost` offsets are gone from the broker and bronze does not have them.
    """

    topic: str
    partition: int
    committed: int | None
    high: int | None
    oldest: int | None
    lag: int | None = None
    is_exact: bool = True
    behind_open: int = 0
    lost: int = 0


@dataclass(frozen=True)
class TableState:
    """A table that exists: its newest version, the published one, the rows that readers see and their files."""

    name: str
    version: int
    published_version: int | None
    rows: int | None
    files: int
    size_bytes: int


@dataclass(frozen=True)
class Ended:
    """A program that ended without being stopped, and its log."""

    name: str
    log: Path


@dataclass(frozen=True)
class Status:
    """Where the lake stands. `broker` is its address, or None when it does not answer; `broker_note` says why.

    `unexplained` are rows of `ops.hot_reconciliation` in which the hot path differs from gold without a cause.
    """

    broker: str | None
    broker_note: str
    partitions: tuple[PartitionLag, ...]
    tables: tuple[TableState, ...]
    stale: Mapping[str, tuple[str, ...]]
    held: tuple[Verdict, ...]
    publication: Publication | None
    unexplained: tuple[Mapping[str, Any], ...]
    writer: Holder | None
    running: tuple[ProcessRecord, ...]
    ended: tuple[Ended, ...]


def lake_status(settings: Settings, models: Mapping[str, Model]) -> Status:
    """Where the lake of `settings` stands; an empty home is a lake with nothing in it. Starts and writes nothing."""
    publication = newest(settings)
    broker, note = _broker(settings)
    return Status(
        broker=broker,
        broker_note=note,
        partitions=tuple(lag for topic in BRONZE_TABLES for lag in _lags(settings, topic, broker)),
        tables=_tables(settings, models, publication),
        stale=stale_slices(settings, models).hours,
        held=tuple(latest_failures(settings)),
        publication=publication,
        unexplained=tuple(unexplained(settings)),
        # looking for a lease makes its folder, which a lake that is not there yet should not get
        writer=current_holder(settings) if settings.is_s3 or Path(settings.lake_uri).is_dir() else None,
        running=tuple(running_processes(settings)),
        ended=ended_processes(settings),
    )


def ended_processes(settings: Settings) -> tuple[Ended, ...]:
    """Programs with a record that nobody stopped and that are gone: they crashed, or the machine did."""
    names = sorted(path.stem for path in settings.run_folder.glob("*.json"))
    gone = [name for name in names if recorded(settings, name) is not None and find(settings, name) is None]
    return tuple(Ended(name, log) for name in gone if (log := log_path(settings, name)).exists())


def _broker(settings: Settings) -> tuple[str | None, str]:
    if settings.kafka_address is not None:
        if answers(settings.kafka_address, _ANSWER_S):
            return settings.kafka_address, ""
        return None, f"the broker at {settings.kafka_address} (LAKEHOUSE_KAFKA_BOOTSTRAP) does not answer"
    record = find(settings, BROKER)
    if record is None:
        return None, "the broker does not run; `lakehouse up` starts it, and so does every command that needs it"
    if not answers(record.address, _ANSWER_S):
        return None, f"the broker at {record.address} does not answer; its log is {log_path(settings, BROKER)}"
    return record.address, ""


def _lags(settings: Settings, topic: str, broker: str | None) -> list[PartitionLag]:
    committed = committed_offsets(settings, topic)
    available: Mapping[int, Span] = {}
    behind: Mapping[int, Span] = {}
    if broker is not None:
        try:
            available, behind = broker_offsets(broker, topic), open_transactions(broker, topic)
        except LandingZoneError:
            available = {}  # the topic is made by the first command that sends or ingests
    waiting = records_in(broker or "", topic, unread_spans(committed, available))
    lags = []
    for p in sorted({*committed, *available}):
        oldest, high = available.get(p, (None, None))
        lags.append(
            PartitionLag(
                topic, p, committed.get(p), high, oldest, waiting.records.get(p), waiting.is_exact,
                behind[p][1] - behind[p][0] if p in behind else 0,
                0 if oldest is None else max(0, oldest - committed.get(p, oldest)),
            )
        )  # fmt: skip
    return lags


def unread_spans(committed: Mapping[int, int], available: Mapping[int, Span]) -> dict[int, Span]:
    """By partition the offsets that the broker has and bronze, which has come to `committed`, has not."""
    return {p: (max(oldest, committed.get(p, oldest)), high) for p, (oldest, high) in available.items()}


def _tables(settings: Settings, models: Mapping[str, Model], publication: Publication | None) -> tuple[TableState, ...]:
    fixed = [table.name for table in FIXED_TABLES]
    names = sorted({*fixed, *silver_tables(models.values())}, key=_place)
    published = {} if publication is None else publication.tables
    return tuple(state for name in names if (state := _state(settings, name, published.get(name))) is not None)


def _place(name: str) -> tuple[int, str]:
    return _LAYERS.index(name.split(".")[0]), name


def _state(settings: Settings, name: str, published: int | None) -> TableState | None:
    """Rows come from the statistics in the log: no file is opened."""
    table = newest_version = open_table(settings, name)
    if newest_version is None:
        return None
    if published is not None and published != newest_version.version():
        table = open_table(settings, name, published)
    files = (table or newest_version).get_add_actions(flatten=True)
    counts: list[int | None] = list(files["num_records"].to_pylist()) if files.num_rows else []
    rows = None if None in counts else sum(filter(None, counts))
    size = sum(files["size_bytes"].to_pylist()) if files.num_rows else 0
    return TableState(name, newest_version.version(), published, rows, files.num_rows, size)
