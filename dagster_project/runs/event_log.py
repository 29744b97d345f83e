"""Dagster's SQLite event log with connections that stay open, and without an event for each partition of a range.

Belongs here: those changes to Dagster's own storage, named in the `dagster.yaml` that `instance` writes. The original
opens and closes two databases for each event (docs/decisions/008). Of a run for a
range of partitions Dagster plans, checks and reports each partition of each asset, some 10 kB an event; a step tells
the same by spans, with metadata (see `dagster_project.spans`), and what has none says nothing new. What partitions the
UI is told of is in `spanned_log`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from dagster_project.runs.spanned_log import SpannedEventLogStorage
from dagster_project.spans import MOST, count_between

_OPEN_RUNS = 4
_RANGE_START, _RANGE_END = ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG


class KeptSqliteEventLogStorage(SpannedEventLogStorage):
    """One open connection for the index and for each of the last few runs."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._ranges: dict[str, tuple[str, str]] = {}  # of the newest run: its first and last partition
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "KeptSqliteEventLogStorage":
        """What Dagster makes of the entry in dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        # the lock of the original: one thread at a time, so one connection a database is enough
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    @property
    def supports_asset_checks(self) -> bool:
        """The table of check results was made with the database; the original asks for it before each result."""
        return True

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, unless it is of a partition of a long range and neither its last nor told by the step."""
        made = event.dagster_event if event.is_dagster_event else None
        if made is not None and made.event_type is DagsterEventType.RUN_FAILURE and self.has_instance:
            # Dagster sets the status after the event; its daemon, which reads the event and then the status to start
            # the run again, passes it over for good when it comes between
            at = datetime.fromtimestamp(event.timestamp, UTC)
            self._instance.run_storage.handle_run_event(event.run_id, made, at)
        if made is None or not made.partition or not self._is_of_long_range(event.run_id):
            super().store_event(event)
        elif made.event_type is DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            if made.partition == self._ranges[event.run_id][1]:
                super().store_event(event)
        elif made.event_type is not DagsterEventType.ASSET_MATERIALIZATION or _says_something(made):
            super().store_event(event)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """A planned check has a row for each partition; where there is none its result makes one."""
        if not self._is_of_long_range(event.run_id):
            super()._store_asset_check_evaluation_planned(event, event_id)

    def _is_of_long_range(self, run_id: str) -> bool:
        """Whether a run is for more partitions than it tells one by one."""
        if run_id not in self._ranges and self.has_instance:
            run = self._instance.get_run_by_id(run_id)
            tags = {} if run is None else run.tags
            self._ranges = {run_id: (tags.get(_RANGE_START, ""), tags.get(_RANGE_END, ""))}
        first, last = self._ranges.get(run_id, ("", ""))
        return bool(first and last) and count_between(first, last) > MOST

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _settle_for_the_log)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
        self._engines[shard] = engine  # the newest is the last
        while len(self._engines) > _OPEN_RUNS:
            self._engines.pop(next(iter(self._engines))).dispose()
        return engine

    def dispose(self) -> None:
        """Close the connections."""
        while self._engines:
            self._engines.popitem()[1].dispose()
        super().dispose()


def _says_something(event: DagsterEvent) -> bool:
    return bool(event.step_materialization_data.materialization.metadata)


def _settle_for_the_log(connection: sqlite3.Connection, _: object) -> None:
    # with a write-ahead log nothing breaks, and a power cut may cost the last events; the lake knows better anyway
    connection.execute("PRAGMA synchronous=NORMAL")
